"""Find the video files of a data set, and never leave its root."""

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from cmedplan.errors import PlanError
from cmedplan.names import has_video_suffix, key

FOLDERS = {"subjects": "FinalFullVideos_subjects", "flat": "FinalFullVideos"}
"""The folder of each layout: `{emotion}/{subject}/{filename}` and `{emotion}/{filename}`."""

DEPTHS = {"subjects": 2, "flat": 1}
"""How many folders lie between a layout's folder and a clip."""


class VideoFile(NamedTuple):
    """A file where the layout expects videos.

    `path` is relative to the root, with forward slashes. `emotion` and `subject` are the
    folders' names; both are None for a file at the wrong depth, and `subject` is None in
    the flat layout. `ctime_ns` is when the file was last changed or renamed: unlike the time of
    modification, nobody sets it back. `fault` says why the file must not be read, or is None. A
    link in the place of an emotion's or a subject's folder has an empty `filename` and a fault.
    """

    path: str
    emotion: str | None
    subject: str | None
    filename: str
    size: int
    ctime_ns: int
    fault: str | None = None


def choose_layout(root: Path, layout: str) -> tuple[str, Path]:
    """Return the layout to use and its folder.

    `auto` prefers the folders by subject, which say whose each clip is; the flat folder
    holds copies of the same clips and is then left alone.

    Raises
    ------
    PlanError
        The root or the layout's folder does not exist.
    """
    try:
        entries = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    except OSError as error:
        raise PlanError(
            f"config key `dataset.root`: {root}",
            expected="the folder of the data set",
            found=error.strerror or str(error),
            remedy="set `dataset.root` to the folder that holds the metadata file",
        ) from error
    wanted = ("subjects", "flat") if layout == "auto" else (layout,)
    for name in wanted:
        found = [entry for entry in entries if key(entry) == key(FOLDERS[name])]
        if FOLDERS[name] in found:
            found = [FOLDERS[name]]
        if len(found) > 1:
            raise PlanError(
                f"config key `dataset.root`: {root}",
                expected=f"one folder `{FOLDERS[name]}`",
                found=", ".join(f"`{entry}`" for entry in found),
                remedy="rename the right one, and keep the others elsewhere",
            )
        if found:
            return name, _inside(root, root / found[0])
    raise PlanError(
        f"config key `dataset.layout` ({layout}): {root}",
        expected=" or ".join(f"a folder `{FOLDERS[name]}`" for name in wanted),
        found=", ".join(f"`{entry}`" for entry in entries[:8]) or "no folder at all",
        remedy="set `dataset.root` to the folder that holds it",
    )


def _inside(root: Path, folder: Path) -> Path:
    target = os.path.realpath(folder)
    if os.path.commonpath((target, os.path.realpath(root))) != os.path.realpath(root):
        raise PlanError(
            f"config key `dataset.root`: {folder}",
            expected="a folder inside `dataset.root`",
            found=f"a symbolic link to {target}",
            remedy="set `dataset.root` to the folder that really holds the videos",
        )
    return folder


class Folder(NamedTuple):
    """A folder: its path, the same below the root, and the names from the layout's folder on."""

    path: str
    place: str
    parents: tuple[str, ...]


def scan_videos(root: Path, layout: str, folder: Path) -> list[VideoFile]:
    """List every file below the layout's folder, sorted by path.

    Symbolic links are followed only to targets inside the root; other links are listed
    with a fault and never opened. Hidden files are left out.
    """
    inside = os.path.realpath(root)
    return _sorted(_walk(_top(root, folder), DEPTHS[layout], inside))


class SubjectFolders:
    """The folders of every subject, to be scanned one subject at a time.

    Parameters
    ----------
    root, folder : Path
        The data set's root, and in it the folder of the layout `subjects`.

    Attributes
    ----------
    links : list of VideoFile
        Links in the place of an emotion's folder.
    strays : list of VideoFile
        Files that lie in no subject's folder.
    """

    def __init__(self, root: Path, folder: Path) -> None:
        self._inside = os.path.realpath(root)
        self._folders: defaultdict[str, list[Folder]] = defaultdict(list)
        self._links: defaultdict[str, list[VideoFile]] = defaultdict(list)
        emotions, loose = self._list(_top(root, folder))
        for emotion in emotions:
            subjects, files = self._list(emotion)
            for subject in subjects:
                self._folders[key(subject.parents[-1])].append(subject)
            for file in files:
                if file.subject is None:
                    loose.append(file)
                else:
                    self._links[key(file.subject)].append(file)
        self.links = _sorted(file for file in loose if file.emotion is not None)
        self.strays = _sorted(file for file in loose if file.emotion is None)

    def keys(self) -> set[str]:
        """Return the keys of all subjects that have a folder, or a link in its place."""
        return self._folders.keys() | self._links.keys()

    def names(self, subject: str) -> set[str]:
        """Return the spellings of a subject, given by its key, among the folders."""
        return {folder.parents[-1] for folder in self._folders.get(subject, ())} | {
            file.subject or "" for file in self._links.get(subject, ())
        }

    def scan(self, subject: str) -> list[VideoFile]:
        """List the files of a subject, given by its key, as `scan_videos` does."""
        files = list(self._links.get(subject, ()))
        for folder in self._folders.get(subject, ()):
            files.extend(_walk(folder, DEPTHS["subjects"], self._inside))
        return _sorted(files)

    def _list(self, folder: Folder) -> tuple[list[Folder], list[VideoFile]]:
        return _list(folder, DEPTHS["subjects"], self._inside)


def _top(root: Path, folder: Path) -> Folder:
    return Folder(str(folder), folder.relative_to(root).as_posix(), ())


def _sorted(files: Iterable[VideoFile]) -> list[VideoFile]:
    return sorted(files, key=attrgetter("path"))


def _walk(folder: Folder, depth: int, inside: str) -> Iterator[VideoFile]:
    """Yield the files in a folder and in those inside it."""
    folders, files = _list(folder, depth, inside)
    yield from files
    for one in folders:
        yield from _walk(one, depth, inside)


def _list(folder: Folder, depth: int, inside: str) -> tuple[list[Folder], list[VideoFile]]:
    """Return the folders and the files in a folder."""
    folders: list[Folder] = []
    files: list[VideoFile] = []
    parents = folder.parents
    level = len(parents)
    with _entries(folder.path) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            place = f"{folder.place}/{name}"
            fault = None
            if entry.is_symlink():
                fault = _link_fault(f"{folder.path}/{name}", inside)
            if fault is None and entry.is_dir():
                names = (*parents, _in_unicode(name))
                folders.append(Folder(f"{folder.path}/{name}", place, names))
            elif level == depth:
                files.append(_describe(place, entry, parents, fault))
            elif has_video_suffix(name):
                files.append(_describe(place, entry, (), fault))
            elif fault is not None and level < depth:
                names = (*parents, _in_unicode(name))
                files.append(_describe(place, entry, names, fault)._replace(filename=""))
    return folders, files


@contextmanager
def _entries(folder: str) -> Iterator[list[os.DirEntry[str]]]:
    """Give the entries of a folder, which is kept open: so each is found by its name alone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise _unreadable(folder, error) from error
    try:
        try:
            with os.scandir(descriptor) as listing:
                entries = list(listing)
        except OSError as error:
            raise _unreadable(folder, error) from error
        yield entries
    finally:
        os.close(descriptor)


def _unreadable(folder: str, error: OSError) -> PlanError:
    return PlanError(
        folder,
        expected="a folder that can be read",
        found=error.strerror or str(error),
        remedy="give yourself the right to read it",
    )


def _link_fault(path: str, inside: str) -> str | None:
    try:
        target = os.path.realpath(path, strict=True)
    except OSError as error:
        return f"it is a symbolic link that leads nowhere: {(error.strerror or str(error)).lower()}"
    if os.path.commonpath((target, inside)) != inside:
        return "it is a symbolic link to a place outside `dataset.root`"
    # A link to a folder inside could lead round in circles; clips are linked one by one.
    return "it is a symbolic link to a folder" if os.path.isdir(target) else None


def _describe(
    place: str, entry: os.DirEntry[str], parents: tuple[str, ...], fault: str | None
) -> VideoFile:
    try:
        facts = entry.stat(follow_symlinks=fault is None)
    except OSError as error:
        facts, fault = entry.stat(follow_symlinks=False), error.strerror or str(error)
    if fault is None and not stat.S_ISREG(facts.st_mode):
        fault = "it is not a regular file"
    path = _in_unicode(place)
    if fault is None and path != place:
        fault = "its path is not written in UTF-8"
    return VideoFile(
        path,
        emotion=parents[0] if parents else None,
        subject=parents[1] if len(parents) > 1 else None,
        filename=_in_unicode(entry.name),
        size=facts.st_size,
        ctime_ns=facts.st_ctime_ns,
        fault=fault,
    )


def _in_unicode(name: str) -> str:
    """Return a file's name with an escape for each byte that is not UTF-8, as tables need it."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")

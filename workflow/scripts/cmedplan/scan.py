"""Find the video files of a data set, and never leave its root."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from cmedplan.errors import PlanError
from cmedplan.names import has_video_suffix, key

FOLDERS = {"subjects": "FinalFullVideos_subjects", "flat": "FinalFullVideos"}
"""The folder of each layout: `{emotion}/{subject}/{filename}` and `{emotion}/{filename}`."""


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A file where the layout expects videos.

    `path` is relative to the root, with forward slashes. `emotion` and `subject` are the
    folders' names; both are None for a file at the wrong depth, and `subject` is None in
    the flat layout. `fault` says why the file must not be read, or is None. A link in the place
    of an emotion's or a subject's folder has an empty `filename` and a fault.
    """

    path: str
    emotion: str | None
    subject: str | None
    filename: str
    size: int
    mtime_ns: int
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


def scan_videos(root: Path, layout: str, folder: Path) -> list[VideoFile]:
    """List every file below the layout's folder, sorted by path.

    Symbolic links are followed only to targets inside the root; other links are listed
    with a fault and never opened. Hidden files are left out.
    """
    inside = os.path.realpath(root)
    depth = {"subjects": 2, "flat": 1}[layout]
    place = folder.relative_to(root).as_posix()
    return sorted(_walk(str(folder), place, (), depth, inside), key=lambda file: file.path)


def _walk(
    folder: str, place: str, parents: tuple[str, ...], depth: int, inside: str
) -> Iterator[VideoFile]:
    """Yield the files in a folder, whose path below the root is `place`, and in those inside it."""
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise PlanError(
            folder,
            expected="a folder that can be read",
            found=error.strerror or str(error),
            remedy="give yourself the right to read it",
        ) from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        fault = _link_fault(entry, inside)
        path = f"{place}/{entry.name}"
        if fault is None and entry.is_dir():
            yield from _walk(entry.path, path, (*parents, entry.name), depth, inside)
            continue
        if fault is not None and len(parents) < depth and not has_video_suffix(entry.name):
            yield replace(_describe(path, entry, (*parents, entry.name), fault), filename="")
            continue
        placed = len(parents) == depth
        if not placed and not has_video_suffix(entry.name):
            continue
        yield _describe(path, entry, parents if placed else (), fault)


def _link_fault(entry: os.DirEntry[str], inside: str) -> str | None:
    if not entry.is_symlink():
        return None
    try:
        target = os.path.realpath(entry.path, strict=True)
    except OSError as error:
        return f"it is a symbolic link that leads nowhere: {(error.strerror or str(error)).lower()}"
    if os.path.commonpath((target, inside)) != inside:
        return "it is a symbolic link to a place outside `dataset.root`"
    # A link to a folder inside could lead round in circles; clips are linked one by one.
    return "it is a symbolic link to a folder" if os.path.isdir(target) else None


def _describe(
    path: str, entry: os.DirEntry[str], parents: tuple[str, ...], fault: str | None
) -> VideoFile:
    try:
        facts = os.lstat(entry.path) if fault else os.stat(entry.path)
    except OSError as error:
        facts, fault = os.lstat(entry.path), error.strerror or str(error)
    if fault is None and not stat.S_ISREG(facts.st_mode):
        fault = "it is not a regular file"
    if fault is None and _in_unicode(path) != path:
        fault = "its path is not written in UTF-8"
    names = [_in_unicode(name) for name in (*parents, entry.name)]
    return VideoFile(
        path=_in_unicode(path),
        emotion=names[0] if parents else None,
        subject=names[1] if len(parents) > 1 else None,
        filename=names[-1],
        size=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        fault=fault,
    )


def _in_unicode(name: str) -> str:
    """Return a file's name with an escape for each byte that is not UTF-8, as tables need it."""
    if name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "backslashreplace")

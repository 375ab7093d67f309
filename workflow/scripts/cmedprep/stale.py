"""Remove what earlier runs have left of subjects, sampling schemes and methods that are no more.

This is part of two jobs and not of the end of a run: a job that is killed is made anew, so what
it did not come to remove is removed the next time, and Snakemake runs no hooks of a workflow
that is used as a module. `index_clips` runs whenever the data set's subjects have changed, and
`write_manifest` whenever the schemes or methods have. A subject that the config only leaves out
keeps all it has, and its manifest stays true.

Results may hold files of others. A file is removed only if it lies where a job of ours would
write it for that subject, and a table only if it also says so itself. Links are neither
followed nor removed.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cmedplan.atomic import clear_parts
from cmedplan.names import key
from cmedprep.tables import BY_PART, open_table, read_provenance

TABLES = {
    "videos": "probe_videos",
    "index": "index_subject",
    "faces": "detect_faces",
    "alignment": "align_faces",
    "frames": "extract_frames",
    "expression": "extract_frames",
    "manifests": "write_manifest",
}
"""The folders with one table for each subject, and the rules that make them."""

PAGES = {"reports": "report_subject"}
"""The folder with one page for each subject, and the rule that makes it."""

LOGGED = tuple(
    dict.fromkeys([*TABLES.values(), *PAGES.values(), "verify_subject", "confirm_subject"])
)
"""The rules with one log and one file of timings for each subject."""

VERIFICATION = (".parquet", ".html", ".verified")
"""The files in `verify` of a subject that was verified."""

IMAGE = re.compile(r"\d{6,}\.(png|jpg)")

_LOGS = {"logs": ".log", "benchmarks": ".tsv"}
_TABLE = ".parquet"
_INTERPOLATED = "interpolated"
_PLACES = {
    "samples": ("samples",),
    "motion": ("motion", "logs/measure_motion", "benchmarks/measure_motion"),
}

Parts = Mapping[str, Collection[str]]
"""Names of the config's parts, by folder: sampling schemes in `samples`, methods in `motion`."""


def remove_subjects(results: Path, subjects: Collection[str], parts: Parts) -> list[str]:
    """Remove all that was made for subjects that the data set no longer has.

    Parameters
    ----------
    results : Path
        The folder of all results.
    subjects : collection of str
        The subjects of the data set, whether they are selected or not.
    parts : mapping
        The config's schemes and methods, whose folders stay even where they are empty.

    Returns
    -------
    list of str
        The subjects of which something was removed, sorted.
    """
    results = results.resolve()
    former = sorted(_known_subjects(results, subjects))
    current = {
        results / place / part
        for folder, names in parts.items()
        for place in _PLACES[folder]
        for part in names
    }
    for subject in former:
        for images in (results / "images", *_folders(results / _INTERPOLATED)):
            _remove_images(images, subject)
            _remove_empty([images] if images.name != "images" else [])
        _remove_empty(_existing([results / _INTERPOLATED]))
        emptied = _remove_of_parts(subject, _part_folders(results))
        _remove_empty(folder for folder in emptied if folder not in current)
        for folder in _existing(results / name for name in TABLES):
            _remove_table(folder, subject)
        hidden = [f"videos/.{subject}.json", f"videos/.{subject}.probed"]
        others = hidden + [f"{folder}/{subject}.html" for folder in PAGES]
        for name in others + [f"verify/{subject}{suffix}" for suffix in VERIFICATION]:
            if _existing([(results / name).parent]):
                clear_parts(results / name)
                _remove_file(results / name)
        # The log of the first job says that there was a subject: it is the last to go.
        for place, suffix in reversed(_LOGS.items()):
            for rule in reversed(LOGGED):
                for folder in _existing([results / place / rule]):
                    _remove_file(folder / f"{subject}{suffix}")
    return former


def remove_parts(results: Path, subject: str, parts: Parts) -> list[str]:
    """Remove a subject's tables of schemes and methods that the config no longer has.

    Parameters
    ----------
    results : Path
        The folder of all results.
    subject : str
        The subject whose tables of all schemes and methods are up to date.
    parts : mapping
        The config's schemes and methods.

    Returns
    -------
    list of str
        The schemes and methods of which something was removed, sorted.
    """
    results = results.resolve()
    for images in _folders(results / _INTERPOLATED):
        if not any(_is_same(images, images.with_name(name)) for name in parts["samples"]):
            _remove_images(images, subject)
        _remove_empty([images])  # of a scheme that interpolates it holds this subject's folder
    _remove_empty(_existing([results / _INTERPOLATED, results / "images"]))
    emptied = _remove_of_parts(subject, _part_folders(results, without=parts))
    _remove_empty(emptied)
    if not parts["motion"]:  # It is switched off, and leaves no folder of its own.
        _remove_empty(_existing(results / place for place in _PLACES["motion"]))
    return sorted({folder.name for folder in emptied})


def _known_subjects(results: Path, subjects: Collection[str]) -> set[str]:
    """Return the subjects that earlier runs have left something of, but for the given ones."""
    first_logs = _files(results / "logs" / TABLES["videos"], _LOGS["logs"])
    tables = (path for folder in _table_folders(results) for path in _files(folder, _TABLE))
    found: set[str] = set()
    for path in (*first_logs, *tables):
        subject = path.name.removesuffix(path.suffix)
        if (
            subject not in found | set(subjects)
            and not any(_is_spelling_of(path, subject, other) for other in subjects)
            and (path.suffix != _TABLE or _is_table_of(path, subject))
        ):
            found.add(subject)
    return found


def _is_spelling_of(path: Path, subject: str, other: str) -> bool:
    """Tell whether the disk, which may not know case, holds the file of another subject there."""
    if key(subject) != key(other):
        return False
    same = path.with_name(f"{other}{path.suffix}")
    return same.exists() and same.samefile(path)


def _is_table_of(path: Path, subject: str) -> bool:
    """Tell whether a file is the table that our rule would write there for a subject."""
    try:
        made = read_provenance(path)
        with open_table(path) as file:
            owners = set(file.read(columns=["subject"])["subject"].to_pylist())
    except (OSError, RuntimeError, ValueError, KeyError):  # no table, or one that is broken
        return False
    stage, folder = made.get("stage"), path.parent
    if stage in BY_PART.values():
        right = BY_PART.get(folder.parent.name) == stage and folder.name == _part_of(made)
    else:
        right = stage is not None and stage == TABLES.get(folder.name)
    return right and owners <= {subject}


def _part_of(made: Mapping[str, Any]) -> str:
    """Return the scheme or method that a table says it was made for."""
    (parameters,) = made["parameters"].values()
    name: str = parameters["method"] if "method" in parameters else parameters["scheme"]["name"]
    return name


def _remove_table(folder: Path, subject: str) -> bool:
    table = folder / f"{subject}{_TABLE}"
    clear_parts(table)
    return _is_file(table) and _is_table_of(table, subject) and _remove_file(table)


def _remove_of_parts(subject: str, folders: Iterable[Path]) -> list[Path]:
    """Remove a subject's tables, logs and timings of schemes and methods; return which had any."""
    emptied = []
    for folder in folders:
        if folder.parent.name in BY_PART:
            removed = _remove_table(folder, subject)
        else:
            removed = _remove_file(folder / f"{subject}{_LOGS[folder.parent.parent.name]}")
        if removed:
            emptied.append(folder)
    return emptied


def _remove_images(images: Path, subject: str) -> None:
    """Remove a subject's images and what a killed job has left of them; others' files stay."""
    for folder in _existing([images]):
        clear_parts(folder / subject)
    for emotion in _folders(images / subject):
        for clip in _folders(emotion):
            for image in clip.iterdir():
                if IMAGE.fullmatch(image.name):
                    _remove_file(image)
            _remove_empty([clip])
        _remove_empty([emotion])
    _remove_empty(_existing([images / subject]))


def _table_folders(results: Path) -> list[Path]:
    parts = (folder for name in BY_PART for folder in _folders(results / name))
    return [*_existing(results / name for name in TABLES), *parts]


def _part_folders(results: Path, without: Parts | None = None) -> list[Path]:
    """List the folders of tables, logs and timings of all schemes and methods but the given."""
    return [
        folder
        for kind, places in _PLACES.items()
        for place in places
        for folder in _folders(results / place)
        if not any(
            _is_same(folder, folder.with_name(name)) for name in (without or {}).get(kind, ())
        )
    ]


def _is_same(one: Path, other: Path) -> bool:
    return one.name == other.name or (other.exists() and one.samefile(other))


def _files(folder: Path, suffix: str) -> list[Path]:
    """List the files in a folder with an ending, hidden ones and links left out."""
    return sorted(
        path
        for place in _existing([folder])
        for path in place.iterdir()
        if path.suffix == suffix and not path.name.startswith(".") and _is_file(path)
    )


def _folders(place: Path) -> list[Path]:
    """List the folders in a folder, links left out."""
    return sorted(path for found in _existing([place]) for path in _existing(found.iterdir()))


def _existing(folders: Iterable[Path]) -> list[Path]:
    """Return those that are folders in folders, neither of them a link."""
    return [folder for folder in folders if _is_folder(folder) and _is_folder(folder.parent)]


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _remove_file(path: Path) -> bool:
    if not _is_file(path):
        return False
    path.unlink(missing_ok=True)
    return True


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # it holds something, or another job was quicker
            folder.rmdir()

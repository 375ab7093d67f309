"""Where results go: a folder that can be written, known before the first job starts."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cmedplan.atomic import write_whole
from cmedplan.errors import PlanError

DEMO_MARK = "demo.json"
"""A file that only the demo data set has in its root."""

_OWNER = Path("logs", ".dataset")
_MADE_OF = ("videos", "manifests")


def check_folder(output: Path) -> None:
    """Refuse an output folder that cannot be one.

    Raises
    ------
    PlanError
        It, or what should be a folder above it, is a file.
    """
    nearest = _nearest(output)
    if not nearest.is_dir():
        raise PlanError(
            f"config key `output`: {output}",
            expected="a folder, or a place where one can be made",
            found=f"{nearest.absolute()} is no folder",
            remedy="move that file away, or set `output` to another folder",
        )


def check_writable(output: Path) -> None:
    """Refuse an output folder that cannot be written, before hours of work are lost on it.

    Raises
    ------
    PlanError
        The folder or one of those in it is read-only, or cannot be made.
    """
    nearest = _nearest(output)
    folders = [nearest]
    if nearest == output and os.access(output, os.R_OK | os.X_OK):
        folders += sorted(path for path in output.iterdir() if path.is_dir())
    for folder in folders:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PlanError(
                f"config key `output`: {output}",
                expected="a folder that can be written",
                found=f"no right to write to {folder.absolute()}, or a disk that is only read",
                remedy="give yourself the right, or set `output` to another folder",
            )


def is_forgotten(output: Path, records: Path) -> bool:
    """Tell whether there are results of which Snakemake does not know how they were made.

    It takes them as they are, whatever has changed since.

    Parameters
    ----------
    output : Path
        The folder of all results.
    records : Path
        Where Snakemake keeps what it knows, `.snakemake/metadata` in the working directory.
    """
    made = any(path.suffix == ".parquet" for path in _listed(output / "manifests"))
    return made and not any(_listed(records))


def _listed(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def check_owner(output: Path, root: Path, subjects: Mapping[str, bool]) -> None:
    """Refuse an output folder with the results of another data set, which would be removed.

    A data set is known by its place, or, where it was moved, by a subject whose videos are
    those that the results were made of. Results of the demo may always be replaced.

    Parameters
    ----------
    output : Path
        The folder of all results.
    root : Path
        The data set's root.
    subjects : mapping of bool
        All subjects of the data set, and whether each has the videos that were probed.

    Raises
    ------
    PlanError
        There are results, and they are of other subjects, or of a data set elsewhere.
    """
    there = sorted({path.stem for name in _MADE_OF for path in (output / name).glob("*.parquet")})
    owner = _read_owner(output)
    if not there or owner.get("demo"):
        return
    common = subjects.keys() & set(there)
    if not common:
        why = "none of whom is in it"
    elif not _is_of(owner, root) and not any(map(subjects.get, common)):
        why = f"made from another folder than {root}, and from other videos"
    else:
        return
    raise _foreign(output, f"{', '.join(there[:3])}{' …' * (len(there) > 3)}, {why}")


def check_claim(output: Path, root: Path) -> None:
    """Refuse, in a job, what a data set elsewhere has claimed: a module's run has no other check.

    Raises
    ------
    PlanError
        It has. By then the videos have been probed anew, so the place alone counts.
    """
    owner = _read_owner(output)
    if not (owner.get("demo") or _is_of(owner, root)):
        raise _foreign(output, f"another data set than that in {root}")


def claim_output(output: Path, root: Path) -> None:
    """Leave word of whose results these are, for `check_owner`."""
    owner = _read_owner(output)
    if owner and _is_of(owner, root):
        return
    path = output / _OWNER
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = {
        "root": _place(root),
        "inode": root.stat().st_ino if root.is_dir() else None,
        "demo": (root / DEMO_MARK).is_file(),
    }
    with suppress(FileNotFoundError):  # another job, at the same, was faster
        write_whole(path, json.dumps(owner) + "\n")


def _foreign(output: Path, whose: str) -> PlanError:
    return PlanError(
        f"config key `output`: {output}",
        expected="an empty folder, or one with results of this data set",
        found=f"results of {whose}; results of subjects that a data set no longer has are removed",
        remedy="correct `dataset.root`, set `output` to another folder, or remove this one; if it "
        f"is the same data set, remove {output / _OWNER}",
    )


def _is_of(owner: Mapping[str, Any], root: Path) -> bool:
    """Tell whether a data set has claimed a folder, or nobody has.

    Machines of a cluster may know a folder by several paths, and not every disk keeps a folder's
    number: one of the two will do.
    """
    if owner.get("root", _place(root)) == _place(root):
        return True
    return root.is_dir() and root.stat().st_ino == owner.get("inode")


def _read_owner(output: Path) -> dict[str, Any]:
    try:
        owner = json.loads((output / _OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _place(root: Path) -> str:
    """Return what tells one folder from another, and not where it is."""
    return hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()


def find_lost(results: Path, tables: Iterable[str], subjects: Iterable[str]) -> list[str]:
    """Return the outputs that are missing while something that is made from them is there.

    Whoever asks for what is made last asks for what is missing on the way to it, too. These are
    the outputs that nobody would miss.

    Parameters
    ----------
    results : Path
        The folder of all results.
    tables : iterable of str
        The folders in it that have a table of each subject.
    subjects : iterable of str
        The subjects.

    Returns
    -------
    list of str
        Paths below `results`.
    """
    subjects = list(subjects)
    there = {name: _stems(results / name) for name in (*tables, "reports")}
    whole = subjects if "index" in there["reports"] else ()
    made = {"videos": there["faces"], "manifests": there["reports"]}
    return [
        *(f"reports/{name}.html" for name in whole if name not in there["reports"]),
        *(
            f"{table}/{name}.parquet"
            for table in tables
            for name in subjects
            if name not in there[table] and name in made.get(table, there["manifests"])
        ),
    ]


def _stems(folder: Path) -> frozenset[str]:
    """Return the names of the files in a folder, without what follows the last dot."""
    try:
        return frozenset(name.rpartition(".")[0] for name in os.listdir(folder))
    except OSError:
        return frozenset()


def _nearest(path: Path) -> Path:
    """Return a path, or the nearest one above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))

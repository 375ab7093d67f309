"""Where results go: a folder that can be written, known before the first job starts."""

import hashlib
import json
import os
from collections.abc import Mapping
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
    elif owner.get("root", _place(root)) != _place(root) and not any(map(subjects.get, common)):
        why = f"made from another folder than {root}, and from other videos"
    else:
        return
    raise PlanError(
        f"config key `output`: {output}",
        expected="an empty folder, or one with results of this data set",
        found=f"results of {', '.join(there[:3])}{' …' * (len(there) > 3)}, {why}; results of "
        "subjects that a data set no longer has are removed",
        remedy="correct `dataset.root`, set `output` to another folder, or remove this one",
    )


def claim_output(output: Path, root: Path) -> None:
    """Leave word of whose results these are, for `check_owner`."""
    path = output / _OWNER
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = {"root": _place(root), "demo": (root / DEMO_MARK).is_file()}
    if owner != _read_owner(output):
        with suppress(FileNotFoundError):  # another batch, started with this one, was faster
            write_whole(path, json.dumps(owner) + "\n")


def _read_owner(output: Path) -> dict[str, Any]:
    try:
        owner = json.loads((output / _OWNER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return owner if isinstance(owner, dict) else {}


def _place(root: Path) -> str:
    """Return what tells one folder from another, and not where it is."""
    return hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()


def _nearest(path: Path) -> Path:
    """Return a path, or the nearest one above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))

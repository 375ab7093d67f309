"""Where results go: a folder that can be written, known before the first job starts."""

import os
from collections.abc import Collection
from pathlib import Path

from cmedplan.errors import PlanError


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


def check_owner(output: Path, subjects: Collection[str]) -> None:
    """Refuse an output folder with the results of another data set, which would be removed.

    Parameters
    ----------
    output : Path
        The folder of all results.
    subjects : collection of str
        All subjects of the data set.

    Raises
    ------
    PlanError
        There are manifests, and none of them is of one of the subjects.
    """
    there = sorted(path.stem for path in (output / "manifests").glob("*.parquet"))
    if there and not set(there) & set(subjects):
        raise PlanError(
            f"config key `output`: {output}",
            expected="an empty folder, or one with results of this data set",
            found=f"results of {', '.join(there[:3])}{' …' * (len(there) > 3)}, none of whom is "
            "in it; results of subjects that a data set no longer has are removed",
            remedy="correct `dataset.root`, set `output` to another folder, or remove this one",
        )


def _nearest(path: Path) -> Path:
    """Return a path, or the nearest one above it that is there."""
    return next(place for place in (path, *path.absolute().parents) if os.path.lexists(place))

"""Open the clips of a subject, as the inventory of its videos lists them."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cmedprep.tables import read_rows
from cmedprep.video import digest_file


def processed_clips(videos: Path) -> list[dict[str, Any]]:
    """Return the rows of `schemas.VIDEOS` whose clips go through the workflow."""
    return [row for row in read_rows(videos) if row["processed"]]


def open_clip(root: Path, clip: dict[str, Any]) -> Path:
    """Return the path of a clip's video, once it is known to be the one that was indexed.

    Raises
    ------
    RuntimeError
        The file is gone or its content differs from the inventory.
    """
    path = root / str(clip["path"])
    if not path.is_file() or digest_file(path) != clip["sha256"]:
        raise RuntimeError(
            f"{path} is not the file that was indexed: it was replaced or removed while the "
            "workflow was running. Run the workflow again."
        )
    return path


def count_frames(clips: Iterable[Mapping[str, Any]]) -> int:
    """Return the number of frames of some clips."""
    return sum(clip["n_frames"] for clip in clips)

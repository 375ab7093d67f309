"""What an earlier probe has learnt of videos, so that one new clip does not cost all the old ones.

Snakemake removes a table before it is made anew. So a copy of the last one stays, hidden, beside
the record of what the videos were then (`inventory`). A video is taken from it only while its
size and time are those of the record, and while code, limits and packages are those of the copy.
"""

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cmedplan.atomic import clear_parts, part_of
from cmedplan.inventory import unchanged_videos
from cmedplan.plan import PlannedClip
from cmedprep.tables import read_provenance, read_rows


def copy_path(table: Path) -> Path:
    """Return where the copy of a subject's table of videos lies: hidden, beside it."""
    return table.with_name(f".{table.stem}.probed")


def keep_copy(table: Path) -> None:
    """Keep a copy of a table of videos, whole or not at all. Without one, time is lost alone."""
    copy = copy_path(table)
    part = part_of(copy)
    with suppress(OSError):
        clear_parts(copy)
        try:
            shutil.copyfile(table, part)
            os.replace(part, copy)
        finally:
            part.unlink(missing_ok=True)


def known_videos(
    clips: Iterable[PlannedClip], table: Path, digest: str, provenance: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return what is known of videos that have not changed while others have.

    Only of those that could be decoded: what a fault was due to may be gone. And nothing when no
    video has changed at all: whoever makes the table anew all the same wants it made anew.

    Parameters
    ----------
    clips : iterable of PlannedClip
        All clips of the subject, as they are now.
    table : Path
        The table that is to be made.
    digest : str
        The digest of the videos as they are now; see `inventory.Inventory`.
    provenance : mapping
        What the table will say of its making.

    Returns
    -------
    dict
        Rows of `schemas.VIDEOS`, by the video's path below the root.
    """
    unchanged = unchanged_videos(clips, table, digest)
    if not unchanged:
        return {}
    try:
        if read_provenance(copy_path(table)) != provenance:
            return {}
        rows = read_rows(copy_path(table))
    except (OSError, RuntimeError):  # there is none, or not a whole one
        return {}
    return {
        row["path"]: row
        for row in rows
        if row["video_status"] == "ok"
        and unchanged.get(row["path"]) == (row["size_bytes"], row["sha256"])
    }

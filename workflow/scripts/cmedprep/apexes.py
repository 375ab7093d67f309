"""Around which frame a clip is sampled, and where that frame comes from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmedprep.tables import read_rows


def choose_apex(
    clip: Mapping[str, Any], motion_apex: int | None, without_apex: str
) -> tuple[int, str] | None:
    """Return a clip's apex frame, or what stands for it, and its source; None if it has neither.

    Only clips with status ``ok`` have one. Those of an expression have their annotated apex,
    or, where the config says so, that of the greatest motion. Those without an apex by their
    emotion have what `without_apex` says.

    Parameters
    ----------
    clip : mapping
        The clip's row of `schemas.INDEX`.
    motion_apex : int, optional
        The frame of its greatest expression motion; None where it was not found.
    without_apex : str
        ``middle``, ``motion`` or ``skip``.
    """
    if clip["status"] != "ok":
        return None
    if clip["apex_frame"] is not None:
        return clip["apex_frame"], clip["apex_source"]
    source = clip["apex_source"] or without_apex
    if source == "middle":
        return middle_frame(clip["n_frames"]), "middle"
    if source == "motion" and motion_apex is not None:
        return motion_apex, "motion"
    return None


def middle_frame(n_frames: int) -> int:
    """Return the frame in the middle of a clip, the earlier of two."""
    return (n_frames - 1) // 2


def read_apexes(table: Path) -> dict[str, int]:
    """Return the frame of greatest expression motion of each clip that has one, by its id.

    Parameters
    ----------
    table : Path
        A subject's `schemas.EXPRESSION`.
    """
    rows = read_rows(table, ("clip_id", "frame_index", "motion_apex"))
    return {row["clip_id"]: row["frame_index"] for row in rows if row["motion_apex"]}

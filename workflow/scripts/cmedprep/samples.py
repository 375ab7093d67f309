"""The samples of a clip: slots with their images and labels."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from cmedprep.sampling import middle_frame, sample_clip
from cmedprep.tables import CLIP_KEY_NAMES

_OF_FRAMES = ["frame_index", "timestamp_s", "image"]


def sample_rows(
    clip: Mapping[str, Any],
    frames: pa.Table,
    scheme: Mapping[str, Any],
    without_apex: str,
) -> list[dict[str, Any]]:
    """Return a clip's rows of `schemas.SAMPLES`; none if it cannot be sampled.

    Only clips with status ``ok`` are sampled. Those without an apex by their emotion are
    sampled around their middle frame, or skipped. A slot whose frame has no image, as it has
    no face, keeps its row with `image` null.

    Parameters
    ----------
    clip : mapping
        The clip's row of `schemas.INDEX`.
    frames : pyarrow.Table
        Its rows of `schemas.FRAMES`.
    scheme : mapping
        An entry of the config's `sampling.schemes`.
    without_apex : str
        ``middle`` or ``skip``.
    """
    apex, source = clip["apex_frame"], clip["apex_source"]
    if clip["status"] != "ok":
        return []
    if apex is None:
        if without_apex == "skip":
            return []
        apex, source = middle_frame(clip["n_frames"]), "middle"
    written = {row["frame_index"]: row for row in frames.select(_OF_FRAMES).to_pylist()}
    rows = []
    for slot in sample_clip(clip["n_frames"], apex, scheme):
        frame = written.get(slot.frame_index, {})
        rows.append(
            {name: clip[name] for name in CLIP_KEY_NAMES}
            | {
                "scheme": scheme["name"],
                "slot": slot.slot,
                "frame_index": slot.frame_index,
                "timestamp_s": frame.get("timestamp_s"),
                "offset_from_apex": slot.offset_from_apex,
                "phase": slot.phase,
                "apex_source": source,
                "repeated": slot.repeated,
                "emotion_3class": clip["emotion_3class"],
                "image": frame.get("image"),
            }
        )
    return rows

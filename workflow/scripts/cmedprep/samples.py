"""The samples of a clip: slots with their images and labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmedprep.images import OF_IMAGES, ImageStore, read_images
from cmedprep.interpolation import interpolate, tim_weights
from cmedprep.sampling import sample_clip
from cmedprep.tables import CLIP_KEY_NAMES

_OF_FRAMES = ("timestamp_s", "interpolated", "image", "sha256", "pixels_sha256")

Row = dict[str, Any]


def sample_rows(
    clip: Mapping[str, Any],
    frames: pa.Table,
    apex: tuple[int, str],
    scheme: Mapping[str, Any],
) -> list[Row]:
    """Return a clip's rows of `schemas.SAMPLES`.

    A slot whose frame has no image, as it has no face, keeps its row with `image` null.

    Parameters
    ----------
    clip : mapping
        The clip's row of `schemas.INDEX`.
    frames : pyarrow.Table
        Its rows of `schemas.FRAMES`.
    apex : tuple
        The apex frame and its source, see `apexes.choose_apex`.
    scheme : mapping
        An entry of the config's `sampling.schemes`.
    """
    apex_frame, source = apex
    written = {row["frame_index"]: row for row in _without_images(frames).to_pylist()}
    repeats = {
        frame: row["repeats_frame"]
        for frame, row in written.items()
        if row["repeats_frame"] is not None
    }
    return [
        {name: clip[name] for name in CLIP_KEY_NAMES}
        | {
            "scheme": scheme["name"],
            "slot": slot.slot,
            "frame_index": slot.frame_index,
            "position": slot.position,
            "offset_from_apex": slot.offset_from_apex,
            "phase": slot.phase,
            "apex_source": source,
            "repeated": slot.repeated,
            "emotion_3class": clip["emotion_3class"],
        }
        | {name: written.get(slot.frame_index, {}).get(name) for name in _OF_FRAMES}
        for slot in sample_clip(clip["n_frames"], apex_frame, scheme, repeats)
    ]


def interpolate_rows(
    rows: list[Row], frames: pa.Table, results: Path, store: ImageStore
) -> list[Row]:
    """Give each slot of a clip the image that is interpolated at its position.

    Only frames with a face that repeat no earlier one are interpolated between. Nothing is made up
    for frames without an image: a slot at one, or between two that have such frames between them,
    has none.

    Parameters
    ----------
    rows : list of dict
        The clip's rows, see `sample_rows`; those of a scheme of method ``tim``.
    frames : pyarrow.Table
        Its rows of `schemas.FRAMES`, with images where they are inside.
    results : Path
        The folder that `image` is relative to.
    store : ImageStore
        Where interpolated images are kept.
    """
    rows = [row | dict.fromkeys((*OF_IMAGES, "timestamp_s", "interpolated")) for row in rows]
    with_face = frames.filter(pc.invert(frames["interpolated"]))
    distinct = with_face.filter(with_face["repeats_frame"].is_null())
    nodes, written = (table["frame_index"].to_numpy() for table in (distinct, frames))
    known = [row for row in rows if _has_neighbours(row["position"], nodes, written)]
    if not known:
        return rows
    positions = [row["position"] for row in known]
    images = interpolate(read_images(distinct, results), tim_weights(nodes, positions))
    times = np.interp(positions, written, frames["timestamp_s"].to_numpy()).tolist()
    for row, time, image in zip(known, times, images, strict=True):
        kept, _ = store.keep(f"{row['clip_id']}/{row['slot']:06d}", image)
        row |= {"timestamp_s": time, "interpolated": False}
        row |= {name: kept[name] for name in OF_IMAGES}
    return rows


def _has_neighbours(position: float, nodes: np.ndarray, written: np.ndarray) -> bool:
    """Tell whether every frame has an image from the node before a position to the one after.

    A freeze and a gap that was bridged have images and no nodes; the last node is that of the
    freeze at a clip's end.
    """
    before, after = nodes[nodes <= position], nodes[nodes >= position]
    if not before.size:
        return False
    first = int(before[-1])
    last = int(after[0]) if after.size else int(np.ceil(position))
    return bool(np.isin(range(first, last + 1), written).all())


def _without_images(frames: pa.Table) -> pa.Table:
    return frames.drop_columns("encoded") if "encoded" in frames.column_names else frames

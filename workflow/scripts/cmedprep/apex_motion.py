"""The motion of a clip from onset to apex: optical flow and strain, as a row of a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmedprep.expression import crop_landmarks
from cmedprep.flow import (
    face_mask,
    flow_between,
    optical_strain,
    remove_rigid,
    template_of_crop,
)
from cmedprep.geometry import Template
from cmedprep.images import read_images
from cmedprep.schemas import MOTION
from cmedprep.tables import CLIP_KEY_NAMES, to_array

ONSET = 0
"""A clip begins at its onset."""


def motion_schema(size: int) -> pa.Schema:
    """Return `schemas.MOTION` for images of a width and height in pixels.

    Flow and strain are flat lists that every reader of Parquet knows; `shape` is the flow's.
    """
    flow = pa.field("flow", pa.list_(pa.float16(), size * size * 2))
    strain = pa.field("strain", pa.list_(pa.float16(), size * size))
    return pa.schema([*MOTION, flow, strain])


def measure_clip(
    clip: Mapping[str, Any],
    apex: tuple[int, str],
    frames: pa.Table,
    faces: pa.Table,
    results: Path,
    template: Template,
    method: str,
) -> dict[str, Any]:
    """Return a clip's row of `motion_schema`; its `reason` says why there is nothing in it.

    Parameters
    ----------
    clip : mapping
        The clip's row of `schemas.INDEX`.
    apex : tuple
        The apex frame and its source, see `apexes.choose_apex`.
    frames, faces : pyarrow.Table
        The clip's rows of `schemas.FRAMES` and `schemas.FACES`.
    results : Path
        The folder that `image` is relative to.
    template : Template
        To which the images are aligned.
    method : str
        One of `flow.METHODS`.
    """
    apex_frame, source = apex
    row = {name: clip[name] for name in (*CLIP_KEY_NAMES, "emotion_3class")} | {
        "method": method,
        "onset_frame": ONSET,
        "apex_frame": apex_frame,
        "apex_source": source,
        "reason": "",
    }
    written = frames["frame_index"].to_pylist()
    with_face = frames.filter(pc.invert(frames["interpolated"]))["frame_index"].to_pylist()
    for frame, name in ((ONSET, "onset"), (apex_frame, "apex")):
        if frame not in with_face:
            return row | {"reason": f"the {name} frame {frame} has no face"}
    places = [written.index(frame) for frame in (ONSET, apex_frame)]
    onset, at_apex = read_images(frames, results, places)
    mesh, crop = _mesh_at_onset(frames, faces), template_of_crop(template, len(onset))
    flow = remove_rigid(flow_between(onset, at_apex, method), mesh, crop)
    strain = optical_strain(flow)
    face = face_mask(mesh, crop)
    length = np.linalg.norm(flow, axis=-1)
    return row | {
        "shape": list(flow.shape),
        "mean_px": float(length[face].mean()),
        "max_px": float(length[face].max()),
        "mean_strain": float(strain[face].mean()),
        "flow": flow.astype(np.float16).ravel(),
        "strain": strain.astype(np.float16).ravel(),
    }


def _mesh_at_onset(frames: pa.Table, faces: pa.Table) -> np.ndarray:
    """Return the landmarks of the onset, which has a face, in pixels of its image, (478, 3)."""
    landmarks = to_array(faces["landmarks"].slice(ONSET, 1), (-1, 3))
    mesh: np.ndarray = crop_landmarks(landmarks, to_array(frames["matrix"].slice(0, 1), (2, 3)))[0]
    return mesh

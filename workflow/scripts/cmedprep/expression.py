"""The motion of the expression in a clip's images, frame by frame, and its apex."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from cmedprep.geometry import Template, apply, scale_of
from cmedprep.images import read_images
from cmedprep.schemas import EXPRESSION
from cmedprep.spotting import spot_apex
from cmedprep.tables import FRAME_KEY_NAMES, to_array


def spot_clip(frames: pa.Table, faces: pa.Table, results: Path, template: Template) -> pa.Table:
    """Return a clip's rows of `schemas.EXPRESSION`, one for each image.

    Parameters
    ----------
    frames, faces : pyarrow.Table
        The clip's rows of `schemas.FRAMES` and `schemas.FACES`.
    results : Path
        The folder that `image` is relative to.
    template : Template
        In whose pixels motion is stated, whatever the size of the images.
    """
    landmarks = crop_landmarks(frames, faces)
    spotted = spot_apex(read_images(frames, results), landmarks, template)
    count = frames.num_rows
    columns = {name: frames[name] for name in FRAME_KEY_NAMES} | {
        "motion_px": pa.array(spotted.motion_px, from_pandas=True),
        "motion_smooth_px": pa.array(spotted.smooth_px, from_pandas=True),
        "motion_apex": np.arange(count) == (-1 if spotted.apex is None else spotted.apex),
        "motion_peak_px": pa.array([spotted.peak_px] * count, from_pandas=True),
        "motion_snr": pa.array([spotted.snr] * count, from_pandas=True),
    }
    return pa.table(columns, schema=EXPRESSION)


def crop_landmarks(frames: pa.Table, faces: pa.Table) -> np.ndarray:
    """Return the landmarks of each image in its own pixels, (n, 478, 3), NaN without a face.

    Parameters
    ----------
    frames, faces : pyarrow.Table
        A clip's rows of `schemas.FRAMES` and `schemas.FACES`.
    """
    landmarks = to_array(faces["landmarks"], (-1, 3))[frames["frame_index"].to_numpy()]
    matrices = to_array(frames["matrix"], (2, 3))
    depth = landmarks[..., 2:] * scale_of(matrices)[:, None, None]
    return np.concatenate([apply(matrices, landmarks[..., :2]), depth], axis=-1)

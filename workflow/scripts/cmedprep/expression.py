"""The motion of the expression in a clip's images, frame by frame, and its apex."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from cmedprep.geometry import Template, apply, scale_of
from cmedprep.schemas import EXPRESSION
from cmedprep.spotting import spot_apex


def spot_clip(
    images: Iterable[np.ndarray], landmarks: np.ndarray, keys: pa.Table, template: Template
) -> pa.Table:
    """Return a clip's rows of `schemas.EXPRESSION`, one for each image.

    Parameters
    ----------
    images : iterable of ndarray, shape (size, size, 3), uint8
        The clip's n aligned faces, RGB. Where there is nothing to measure, not all are asked for.
    landmarks : ndarray, shape (n, 478, 3)
        In pixels of these images, see `crop_landmarks`.
    keys : pyarrow.Table
        The columns that name the n images.
    template : Template
        In whose pixels motion is stated, whatever the size of the images.
    """
    spotted = spot_apex(images, landmarks, template)
    count = keys.num_rows
    columns = {name: keys[name] for name in keys.column_names} | {
        "motion_px": pa.array(spotted.motion_px, from_pandas=True),
        "motion_smooth_px": pa.array(spotted.smooth_px, from_pandas=True),
        "motion_apex": np.arange(count) == (-1 if spotted.apex is None else spotted.apex),
        "motion_peak_px": pa.array([spotted.peak_px] * count, from_pandas=True),
        "motion_snr": pa.array([spotted.snr] * count, from_pandas=True),
    }
    return pa.table(columns, schema=EXPRESSION)


def crop_landmarks(landmarks: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Return landmarks of source frames in the pixels of their crops, shape (n, 478, 3).

    Parameters
    ----------
    landmarks : ndarray, shape (n, 478, 3)
        In source pixels; NaN without a face, and so is what is returned.
    matrices : ndarray, shape (n, 2, 3)
        Source pixel to crop pixel.
    """
    depth = landmarks[..., 2:] * scale_of(matrices)[:, None, None]
    return np.concatenate([apply(matrices, landmarks[..., :2]), depth], axis=-1)

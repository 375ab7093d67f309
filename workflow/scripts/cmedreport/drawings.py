"""A face as a few dots: what a report shows of landmarks.

They are of brows, lips and jaw. A drawing of lines, of eyes, or of twice as many dots is a face to
MediaPipe's detectors; these dots are none (`tests/test_report_privacy.py`).
"""

import base64

import numpy as np

BROWS = (105, 334)
LIPS = (61, 0, 291, 17)
OUTLINE = (127, 132, 172, 150, 379, 397, 361, 356)
DOTS = (*BROWS, *LIPS, *OUTLINE)
"""Mesh ids of the dots."""

UNITS = 16000
"""A crop's width in the units in which places of dots are kept."""


def place_dots(landmarks: np.ndarray, matrix: np.ndarray, size: float) -> np.ndarray:
    """Return where the dots lie in a crop.

    Parameters
    ----------
    landmarks : ndarray, shape (478, 3)
        In source pixels.
    matrix : ndarray, shape (2, 3)
        Source pixel to pixel of an image that is `size` pixels wide.
    size : float
        That width.

    Returns
    -------
    ndarray, shape (14, 2), uint16
        x and y in `UNITS` for a width, with 2000 for the crop's left and upper rim: dots may lie
        beyond it. All are `2**16 - 1` where there is no face.
    """
    points = landmarks[list(DOTS), :2] @ matrix[:, :2].T + matrix[:, 2]
    if not np.isfinite(points).all():
        return np.full((len(DOTS), 2), 2**16 - 1, np.uint16)
    placed: np.ndarray = np.clip(np.rint(points / size * UNITS) + 2000, 0, 2**16 - 2)
    return placed.astype(np.uint16)


def pack(dots: np.ndarray) -> str:
    """Return places of dots in base64: 16 bits each, little-endian."""
    return base64.b64encode(dots.astype("<u2").tobytes()).decode()

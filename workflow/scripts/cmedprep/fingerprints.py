"""A few numbers of a clip by which two runs can be compared that are equal but for rounding.

Digests tell only whether results are identical. Another CPU or another build of a library may
move a landmark by a thousandth of a pixel; fingerprints tell how far. They are kept for a few
frames of a clip, take less than 2 kB, and show no face: eight points of it, a transform, and
random projections of the aligned image, 32 numbers for its 150,000.
"""

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cmedprep.images import read_images
from cmedprep.landmarks import RIGID
from cmedprep.tables import to_array

N_FRAMES = 8
N_PROJECTIONS = 32
_EXACT = (2**24 - 1) // 255
"""So many pixel values have a sum that float32 holds exactly."""


def fingerprint_frames(written: Sequence[int]) -> list[int]:
    """Choose the frames of a clip that have a fingerprint: at most 8, evenly, with both ends."""
    places = np.linspace(0, len(written) - 1, min(N_FRAMES, len(written)))
    return [written[i] for i in np.round(places).astype(int)]


def fingerprint_clip(frames: pa.Table, results: Path) -> list[dict[str, Any]]:
    """Return a clip's fingerprints as the manifest has them, still without landmarks.

    Parameters
    ----------
    frames : pyarrow.Table
        The clip's rows of `schemas.FRAMES`.
    results : Path
        The folder that `image` is relative to.

    Raises
    ------
    RuntimeError
        An image is not the one that was written.
    """
    written = frames["frame_index"].to_pylist()
    matrices = to_array(frames["matrix"], (6,))
    chosen = fingerprint_frames(written)
    rows = [written.index(frame) for frame in chosen]
    images = read_images(frames, results, rows)
    return [
        {
            "frame_index": frame,
            "matrix": matrices[row].tolist(),
            "projections": project(image).tolist(),
        }
        for frame, row, image in zip(chosen, rows, images, strict=True)
    ]


def with_landmarks(fingerprints: list[dict[str, Any]], faces: pa.Table) -> list[dict[str, Any]]:
    """Add the landmarks to a clip's fingerprints, from its rows of `schemas.FACES`."""
    rigid = to_array(faces["landmarks"], (-1, 3))[:, RIGID, :2]
    points = [rigid[fingerprint["frame_index"]].ravel() for fingerprint in fingerprints]
    return [
        fingerprint | {"landmarks": None if np.isnan(p).any() else p.tolist()}
        for fingerprint, p in zip(fingerprints, points, strict=True)
    ]


def project(image: np.ndarray) -> np.ndarray:
    """Return random projections of an image, shape (32,), int64.

    Each is the sum of all values with random signs. Of the difference of two images their mean
    square is an unbiased estimate of the sum of squares (Johnson and Lindenstrauss 1984;
    Achlioptas 2003), so the PSNR can be told from the projections alone.

    Parameters
    ----------
    image : ndarray, uint8
        Any shape.
    """
    values = image.ravel().astype(np.float32)
    adds = _signs(values.size)
    # The sum with signs is twice the sum of the positive ones less the sum of all. The sums are
    # whole numbers below 2**24, so they are exact, in whichever order they are added up.
    positive = np.zeros(N_PROJECTIONS, np.int64)
    for start in range(0, values.size, _EXACT):
        part = slice(start, start + _EXACT)
        positive += (adds[:, part] @ values[part]).astype(np.int64)
    result: np.ndarray = 2 * positive - image.sum(dtype=np.int64)
    return result


def psnr(one: Sequence[int], other: Sequence[int], n_values: int) -> float:
    """Estimate the PSNR in dB of two images of `n_values` values from their projections.

    The estimate has a standard error of 25 % in the mean square, 1 dB; inf where all are equal.
    """
    difference = np.asarray(one, float) - np.asarray(other, float)
    mean_square = np.square(difference).mean() / n_values
    return float(10 * np.log10(255**2 / mean_square)) if mean_square else float("inf")


def displacement(one: Mapping[str, Any], other: Mapping[str, Any], size: int) -> float:
    """Return by how far two frames' matrices differ: most at a corner of the crop, in its px.

    Parameters
    ----------
    one, other : mapping
        Fingerprints of a frame.
    size : int
        Width and height of the crop in pixels.
    """
    first, second = (np.reshape(f["matrix"], (2, 3)) for f in (one, other))
    corners = np.array([[0, 0], [size - 1, 0], [0, size - 1], [size - 1, size - 1]], float)
    source = (corners - first[:, 2]) @ np.linalg.inv(first[:, :2]).T
    apart = second - first
    return float(np.linalg.norm(source @ apart[:, :2].T + apart[:, 2], axis=1).max())


def landmark_distance(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Return the largest distance of two frames' landmarks, in source px; NaN without a face."""
    if one["landmarks"] is None or other["landmarks"] is None:
        return 0.0 if one["landmarks"] is other["landmarks"] else float("nan")
    apart = np.subtract(one["landmarks"], other["landmarks"]).reshape(-1, 2)
    return float(np.linalg.norm(apart, axis=1).max())


@cache
def _signs(n_values: int) -> np.ndarray:
    """Return 1 for the values that a projection adds, (32, n), the same everywhere and for ever."""
    stream = hashlib.shake_256(b"cmed fingerprint").digest(N_PROJECTIONS * -(-n_values // 8))
    bits = np.unpackbits(np.frombuffer(stream, np.uint8).reshape(N_PROJECTIONS, -1), axis=1)
    return bits[:, :n_values].astype(np.float32)

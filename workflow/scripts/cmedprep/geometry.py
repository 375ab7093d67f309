"""Similarity transforms, and the canonical template of the face.

A transform is an array of shape (2, 3), ``q = M[:, :2] @ p + M[:, 2]``. Points are in
pixels with pixel centres at whole numbers, x to the right and y down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Template:
    """Where the eyes come to lie in a square crop.

    Attributes
    ----------
    size : int
        Width and height in pixels.
    inter_ocular : float
        Distance between the eyes' centres in pixels; an eye's centre is the midpoint of its
        two corners.
    eye_midpoint : tuple of float
        The point (x, y) midway between the eyes.
    """

    size: int = 224
    inter_ocular: float = 90.0
    eye_midpoint: tuple[float, float] = (112.0, 90.0)

    @classmethod
    def from_config(cls, entry: Mapping[str, Any]) -> "Template":
        """Make the template of the config's `alignment.template`."""
        x, y = entry["eye_midpoint"]
        return cls(int(entry["size"]), float(entry["inter_ocular"]), (float(x), float(y)))

    @property
    def eyes(self) -> np.ndarray:
        """Centres of the right and the left eye, shape (2, 2); the right is on the left."""
        half = np.array([self.inter_ocular / 2, 0.0])
        return np.stack([self.eye_midpoint - half, self.eye_midpoint + half])


def fit_similarity(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the similarity that brings points nearest to their targets.

    The least-squares solution in closed form; with points as complex numbers
    ``q = a p + b`` it is ``a = sum(w conj(p') q') / sum(w |p'|^2)``, primes meaning
    deviations from the weighted mean. It never reflects (Umeyama 1991, for the plane).

    Parameters
    ----------
    source, target : ndarray, shape (..., n, 2)
        Points and where they should go; leading axes are fitted separately.
    weights : ndarray, shape (..., n), optional
        Weight of each point; all equal by default.

    Returns
    -------
    ndarray, shape (..., 2, 3), float64
        NaN where the points do not determine a similarity.
    """
    p = source[..., 0].astype(float) + 1j * source[..., 1].astype(float)
    q = target[..., 0].astype(float) + 1j * target[..., 1].astype(float)
    w = np.ones(p.shape) if weights is None else weights
    total = w.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        p0 = (w * p).sum(axis=-1) / total
        q0 = (w * q).sum(axis=-1) / total
        dp, dq = p - p0[..., None], q - q0[..., None]
        spread = (w * np.abs(dp) ** 2).sum(axis=-1)
        # Points in one place spread by no more than their rounding.
        spread = np.where(spread > 1e-24 * (w * np.abs(p) ** 2).sum(axis=-1), spread, np.nan)
        a = (w * dp.conj() * dq).sum(axis=-1) / spread
    return from_complex(a, q0 - a * p0)


def from_complex(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return q = a p + b over the complex plane as similarities of shape (..., 2, 3)."""
    return np.stack(
        [np.stack([a.real, -a.imag, b.real], -1), np.stack([a.imag, a.real, b.imag], -1)], -2
    )


def to_complex(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a and b of `from_complex`, shapes (...), of similarities of shape (..., 2, 3)."""
    a: np.ndarray = matrix[..., 0, 0] + 1j * matrix[..., 1, 0]
    b: np.ndarray = matrix[..., 0, 2] + 1j * matrix[..., 1, 2]
    return a, b


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Transform points of shape (..., n, 2) by transforms of shape (..., 2, 3)."""
    result: np.ndarray = points @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]
    return result


def compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Return the similarity that applies `inner` and then `outer`, shapes (..., 2, 3)."""
    (a, b), (c, d) = to_complex(outer), to_complex(inner)
    return from_complex(a * c, a * d + b)


def invert(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of similarities of shape (..., 2, 3); NaN stays NaN."""
    a, b = to_complex(matrix)
    # Not 1 / a, which warns of NaN.
    inverse = a.conj() * (1.0 / (np.square(a.real) + np.square(a.imag)))
    return from_complex(inverse, -b * inverse)


def scale_of(matrix: np.ndarray) -> np.ndarray:
    """Return the scale of similarities of shape (..., 2, 3)."""
    result: np.ndarray = np.hypot(matrix[..., 0, 0], matrix[..., 1, 0])
    return result


def resize(size: int, new_size: int) -> np.ndarray:
    """Return the transform from pixels of a square image to those of it resized.

    The images' edges coincide, so pixel centres move by half the difference in size.
    """
    factor = new_size / size
    shift = (factor - 1) / 2
    return np.array([[factor, 0.0, shift], [0.0, factor, shift]])


def to_crop(matrix: np.ndarray, template: Template, size: int) -> np.ndarray:
    """Return source-to-crop transforms for a crop of another size than the template's."""
    return compose(np.broadcast_to(resize(template.size, size), matrix.shape), matrix)


def cut_seen(
    image: np.ndarray, matrix: np.ndarray, size: int, margin: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cut out of a frame the part that a crop sees.

    Parameters
    ----------
    image : ndarray, shape (height, width, ...)
        The frame.
    matrix : ndarray, shape (2, 3)
        Frame pixel to crop pixel.
    size : int
        Width and height of the crop in pixels.
    margin : int
        Whole pixels to keep around the part for filters, as far as the frame has them.

    Returns
    -------
    part : ndarray
        A view of the frame; empty if the crop sees nothing of it.
    matrix : ndarray, shape (2, 3)
        Pixel of the part to crop pixel.
    """
    end = size - 1
    corners = apply(invert(matrix), np.array([[0, 0], [end, 0], [0, end], [end, end]]))
    limit = (image.shape[1], image.shape[0])
    x0, y0 = np.clip(np.floor(corners.min(axis=0)) - margin, 0, limit).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0)) + margin + 1, 0, limit).astype(int)
    shift = np.array([[1.0, 0.0, x0], [0.0, 1.0, y0]])
    return image[y0:y1, x0:x1], compose(matrix, shift)


def interpolate_similarities(matrices: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """Fill transforms that are NaN between two that are not.

    What is interpolated, linearly over frames, is the camera's view: which source point lies
    at the crop's centre, the logarithm of the scale, and the angle.

    Parameters
    ----------
    matrices : ndarray, shape (n, 2, 3)
        Similarities, source to crop. Those before the first and after the last that is known
        stay NaN.
    centre : ndarray, shape (2,)
        The crop's centre in crop pixels.
    """
    known = np.flatnonzero(~np.isnan(matrices[:, 0, 0]))
    filled = matrices.copy()
    if len(known) < 2:
        return filled
    missing = np.setdiff1d(np.arange(known[0], known[-1]), known)
    if not len(missing):
        return filled
    views = invert(matrices[known])
    looked_at = apply(views, np.broadcast_to(centre, (len(known), 1, 2)))[:, 0]
    a = matrices[known, 0, 0] + 1j * matrices[known, 1, 0]
    size = np.exp(np.interp(missing, known, np.log(np.abs(a))))
    angle = np.interp(missing, known, np.unwrap(np.angle(a)))
    point = np.stack([np.interp(missing, known, looked_at[:, axis]) for axis in (0, 1)], axis=1)
    new_a = size * np.exp(1j * angle)
    aim = complex(*centre)
    filled[missing] = from_complex(new_a, aim - new_a * (point[:, 0] + 1j * point[:, 1]))
    return filled

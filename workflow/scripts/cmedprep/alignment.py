"""Align a clip: one similarity from source pixels to the canonical template per frame.

Each method is a function of the same form: landmarks of all frames and the template in, one
matrix for each frame out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa

from cmedprep.geometry import (
    RIGID,
    Template,
    apply,
    compose,
    eye_centres,
    fit_similarity,
    interpolate_similarities,
    resize,
)
from cmedprep.schemas import ALIGNMENT, MATRIX
from cmedprep.tables import FRAME_KEY_NAMES, fixed_list

Method = Callable[[np.ndarray, Template], np.ndarray]


@dataclass(frozen=True, slots=True)
class Alignment:
    """The alignment of a clip of n frames.

    Attributes
    ----------
    matrix : ndarray, shape (n, 2, 3), float64
        Source pixel to template pixel; NaN for a frame that has no place in the output.
    interpolated : ndarray of bool, shape (n,)
        Frames without a face whose matrix comes from their neighbours.
    method : str
        How the other matrices were found.
    """

    matrix: np.ndarray
    interpolated: np.ndarray
    method: str


def align_clip(landmarks: np.ndarray, template: Template, method: str, max_gap: int) -> Alignment:
    """Align all frames of a clip by one of `METHODS`, and bridge short gaps.

    Parameters
    ----------
    landmarks : ndarray, shape (n, 478, 3)
        In source pixels; NaN in frames without a face.
    template : Template
        Where the eyes are to be.
    method : str
        A key of `METHODS`.
    max_gap : int
        Longest run of frames without a face, between two with one, that is bridged.
    """
    matrix = METHODS[method](landmarks, template)
    seen = ~np.isnan(landmarks[:, 0, 0])
    matrix[~seen] = np.nan
    centre = np.full(2, (template.size - 1) / 2)
    bridged = short_gaps(seen, max_gap)
    filled = interpolate_similarities(matrix, centre)
    matrix[bridged] = filled[bridged]
    return Alignment(matrix, bridged, method)


def short_gaps(seen: np.ndarray, max_gap: int) -> np.ndarray:
    """Mark the frames in runs of at most `max_gap` unseen frames between two seen ones."""
    marked = np.zeros(len(seen), bool)
    known = np.flatnonzero(seen)
    for before, after in pairwise(known):
        if 1 < after - before <= max_gap + 1:
            marked[before + 1 : after] = True
    return marked


def align_by_landmarks(landmarks: np.ndarray, template: Template) -> np.ndarray:
    """Fit each frame by itself, from the rigid landmarks to the clip's own rigid shape.

    The shape is the clip's median with the eyes on the template, so that every subject's eyes
    come to lie there, whatever the length of the nose.
    """
    points = landmarks[:, RIGID, :2].astype(float)
    shape = _rigid_shape(landmarks, template)
    return fit_similarity(points, np.broadcast_to(shape, points.shape))


def align_by_first_frame(landmarks: np.ndarray, template: Template) -> np.ndarray:
    """Use the fit of the first frame with a face for the whole clip.

    What micro-expression laboratories often do: steady, but it leaves all head motion in.
    """
    matrices = align_by_landmarks(landmarks, template)
    seen = np.flatnonzero(~np.isnan(matrices[:, 0, 0]))
    return np.repeat(matrices[seen[:1]], len(matrices), axis=0) if len(seen) else matrices


METHODS: Mapping[str, Method] = {
    "landmarks": align_by_landmarks,
    "first_frame": align_by_first_frame,
}


def _rigid_shape(landmarks: np.ndarray, template: Template) -> np.ndarray:
    """Return the clip's median of the rigid points, shape (8, 2), eyes on the template."""
    seen = landmarks[~np.isnan(landmarks[:, 0, 0])].astype(float)
    if not len(seen):
        return np.full((len(RIGID), 2), np.nan)
    eyes = eye_centres(seen)
    by_eyes = fit_similarity(eyes, np.broadcast_to(template.eyes, eyes.shape))
    shape = np.median(apply(by_eyes, seen[:, RIGID, :2]), axis=0)
    # The median may have moved the eyes' centres by a hair; put them back exactly.
    corners = np.stack([shape[:2].mean(axis=0), shape[2:4].mean(axis=0)])
    return apply(fit_similarity(corners, template.eyes), shape)


def to_crop(matrix: np.ndarray, template: Template, size: int) -> np.ndarray:
    """Return source-to-crop transforms for a crop of another size than the template's."""
    return compose(np.broadcast_to(resize(template.size, size), matrix.shape), matrix)


def alignment_rows(faces: pa.Table, alignment: Alignment) -> pa.Table:
    """Return a clip's rows of `schemas.ALIGNMENT`, for its rows of `schemas.FACES`."""
    placed = ~np.isnan(alignment.matrix[:, 0, 0])
    method = np.where(alignment.interpolated, "interpolated", alignment.method)
    columns = {name: faces[name] for name in FRAME_KEY_NAMES} | {
        "matrix": fixed_list(alignment.matrix, placed, MATRIX),
        "method": pa.array(method.tolist(), mask=~placed),
        "interpolated": alignment.interpolated,
    }
    return pa.table(columns, schema=ALIGNMENT)

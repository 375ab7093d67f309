"""Align a clip: one similarity from source pixels to the canonical template per frame.

Each method is a function of the same form: a clip's faces and the template in, an `Alignment`
out. `align_clip` chooses one and does what is common to all.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from cmedprep.geometry import Template, apply, fit_similarity, interpolate_similarities
from cmedprep.landmarks import RIGID, eye_centres
from cmedprep.pose import head_pose
from cmedprep.schemas import ALIGNMENT, MATRIX
from cmedprep.stabilise import stabilise
from cmedprep.tables import FRAME_KEY_NAMES, fixed_list

PER_FRAME = ("n_tracks", "n_inliers", "residual_px", "error_px", "blur")
PER_CLIP = ("residual_jitter_px", "residual_drift_px", "landmark_jitter_px", "landmark_drift_px")


@dataclass(frozen=True, slots=True)
class ClipFaces:
    """What a method may use of a clip of n frames.

    Attributes
    ----------
    landmarks : ndarray, shape (n, 478, 3)
        In source pixels; NaN in frames without a face.
    open_frames : callable
        Opens the clip from its start: an iterator of images, shape (height, width, 3), uint8, RGB.
    """

    landmarks: np.ndarray
    open_frames: Callable[[], Iterator[np.ndarray]]

    @property
    def seen(self) -> np.ndarray:
        """Which frames have a face, shape (n,)."""
        result: np.ndarray = ~np.isnan(self.landmarks[:, 0, 0])
        return result


@dataclass(frozen=True, slots=True)
class Alignment:
    """The alignment of a clip of n frames.

    Attributes
    ----------
    matrix : ndarray, shape (n, 2, 3), float64
        Source pixel to template pixel; NaN for a frame that has no place in the output.
    method : ndarray of str, shape (n,)
        How each frame's matrix was found.
    certificate : mapping
        What the method knows of its own error: arrays of shape (n,) named in `PER_FRAME`, and
        floats named in `PER_CLIP`. Empty for a method that measures nothing.
    """

    matrix: np.ndarray
    method: np.ndarray
    certificate: Mapping[str, Any] = field(default_factory=dict)

    @property
    def interpolated(self) -> np.ndarray:
        """Which frames have no face, and their matrix from their neighbours; shape (n,)."""
        result: np.ndarray = self.method == "interpolated"
        return result


Method = Callable[[ClipFaces, Template], Alignment]


def align_clip(clip: ClipFaces, template: Template, method: str, max_gap: int) -> Alignment:
    """Align all frames of a clip by one of `METHODS`, and bridge short gaps.

    Parameters
    ----------
    clip : ClipFaces
        The clip.
    template : Template
        Where the eyes are to be.
    method : str
        A key of `METHODS`.
    max_gap : int
        Longest run of frames without a face, between two with one, whose matrices are
        interpolated; their method is ``interpolated``.
    """
    aligned = METHODS[method](clip, template)
    matrix = np.where(clip.seen[:, None, None], aligned.matrix, np.nan)
    bridged = short_gaps(clip.seen, max_gap)
    centre = np.full(2, (template.size - 1) / 2)
    matrix[bridged] = interpolate_similarities(matrix, centre)[bridged]
    names = np.where(bridged, "interpolated", aligned.method)
    return replace(aligned, matrix=matrix, method=names)


def align_by_skin(clip: ClipFaces, template: Template) -> Alignment:
    """Start from all landmarks, and refine by tracking skin; see `stabilise`.

    Where the tracks cannot be trusted the frame keeps its landmarks, and says so.
    """
    coarse = fit_to_shape(clip.landmarks, tuple(range(_MESH)), template)
    found = stabilise(clip.open_frames, clip.landmarks, coarse, template)
    method = np.where(found.refined, "stabilised", "landmarks")
    certificate = {name: getattr(found, name) for name in (*PER_FRAME, *PER_CLIP)}
    return Alignment(found.matrix, method, certificate)


def align_by_landmarks(clip: ClipFaces, template: Template) -> Alignment:
    """Fit each frame by itself, by its rigid landmarks."""
    matrix = fit_to_shape(clip.landmarks, RIGID, template)
    return Alignment(matrix, np.full(len(matrix), "landmarks"))


def align_by_first_frame(clip: ClipFaces, template: Template) -> Alignment:
    """Use the fit of the first frame with a face for the whole clip.

    What micro-expression laboratories often do: steady, but it leaves all head motion in.
    """
    matrix = fit_to_shape(clip.landmarks, RIGID, template)
    first = matrix[np.flatnonzero(clip.seen)[:1]]
    matrix = np.repeat(first, len(matrix), axis=0) if len(first) else matrix
    return Alignment(matrix, np.full(len(matrix), "first_frame"))


METHODS: Mapping[str, Method] = {
    "stabilised": align_by_skin,
    "landmarks": align_by_landmarks,
    "first_frame": align_by_first_frame,
}

_MESH = 468  # points of the mesh; the ten after them are the irises, which follow the gaze


def fit_to_shape(landmarks: np.ndarray, ids: tuple[int, ...], template: Template) -> np.ndarray:
    """Fit some landmarks of each frame to the clip's own shape of them.

    The shape is the clip's median with the eyes on the template, so that every subject's eyes
    come to lie there, whatever the length of the nose.

    Parameters
    ----------
    landmarks : ndarray, shape (n, 478, 3)
        In source pixels; NaN in frames without a face.
    ids : tuple of int
        The landmarks to fit.
    template : Template
        Where the eyes are to be.

    Returns
    -------
    ndarray, shape (n, 2, 3)
        Source pixel to template pixel, NaN in frames without a face.
    """
    points = landmarks[:, ids, :2].astype(float)
    seen = landmarks[~np.isnan(landmarks[:, 0, 0])].astype(float)
    if not len(seen):
        return np.full((len(landmarks), 2, 3), np.nan)
    eyes = eye_centres(seen)
    by_eyes = fit_similarity(eyes, np.broadcast_to(template.eyes, eyes.shape))
    shape = np.median(apply(by_eyes, seen[..., :2]), axis=0)
    # The median may have moved the eyes' centres by a hair; put them back exactly.
    shape = apply(fit_similarity(eye_centres(shape), template.eyes), shape)[list(ids)]
    return fit_similarity(points, np.broadcast_to(shape, points.shape))


def short_gaps(seen: np.ndarray, max_gap: int) -> np.ndarray:
    """Mark the frames in runs of at most `max_gap` unseen frames between two seen ones."""
    marked = np.zeros(len(seen), bool)
    for before, after in pairwise(np.flatnonzero(seen)):
        if 1 < after - before <= max_gap + 1:
            marked[before + 1 : after] = True
    return marked


def alignment_rows(faces: pa.Table, clip: ClipFaces, alignment: Alignment) -> pa.Table:
    """Return a clip's rows of `schemas.ALIGNMENT`, for its rows of `schemas.FACES`."""
    placed = ~np.isnan(alignment.matrix[:, 0, 0])
    columns: dict[str, Any] = {name: faces[name] for name in FRAME_KEY_NAMES}
    columns |= {
        "matrix": fixed_list(alignment.matrix, placed, MATRIX),
        "method": pa.array(alignment.method.tolist(), mask=~placed),
        "interpolated": alignment.interpolated,
    }
    pose = head_pose(clip.landmarks.astype(float))
    columns |= {
        name: _column(pose[:, i], name)
        for i, name in enumerate(("yaw_deg", "pitch_deg", "roll_deg"))
    }
    unknown = np.full(len(placed), np.nan)
    for name in (*PER_FRAME, *PER_CLIP):
        values = alignment.certificate.get(name, unknown)
        values = np.broadcast_to(np.asarray(values, float), len(placed))
        columns[name] = _column(np.where(clip.seen, values, np.nan), name)
    return pa.table(columns, schema=ALIGNMENT)


def _column(values: np.ndarray, name: str) -> pa.Array:
    """Return numbers as a column, null where they are NaN."""
    column = pa.array(values, mask=np.isnan(values))
    return column.cast(ALIGNMENT.field(name).type)

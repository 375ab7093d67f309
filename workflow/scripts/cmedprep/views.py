"""A clip as seen from one reference or several.

The first reference is the clip's most typical face. Frames that look different to the landmarks
*and* leave large residuals (a head turned away, a laugh) get a reference of their own.
"""

from dataclasses import dataclass

import numpy as np

from cmedprep.geometry import Template, apply, compose, invert, scale_of
from cmedprep.motion import Motion, fit_motion, trusted, undo
from cmedprep.reference import Frames, Reference, build_reference, typical_frames, unlikeness
from cmedprep.tracks import Tracks, track

FINEST_PX = 0.01
"""Standard error below which no matrix is believed."""

# A single frame has nothing to be compared with.
_MAX_REFERENCES, _MIN_FRAMES, _MIN_FAR_FRAMES = 3, 2, 6
# A further reference: mean distance of landmarks in inter-ocular distances, residual of tracks.
_FAR, _MISFIT_PX = 0.033, 0.8
# Residual at which tracks err together as much as they err apart.
_CALM_RESIDUAL_PX = 0.4
_MEAN_LANDMARK_ERROR_PX = 0.3


@dataclass(frozen=True, slots=True)
class View:
    """A clip of n frames as one reference sees it.

    Attributes
    ----------
    reference, tracks, motion : Reference, Tracks, Motion
        What was followed, where it was found, and what that says of the head.
    similarity : ndarray, shape (3, n, 2, 3)
        Pre-aligned to reference, from all tracks, from fold 0, from fold 1.
    matrix : ndarray, shape (n, 2, 3)
        Source pixel to reference pixel.
    variance : ndarray, shape (n,)
        Of the matrix on skin in px**2; infinite where the tracks may not be trusted.
    """

    reference: Reference
    tracks: Tracks
    motion: Motion
    similarity: np.ndarray
    matrix: np.ndarray
    variance: np.ndarray


def view(reference: Reference, tracks: Tracks) -> View:
    """Align the clip to one reference."""
    motion = fit_motion(reference, tracks.flow, tracks.found)
    similarity = undo(reference, motion.parameters)
    # Where the tracks contradict each other, they also err together, by more than shows.
    calm = 1.0 + np.square(motion.residual_px / _CALM_RESIDUAL_PX)
    variance = np.where(
        trusted(reference, motion), np.square(motion.error_px) * calm + FINEST_PX**2, np.inf
    )
    matrix = compose(similarity[0], tracks.start)
    return View(reference, tracks, motion, similarity, matrix, variance)


def views_of(
    open_frames: Frames, landmarks: np.ndarray, coarse: np.ndarray, template: Template
) -> list[View]:
    """Look at the clip from its most typical face, and again where that does not fit.

    Parameters
    ----------
    open_frames, landmarks, coarse, template
        See `stabilise.stabilise`.

    Returns
    -------
    list of View
        Empty if no frame can be trusted; at most 3.
    """
    scale = scale_of(coarse)[:, None, None]
    aligned = np.concatenate([apply(coarse, landmarks[..., :2]), scale * landmarks[..., 2:]], -1)
    known = np.isfinite(aligned).all(axis=(1, 2))
    views: list[View] = []
    nearest, residual, variance = np.full((3, len(coarse)), np.inf)
    landmark_error = np.inf
    left = known
    for _ in range(_MAX_REFERENCES):
        if left.sum() < (_MIN_FAR_FRAMES if views else _MIN_FRAMES):
            break
        chosen = typical_frames(aligned, left)
        reference = build_reference(open_frames, coarse, aligned, chosen, template)
        if reference is None:
            break
        new = view(reference, track(reference, open_frames, coarse, known))
        better = new.variance < variance
        if not better.any():
            break
        error = float(np.median(disagreement(new, coarse)[better]))
        if views and error > 2.0 * landmark_error:
            break  # Not a face that looks different, but a hand.
        landmark_error = error if not views else landmark_error
        variance = np.fmin(variance, new.variance)
        views.append(new)
        nearest = np.fmin(nearest, unlikeness(aligned, reference.shape))
        residual = np.fmin(residual, new.motion.residual_px)
        left = left & (nearest > _FAR * template.inter_ocular) & (residual > _MISFIT_PX)
    return views


def join(views: list[View]) -> np.ndarray:
    """Bring all views to the first one's reference.

    Each reference stands where its frames' landmarks are on average, which an expression may
    bias. What two views say of the same frames corrects it.

    Returns
    -------
    ndarray, shape (views, n, 2, 3)
        Source pixel to first reference's pixel.
    """
    first = views[0]
    joined = []
    for other in views:
        variance = first.variance + other.variance
        both = np.flatnonzero(np.isfinite(variance))
        apart = compose(first.matrix[both], invert(other.matrix[both]))
        # Unless seen otherwise: the landmarks' means agree.
        weight = np.append(1.0 / variance[both], 1.0 / _MEAN_LANDMARK_ERROR_PX**2)
        apart = np.concatenate([apart, np.eye(2, 3)[None]])
        offset = np.tensordot(weight / weight.sum(), apart, axes=1)
        joined.append(first.matrix if other is first else compose(offset, other.matrix))
    return np.stack(joined)


def disagreement(seen_by: View, coarse: np.ndarray) -> np.ndarray:
    """Return the RMS distance over skin between a view and the landmarks.

    As tracks err far less, this is by how much the landmarks err.

    Returns
    -------
    ndarray, shape (n,)
        In crop pixels; NaN where the view may not be trusted.
    """
    target = seen_by.reference.target
    apart = apply(compose(seen_by.matrix, invert(coarse)), target) - target
    error = np.sqrt(np.square(apart).sum(axis=-1).mean(axis=-1))
    return np.where(np.isfinite(seen_by.variance), error, np.nan)

"""The motion of a head, from tracks of its skin.

The model is an affine camera, x' = A [x y z] + t with the mesh's depth z (Koenderink and van Doorn
1991). It knows parallax; a similarity alone would take it for outliers. What is taken out of the
clip is the similarity that undoes that motion best over the *whole* of the skin. Because it is
fitted to the model on fixed points, it does not shift when tracks come and go.
"""

from dataclasses import dataclass

import numpy as np

from cmedprep.geometry import fit_similarity
from cmedprep.reference import MIN_TRACKS, Reference

# Scale of the robust fit: per median residual, but not below the first.
_SCALE_PX, _SCALE_PER_MEDIAN = 0.15, 1.5
_INLIER = 0.25
# Parallax that is no surprise, px per px of depth: the tangent of 17 degrees.
_TURN_PRIOR = 0.3
# How far from a track skin is taken to move with it, in inter-ocular distances.
_NEAR = 0.3
# With less a frame falls back: parts of the face with a track that agrees, standard error.
_MIN_COVER, _MAX_ERROR_PX = 0.34, 0.75


@dataclass(frozen=True, slots=True)
class Motion:
    """The head's motion from the reference to each of n pre-aligned frames.

    Attributes
    ----------
    parameters : ndarray, shape (3, n, 4, 2)
        ``design @ parameters`` is the flow in crop pixels. Fitted to all tracks, to those of
        fold 0, and to those of fold 1.
    weight : ndarray, shape (n, tracks)
        0 to 1; below 1/4 a track does not move with the head.
    residual_px : ndarray, shape (n,)
        RMS distance of the tracks from the model, so weighted; NaN without tracks.
    error_px : ndarray, shape (n,)
        Standard error of the model on skin, from how much the parts of the face contradict
        each other; NaN without tracks.
    """

    parameters: np.ndarray
    weight: np.ndarray
    residual_px: np.ndarray
    error_px: np.ndarray

    @property
    def inliers(self) -> np.ndarray:
        """Tracks that move with the head, bool, shape (n, tracks)."""
        moving: np.ndarray = self.weight > _INLIER
        return moving


def fit_motion(reference: Reference, flow: np.ndarray, found: np.ndarray) -> Motion:
    """Fit the affine camera to the tracks of each frame.

    Iteratively reweighted least squares with Geman and McClure's (1987) weights, whose scale
    comes down to 1.5 times the median residual (0.15 px at least), so that neither a smile nor
    a hand pulls. Each track has a say by what its texture can tell. Standard errors are
    cluster-robust (Liang and Zeger 1986): tracks of one part of the face err together.

    Parameters
    ----------
    reference : Reference
        Whose corners were followed.
    flow : ndarray, shape (n, tracks, 2)
        From the corners to where they were found, in crop pixels.
    found : ndarray of bool, shape (n, tracks)
        Which were found.
    """
    basis, information = reference.design, reference.information
    n_frames, k = len(flow), basis.shape[1]
    # One row of the normal equations per track: (tracks, 2k * 2k) and (tracks, 2k, 2).
    normal = np.einsum("ni,nj,nab->niajb", basis, basis, information).reshape(len(basis), -1)
    lift = np.einsum("ni,nab->niab", basis, information).reshape(len(basis), 2 * k, 2)
    prior = np.zeros((k, 2))
    prior[-1] = 1.0 / (_TURN_PRIOR * reference.template.inter_ocular) ** 2
    ridge = np.diag(prior.ravel() + 1e-9)

    def solve(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return parameters (..., n, k, 2) and the inverse of the normal matrix."""
        matrix = (weight @ normal).reshape(*weight.shape[:-1], 2 * k, 2 * k) + ridge
        right = np.einsum("...fn,nib,fnb->...fi", weight, lift, flow, optimize=True)
        inverse = np.linalg.inv(matrix)
        return (inverse @ right[..., None]).reshape(*weight.shape[:-1], k, 2), inverse

    residual = flow - median_of(flow, found)
    weight = np.zeros(found.shape)
    for relax in (8.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0):
        squared = np.square(residual).sum(axis=-1)
        typical = np.sqrt(median_of(squared[..., None], found)[..., 0])
        scale = relax * np.maximum(_SCALE_PX, _SCALE_PER_MEDIAN * typical)
        weight = found / np.square(1.0 + squared / np.square(scale))
        parameters, inverse = solve(weight)
        residual = flow - basis @ parameters

    halves = np.stack([weight * (reference.fold == fold) for fold in (0, 1)])
    score = np.einsum("fn,nib,fnb->fni", weight, lift, residual, optimize=True)
    member = _members(reference)
    blocks = member @ score
    n_blocks = len(member)
    spread = np.swapaxes(blocks, 1, 2) @ blocks * (n_blocks / max(n_blocks - 1, 1))
    covariance = (inverse @ spread @ inverse).reshape(n_frames, k, 2, k, 2)
    on_skin = reference.target_design.T @ reference.target_design / len(reference.target_design)
    error = np.sqrt(np.einsum("ij,fiaja->f", on_skin, covariance))
    total = weight.sum(axis=1)
    squared = (weight * np.square(residual).sum(axis=-1)).sum(axis=1)
    return Motion(
        parameters=np.concatenate([parameters[None], solve(halves)[0]]),
        weight=weight,
        residual_px=np.sqrt(squared / np.where(total > 0, total, np.nan)),
        error_px=np.where(total > 0, error, np.nan),
    )


def trusted(reference: Reference, motion: Motion) -> np.ndarray:
    """Say in which frames, shape (n,), the tracks may overrule the landmarks."""
    cover = (motion.inliers @ _members(reference).T > 0).mean(axis=1)
    trusted: np.ndarray = (
        (motion.inliers.sum(axis=1) >= MIN_TRACKS)
        & (cover >= _MIN_COVER)
        & (motion.error_px < _MAX_ERROR_PX)
    )
    return trusted


def seen_by_half(reference: Reference, motion: Motion, fold: int) -> np.ndarray:
    """Return where the tracks of one fold put the skin.

    One track errs by more than a good alignment; what those of a fold say together errs less, and
    holds for all of the skin around them, wherever its texture is.

    Returns
    -------
    ndarray, shape (n, points, 2)
        The reference's `target` in each pre-aligned frame, in crop pixels; NaN where no track of
        the fold that moves with the head is near.
    """
    own = reference.fold == fold
    apart = np.linalg.norm(reference.target[:, None] - reference.points[own], axis=-1)
    near = apart < _NEAR * reference.template.inter_ocular
    seen: np.ndarray = reference.target + reference.target_design @ motion.parameters[1 + fold]
    seen[~(motion.inliers[:, own] @ near.T)] = np.nan
    return seen


def undo(reference: Reference, parameters: np.ndarray) -> np.ndarray:
    """Return the similarity (..., 2, 3) that best undoes a motion (..., 4, 2) all over the skin."""
    moved = reference.target + reference.target_design @ parameters
    return fit_similarity(moved, np.broadcast_to(reference.target, moved.shape))


def median_of(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the (lower) median over the second axis of what is known; 0 if nothing is.

    Parameters
    ----------
    values : ndarray, shape (n, m, k)
        Any.
    known : ndarray of bool, shape (n, m)
        Which of them count.

    Returns
    -------
    ndarray, shape (n, 1, k)
    """
    ordered = np.sort(np.where(known[..., None], values, np.inf), axis=1)
    middle = np.maximum(known.sum(axis=1) - 1, 0)[:, None, None] // 2
    median = np.take_along_axis(ordered, middle, axis=1)
    return np.where(np.isfinite(median), median, 0.0)


def _members(reference: Reference) -> np.ndarray:
    """Say which track lies in which part of the face, (parts, tracks) of 0.0 and 1.0."""
    parts = np.arange(reference.block.max() + 1)
    return np.asarray(reference.block == parts[:, None], dtype=float)

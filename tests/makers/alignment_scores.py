"""Score an alignment by the truth: how still rigid skin stands, how much expression is left."""

from collections.abc import Callable

import numpy as np

from cmedprep.geometry import Template, apply, fit_similarity
from cmedprep.landmarks import eye_centres
from tests.makers.synthetic_face import Array, ClipTruth

Alignment = Array | Callable[[int, Array], Array]
"""Either matrices (n_frames, 2, 3), frame -> crop pixel, NaN where there is none, or a function
of the frame index and points (N, 2) in frame pixels that returns points (N, 2) in crop pixels."""


def template_similarity(mesh: Array) -> Array:
    """Give the similarity (2, 3) that puts a mesh's eye centres where the template has them.

    Parameters
    ----------
    mesh
        (478, 3) landmarks in frame px.
    """
    return fit_similarity(eye_centres(mesh), Template().eyes)


def best_similarity(truth: ClipTruth) -> Array:
    """Find the similarities that no alignment by similarity can beat.

    The rigid points' true positions are brought together by generalised Procrustes analysis:
    each frame is fitted to the clip's mean shape, the mean is renewed, and so on. What is left
    is the parallax of the turning head.

    Parameters
    ----------
    truth
        The clip.

    Returns
    -------
    (n_frames, 2, 3): frame -> crop px of the canonical template.
    """
    rigid = truth.rigid_points()
    seen = [truth.forward(rigid, t, expression=False) for t in range(truth.n_frames)]
    start = apply(template_similarity(truth.face.mesh), rigid)
    shape = start
    for _ in range(10):
        matrices = np.stack([fit_similarity(points, shape) for points in seen])
        mean = np.mean([apply(m, p) for m, p in zip(matrices, seen, strict=True)], axis=0)
        # Without this the shape would shrink from round to round.
        shape = apply(fit_similarity(mean, start), mean)
    return matrices


def _align(alignment: Alignment, frame_index: int, points: Array) -> Array:
    """Map points (N, 2) of a frame to crop px by either form of an alignment."""
    if callable(alignment):
        return alignment(frame_index, points)
    return apply(alignment[frame_index], points)


def score_positions(positions: Array) -> tuple[float, float]:
    """Score aligned positions of rigid points by how still they stand.

    With q_t(p) the position of point p in frame t and d_t(p) = q_t(p) - mean over t of q_t(p),

    * drift is the root of the mean, over frames and points, of |d_t(p)|^2;
    * jitter is the root of the mean, over pairs of neighbouring frames and points, of
      |d_t(p) - d_{t-1}(p)|^2.

    Both use the length of the 2-D vector. A constant offset costs nothing.

    Parameters
    ----------
    positions
        (n_frames, N, 2) crop px; frames with any NaN are left out, and so are their pairs.

    Returns
    -------
    drift_rms_px, jitter_rms_px: NaN where no frame, or no pair, is left.
    """
    valid = np.asarray(np.isfinite(positions).all(axis=(1, 2)))
    if not valid.any():
        return float("nan"), float("nan")
    deviation = positions - positions[valid].mean(axis=0)
    steps = np.diff(deviation, axis=0)[valid[1:] & valid[:-1]]
    drift = float(np.sqrt(np.square(deviation[valid]).sum(axis=-1).mean()))
    jitter = float(np.sqrt(np.square(steps).sum(axis=-1).mean())) if len(steps) else float("nan")
    return drift, jitter


def score_alignment(alignment: Alignment, truth: ClipTruth) -> tuple[float, float]:
    """Score an alignment on rigid skin; see `score_positions` for the definitions.

    Parameters
    ----------
    alignment
        Frame -> crop px.
    truth
        The clip's truth.

    Returns
    -------
    drift_rms_px, jitter_rms_px in crop px.
    """
    rigid = truth.rigid_points()
    return score_positions(
        np.stack([_align(alignment, t, truth.forward(rigid, t)) for t in range(truth.n_frames)])
    )


def kept_amplitude(alignment: Alignment, truth: ClipTruth) -> float:
    """Say how much of the expression is still there after the alignment.

    An alignment that follows the expression takes part of it away; one that errs against it
    adds to it. At the deforming landmarks p, between onset o (the first frame) and apex a:

        measured(p) = M_a F_a(p) - M_o F_o(p)
        parallax(p) = B F'_a(p) - M_o F'_o(p)
        true(p)     = B F_a(p) - B F'_a(p)

    where F is the truth, F' the truth without expression, M the alignment, and B the similarity
    of least squares from the rigid points of the apex to those of the aligned onset: the best
    that a similarity can do. The result is the component of measured - parallax along true,
    sum((measured - parallax) . true) / sum(true . true).

    Parameters
    ----------
    alignment
        Frame -> crop px.
    truth
        A clip with an expression whose apex is not its first frame.

    Returns
    -------
    1 where the alignment has done no harm; NaN where onset or apex has no alignment.
    """
    if truth.expression is None or truth.expression.apex_frame == 0:
        raise ValueError(
            f"expected a clip with an apex after its onset, found {truth.expression}: "
            "score clips without one by score_alignment"
        )
    apex = truth.expression.apex_frame
    points, rigid = truth.deforming_points(), truth.rigid_points()
    onset_rigid = _align(alignment, 0, truth.forward(rigid, 0))
    if not np.isfinite(onset_rigid).all():
        return float("nan")
    best = fit_similarity(truth.forward(rigid, apex), onset_rigid)
    moved = truth.forward(points, apex)
    unmoved = truth.forward(points, apex, expression=False)
    measured = _align(alignment, apex, moved) - _align(alignment, 0, truth.forward(points, 0))
    parallax = apply(best, unmoved) - _align(
        alignment, 0, truth.forward(points, 0, expression=False)
    )
    true = apply(best, moved) - apply(best, unmoved)
    return float(((measured - parallax) * true).sum() / np.square(true).sum())

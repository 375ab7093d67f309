"""How still skin stands in an aligned clip, by tracks that the alignment did not use.

*Jitter* is the movement from frame to frame, and *drift* the distance from its own mean place, of
rigid skin in the aligned clip: RMS over frames and skin, in crop pixels. Skin is seen by half of
the tracks at a time, whose own error is in the numbers; so is the parallax of a turning head,
which no similarity can remove.
"""

from typing import NamedTuple

import numpy as np

from cmedprep.geometry import Template, apply, compose, interpolate_similarities, invert
from cmedprep.motion import seen_by_half
from cmedprep.views import View

_SURE_PX = 0.25  # standard error of tracks beyond which they are no sure judge


class Stillness(NamedTuple):
    """How much skin moves in a clip, in crop pixels; NaN where nothing was tracked."""

    jitter: float
    drift: float


def held_out_stillness(views: list[View], matrix: np.ndarray, template: Template) -> Stillness:
    """Measure an alignment by the tracks it was made of, each half by a fit to the other.

    What hides or spoils the skin of a few frames makes the tracks bad judges there. Such a frame
    counts by how far it leaves the path between the frames around it, if that is less than what
    the tracks say, or if they say nothing. Where the head did move there, that is too much and not
    too little.

    Parameters
    ----------
    views : list of View
        Whose tracks are looked at, in each frame by the precision they have there. At least one
        may be trusted in some frame.
    matrix : ndarray, shape (n, 2, 3)
        The final alignment, source pixel to crop pixel; NaN where there is no face.
    template : Template
        Where the face stands.
    """
    # For either half the other one's fit, then whatever the alignment did beyond the fit to all.
    to_crop = [
        [compose(compose(matrix, invert(v.matrix)), v.similarity[2 - fold]) for fold in (0, 1)]
        for v in views
    ]
    seen, weight = _seen(views, to_crop)
    if (weight > 0).any(axis=1).sum() < 2:
        return Stillness(float("nan"), float("nan"))
    sure = _sure(views)
    away = _departure(matrix, sure, views[0].reference.target, template)
    steps, places = _squares(seen, weight, sure)
    steps_away, away = (
        np.square(x).sum(axis=-1).mean(axis=-1) for x in (np.diff(away, axis=0), away)
    )
    sure_steps = sure[1:] & sure[:-1]
    return Stillness(
        _rms(np.where(sure_steps, steps, np.fmin(steps, steps_away))),
        _rms(np.where(sure, places, np.fmin(places, away))),
    )


def stillness(views: list[View], matrix: np.ndarray) -> Stillness:
    """Measure an alignment that no track has touched; parameters as in `held_out_stillness`."""
    to_crop = [2 * [compose(matrix, invert(view.tracks.start))] for view in views]
    steps, places = _squares(*_seen(views, to_crop), _sure(views))
    return Stillness(_rms(steps), _rms(places))


def _sure(views: list[View]) -> np.ndarray:
    """Mark the frames whose tracks are sure judges; if hardly any are, those with tracks; (n,)."""
    error: np.ndarray = np.sqrt(np.stack([view.variance for view in views]).min(axis=0))
    sure: np.ndarray = error < _SURE_PX
    return sure if sure.sum() > 1 else np.isfinite(error)


def _seen(views: list[View], to_crop: list[list[np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Return where skin lies under matrices (n, 2, 3) per view and fold, and what that counts.

    Returns
    -------
    positions : ndarray, shape (n, points, 2)
        In crop pixels.
    weight : ndarray, shape (n, points)
        0 where a point was not seen, or by tracks that may not be trusted.
    """
    precision = 1.0 / np.stack([view.variance for view in views])
    share = precision / np.maximum(precision.sum(axis=0), np.finfo(float).tiny)
    positions, weights = [], []
    for view, counts, by_fold in zip(views, share, to_crop, strict=True):
        for fold, matrix in enumerate(by_fold):
            position = apply(matrix, seen_by_half(view.reference, view.motion, fold))
            known = np.isfinite(position[..., 0])
            positions.append(np.where(known[..., None], position, 0.0))
            weights.append(known * counts[:, None])
    return np.concatenate(positions, axis=1), np.concatenate(weights, axis=1)


def _squares(
    seen: np.ndarray, weight: np.ndarray, sure: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean square of steps (n - 1,) and of distances from the mean place (n,).

    The mean place is that of the sure frames. NaN where nothing was seen.
    """
    both = np.sqrt(weight[1:] * weight[:-1])
    steps = _mean(np.square(np.diff(seen, axis=0)).sum(axis=-1).T, both.T)
    mean = _mean(seen[sure], weight[sure, :, None])
    known = np.isfinite(mean[:, 0])
    apart = np.square(seen - np.nan_to_num(mean)).sum(axis=-1)
    return steps, _mean(apart.T, (known * weight).T)


def _departure(
    matrix: np.ndarray, sure: np.ndarray, skin: np.ndarray, template: Template
) -> np.ndarray:
    """Return by how much frames leave the path of the sure ones around them.

    Returns
    -------
    ndarray, shape (n, points, 2)
        On skin, in crop pixels; 0 for sure frames, NaN where there is no face.
    """
    known = np.where(sure[:, None, None], matrix, np.nan)
    path = interpolate_similarities(known, np.array(template.eye_midpoint))
    first, last = np.flatnonzero(sure)[[0, -1]]
    path[:first], path[last:] = path[first], path[last]
    apart: np.ndarray = apply(compose(matrix, invert(path)), skin) - skin
    apart[sure] = 0.0
    return apart


def _mean(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted mean over the first axis; NaN where all weights are 0."""
    total = weight.sum(axis=0)
    mean: np.ndarray = (weight * values).sum(axis=0) / np.where(total > 0, total, np.nan)
    return mean


def _rms(squares: np.ndarray) -> float:
    """Root of the mean of what is there; NaN without any."""
    known = squares[np.isfinite(squares)]
    return float(np.sqrt(known.mean())) if len(known) else float("nan")

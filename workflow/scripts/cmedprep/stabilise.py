"""Hold a face still to a few hundredths of a pixel, and measure how still it is.

The landmarks say where the face is on average; the skin says how each frame departs from it. A
`reference` face of the clip is followed by its `tracks` of skin into every frame, those give the
head's `motion`, `views` from further references serve frames in which the face looks different, and
`smoothing` takes out what the measurements' own errors account for.

Coordinates: pixels, pixel centres at integers, x right, y down. *Crop* pixels are the template's.
"""

from dataclasses import dataclass

import numpy as np

from cmedprep.geometry import Template, apply, compose, interpolate_similarities, invert
from cmedprep.reference import Frames
from cmedprep.smoothing import smooth_alignment
from cmedprep.texture import blur_of, look
from cmedprep.views import FINEST_PX, View, disagreement, join, views_of


@dataclass(frozen=True, slots=True)
class Stabilised:
    """The alignment of a clip of n frames.

    *Jitter* is the movement from frame to frame, and *drift* the distance from its own mean
    place, of skin in the aligned clip: RMS over frames and points, in crop pixels. Both hold the
    points' own tracking noise, some hundredths of a pixel and more in a noisy clip, and the drift
    of a turning head holds the parallax that no similarity can remove. NaN where nothing was
    tracked.

    Attributes
    ----------
    matrix : ndarray, shape (n, 2, 3), float64
        Source pixel to crop pixel; NaN where there are no landmarks.
    refined : ndarray of bool, shape (n,)
        Whether tracks made it. Elsewhere it is the landmarks' own, moved by what separates
        them from the tracks in the neighbouring frames.
    n_tracks, n_inliers : ndarray of int, shape (n,)
        Tracks found, and of those the ones that move with the head.
    residual_px : ndarray, shape (n,)
        RMS distance of tracks from the motion model, each weighted by how well it moves with
        the head; NaN without tracks.
    error_px : ndarray, shape (n,)
        Standard error of the alignment on skin, from how much the parts of the face contradict
        each other; NaN without tracks.
    blur : ndarray, shape (n,)
        0 (sharp) to 1, see `texture.blur_of`; NaN without a face.
    residual_jitter_px, residual_drift_px : float
        Of this alignment. Each point is judged by a fit without it and its neighbours, and a frame
        whose tracks may not be trusted by how far it departs from the path between those around it.
    landmark_jitter_px, landmark_drift_px : float
        Of the landmarks' alignment, on the same points in the same frames.
    """

    matrix: np.ndarray
    refined: np.ndarray
    n_tracks: np.ndarray
    n_inliers: np.ndarray
    residual_px: np.ndarray
    error_px: np.ndarray
    blur: np.ndarray
    residual_jitter_px: float
    residual_drift_px: float
    landmark_jitter_px: float
    landmark_drift_px: float


def stabilise(
    open_frames: Frames, landmarks: np.ndarray, coarse: np.ndarray, template: Template
) -> Stabilised:
    """Align a clip by its skin.

    Reads the clip twice, the first time only as far as the reference needs, and twice again for
    each further reference that a changing face asks for. Holds one frame at a time.

    Parameters
    ----------
    open_frames : callable
        Opens the clip from its start: an iterator of frames (height, width, 3), uint8, RGB. If
        there are fewer than landmarks, the others are not refined.
    landmarks : ndarray, shape (n, 478, 3)
        In source pixels; NaN where there is no face.
    coarse : ndarray, shape (n, 2, 3)
        Source pixel to crop pixel from each frame's landmarks, NaN where there are none. The
        clip's mean place is taken from these, so fit them to many landmarks.
    template : Template
        Where the face shall stand.
    """
    landmarks, coarse = landmarks.astype(np.float64), coarse.astype(np.float64)
    views = views_of(open_frames, landmarks, coarse, template)
    if not views:
        return by_landmarks_only(open_frames, coarse, template)
    frames = np.arange(len(coarse))
    variances = np.stack([view.variance for view in views])
    best = variances.argmin(axis=0)
    refined = np.isfinite(variances.min(axis=0))

    def of_best(per_view: list[np.ndarray]) -> np.ndarray:
        chosen: np.ndarray = np.stack(per_view)[best, frames]
        return chosen

    # Landmarks far from the tracks err by that much, the others as usual; where there are no
    # tracks they err as in the frames around.
    apart = of_best([disagreement(view, coarse) for view in views])
    around = np.interp(frames, frames[refined], apart[refined])
    prior = np.square(np.maximum(around, np.median(apart[refined]))) + FINEST_PX**2
    # The mean of landmarks and views, each by its precision.
    precision = np.concatenate([1.0 / prior[None], 1.0 / variances])
    share = precision / precision.sum(axis=0)
    joined = join(views)
    tracked = _only(joined[best, frames], refined)
    everything = np.concatenate([coarse[None], joined])
    everything[1:, ~refined] = 0.0
    matrix = (share[..., None, None] * everything).sum(axis=0)
    matrix = smooth_alignment(matrix, 1.0 / precision.sum(axis=0), (tracked, coarse), template)

    jitter, drift = _with_lost_frames(
        *_held_out(views, best, _only(matrix, refined)),
        _departure(matrix, refined, views[0].reference.target, template),
        refined,
    )
    landmark_jitter, landmark_drift = _by_landmarks(views, best, _only(coarse, refined))
    return Stabilised(
        matrix=matrix,
        refined=refined,
        n_tracks=of_best([view.tracks.found.sum(axis=1) for view in views]),
        n_inliers=of_best([view.motion.inliers.sum(axis=1) for view in views]),
        residual_px=of_best([view.motion.residual_px for view in views]),
        error_px=of_best([view.motion.error_px for view in views]),
        blur=views[0].tracks.blur,
        residual_jitter_px=jitter,
        residual_drift_px=drift,
        landmark_jitter_px=landmark_jitter,
        landmark_drift_px=landmark_drift,
    )


def by_landmarks_only(open_frames: Frames, coarse: np.ndarray, template: Template) -> Stabilised:
    """Say that nothing could be refined."""
    none, unknown = np.zeros(len(coarse), np.int64), np.full(len(coarse), np.nan)
    blur = unknown.copy()
    known = np.isfinite(coarse).all(axis=(1, 2))
    if known.any():
        for index, frame in zip(range(len(coarse)), open_frames(), strict=False):
            if known[index]:
                blur[index] = blur_of(look(frame, coarse[index], template.size), template)
    nan = float("nan")
    return Stabilised(
        coarse.copy(), none.astype(bool), none, none, unknown, unknown, blur, nan, nan, nan, nan
    )


def _only(matrix: np.ndarray, frames: np.ndarray) -> np.ndarray:
    return np.where(frames[:, None, None], matrix, np.nan)


def _held_out(views: list[View], best: np.ndarray, matrix: np.ndarray) -> tuple[float, float]:
    """Measure how still skin stands that the fit did not use: jitter and drift.

    Parameters
    ----------
    views : list of View
        Whose points are looked at.
    best : ndarray of int, shape (n,)
        The view whose points are looked at in each frame.
    matrix : ndarray, shape (n, 2, 3)
        The final alignment, NaN where it is not to be judged.
    """
    # For either fold the other one's fit, then whatever the alignment did beyond the fit to all.
    return _stillness(
        views,
        best,
        [
            [compose(compose(matrix, invert(v.matrix)), v.similarity[2 - fold]) for fold in (0, 1)]
            for v in views
        ],
    )


def _departure(
    matrix: np.ndarray, refined: np.ndarray, skin: np.ndarray, template: Template
) -> np.ndarray:
    """Return by how much frames without trusted tracks leave the path of those around them.

    What spoils the tracks (a blur, a hand, darkness) spoils the landmarks as well. Where the head
    did move there, this says too much and not too little.

    Returns
    -------
    ndarray, shape (n, points, 2)
        On skin, in crop pixels; 0 for refined frames, NaN where there is no face.
    """
    path = interpolate_similarities(_only(matrix, refined), np.array(template.eye_midpoint))
    first, last = np.flatnonzero(refined)[[0, -1]]
    path[:first], path[last:] = path[first], path[last]
    apart: np.ndarray = apply(compose(matrix, invert(path)), skin) - skin
    apart[refined] = 0.0
    return apart


def _with_lost_frames(
    jitter: float, drift: float, departure: np.ndarray, refined: np.ndarray
) -> tuple[float, float]:
    """Take the frames that no track has judged into a clip's jitter and drift."""
    steps = np.diff(departure, axis=0)
    judged = refined[1:] & refined[:-1]
    return (
        _joint_rms(jitter, judged, steps),
        _joint_rms(drift, refined, departure),
    )


def _joint_rms(known: float, judged: np.ndarray, others: np.ndarray) -> float:
    """Return the RMS over frames of which some, together, have a known one."""
    squares = np.square(others).sum(axis=-1).mean(axis=-1)
    lost = squares[~judged & np.isfinite(squares)]
    total = judged.sum() * known**2 + lost.sum()
    return float(np.sqrt(total / (judged.sum() + len(lost)))) if judged.any() else known


def _by_landmarks(views: list[View], best: np.ndarray, coarse: np.ndarray) -> tuple[float, float]:
    """Measure the same of matrices that no track has touched."""
    return _stillness(views, best, [2 * [compose(coarse, invert(v.tracks.start))] for v in views])


def _stillness(
    views: list[View], best: np.ndarray, to_crop: list[list[np.ndarray]]
) -> tuple[float, float]:
    """Return jitter and drift under matrices (n, 2, 3), pre-aligned to crop, per view and fold."""
    positions = []
    for number, (view, by_fold) in enumerate(zip(views, to_crop, strict=True)):
        seen = view.reference.points + view.tracks.flow
        moved = [apply(matrix, seen) for matrix in by_fold]
        position = np.where(view.reference.fold[:, None] == 0, *moved)
        position[~view.motion.inliers | (best != number)[:, None]] = np.nan
        positions.append(position)
    together = np.concatenate(positions, axis=1)
    if np.isfinite(together).any(axis=(1, 2)).sum() < 2:
        return float("nan"), float("nan")
    return _rms(np.diff(together, axis=0)), _rms(together - _nanmean(together))


def _nanmean(values: np.ndarray) -> np.ndarray:
    """Mean over the first axis of what is there; NaN, silently, where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    mean: np.ndarray = np.where(known, values, 0.0).sum(axis=0) / np.where(count, count, np.nan)
    return mean


def _rms(vectors: np.ndarray) -> float:
    """RMS length of the vectors (n, points, 2) that are there."""
    squared = np.square(vectors).sum(axis=-1)
    known = squared[np.isfinite(squared)]
    return float(np.sqrt(known.mean())) if len(known) else float("nan")

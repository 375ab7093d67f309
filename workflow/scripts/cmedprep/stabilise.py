"""Hold a face still to a few hundredths of a pixel, and measure how still it is.

The landmarks say where the face is on average; the skin says how each frame departs from it. A
`reference` face of the clip is followed by its `tracks` of skin into every frame, those give the
head's `motion`, `views` from further references serve frames in which the face looks different, and
`smoothing` takes out what the measurements' own errors account for.

Coordinates: pixels, pixel centres at integers, x right, y down. *Crop* pixels are the template's.
"""

from dataclasses import dataclass

import numpy as np

from cmedprep.certificate import held_out_stillness, stillness
from cmedprep.geometry import Template
from cmedprep.reference import Frames
from cmedprep.smoothing import smooth_alignment
from cmedprep.texture import blur_of, look
from cmedprep.views import FINEST_PX, disagreement, join, views_of


@dataclass(frozen=True, slots=True)
class Stabilised:
    """The alignment of a clip of n frames.

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
        Of this alignment, see `certificate.held_out_stillness`; NaN where nothing was tracked.
    landmark_jitter_px, landmark_drift_px : float
        Of the landmarks' alignment, on the same skin in the same frames.
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

    ours = held_out_stillness(views, matrix, template)
    landmarks_own = stillness(views, coarse)
    return Stabilised(
        matrix=matrix,
        refined=refined,
        n_tracks=of_best([view.tracks.found.sum(axis=1) for view in views]),
        n_inliers=of_best([view.motion.inliers.sum(axis=1) for view in views]),
        residual_px=of_best([view.motion.residual_px for view in views]),
        error_px=of_best([view.motion.error_px for view in views]),
        blur=views[0].tracks.blur,
        residual_jitter_px=ours.jitter,
        residual_drift_px=ours.drift,
        landmark_jitter_px=landmarks_own.jitter,
        landmark_drift_px=landmarks_own.drift,
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

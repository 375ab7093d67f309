"""Follow the skin of a face from a reference into each frame of a clip."""

from dataclasses import dataclass

import cv2
import numpy as np

from cmedprep.geometry import compose
from cmedprep.motion import Motion, fit_motion, median_of, undo
from cmedprep.reference import Frames, Reference
from cmedprep.texture import (
    WINDOW,
    blur_of,
    look,
    normalise_contrast,
    soften,
    to_grey_levels,
)

_LEVELS = 2
_SUBPIXEL = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.02)
_RETRACK_PX = 2.5


@dataclass(frozen=True, slots=True)
class Tracks:
    """Where the reference's corners are in each of n frames.

    Attributes
    ----------
    start : ndarray, shape (n, 2, 3)
        Source pixel to crop pixel: how each frame was pre-aligned; NaN where it was not.
    flow : ndarray, shape (n, tracks, 2)
        From the reference to the pre-aligned frame, in crop pixels.
    found : ndarray of bool, shape (n, tracks)
        Which were found.
    blur : ndarray, shape (n,)
        See `texture.blur_of`; NaN in frames that were not looked at.
    """

    start: np.ndarray
    flow: np.ndarray
    found: np.ndarray
    blur: np.ndarray


def follow(reference: Reference, crop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Follow the reference's corners into one crop.

    By Lucas and Kanade (1981) with pyramids after Bouguet (2001). Local brightness and contrast
    are divided out first, so light may change.

    Parameters
    ----------
    reference : Reference
        Whose corners to follow.
    crop : ndarray, shape (size, size), uint8
        The pre-aligned frame in grey, from `texture.look`.

    Returns
    -------
    flow : ndarray, shape (tracks, 2)
        In crop pixels.
    found : ndarray of bool, shape (tracks,)
        Which were found.
    """
    detail = to_grey_levels(normalise_contrast(soften(crop)))
    at = reference.points.astype(np.float32)[:, None]
    there, status, _ = cv2.calcOpticalFlowPyrLK(
        reference.image, detail, at, at.copy(), winSize=WINDOW, maxLevel=_LEVELS, criteria=_SUBPIXEL
    )
    return (there - at)[:, 0].astype(np.float64), status[:, 0] > 0


def track(
    reference: Reference, open_frames: Frames, coarse: np.ndarray, wanted: np.ndarray
) -> Tracks:
    """Follow the reference's corners through the wanted frames.

    Where the landmarks turn out to be far off, it starts again from what it found, and from
    where the frame before ended, and keeps what agrees best with a moving head.

    Parameters
    ----------
    reference : Reference
        Whose corners to follow.
    open_frames : callable
        Opens the clip from its start; read once, one frame at a time.
    coarse : ndarray, shape (n, 2, 3)
        Source pixel to crop pixel, from the landmarks.
    wanted : ndarray of bool, shape (n,)
        The frames to look at.
    """
    template = reference.template
    start = coarse.copy()
    flow = np.zeros((len(coarse), *reference.points.shape))
    found = np.zeros(flow.shape[:2], dtype=bool)
    blur = np.full(len(coarse), np.nan)

    def motion_at(index: int) -> Motion:
        return fit_motion(reference, flow[index : index + 1], found[index : index + 1])

    def end(index: int) -> np.ndarray:
        moved = undo(reference, motion_at(index).parameters[0])[0]
        return compose(moved, start[index])

    off = False
    for index, frame in zip(range(len(coarse)), open_frames(), strict=False):
        if not wanted[index]:
            continue
        crop = look(frame, start[index], template.size)
        blur[index] = blur_of(crop, template)
        flow[index], found[index] = follow(reference, crop)
        median = median_of(flow[index : index + 1], found[index : index + 1])
        was_off, off = off, bool(np.hypot(*median.ravel()) > _RETRACK_PX)
        if off or was_off:
            starts = [end(index)]
            if index and found[index - 1].any():
                starts.append(end(index - 1))
            trials = []
            for start[index] in starts:
                flow[index], found[index] = follow(
                    reference, look(frame, start[index], template.size)
                )
                error = float(motion_at(index).error_px[0])
                error = error if found[index].any() else np.inf
                trials.append((error, start[index].copy(), flow[index].copy(), found[index].copy()))
            best = min(trials, key=lambda trial: trial[0])
            _, start[index], flow[index], found[index] = best
    return Tracks(start, flow, found, blur)

"""Find frames that repeat the one before, exactly or but for what an encoder made of it.

A video call freezes: the same picture is shown for several frames, and the recording encodes
it anew each time. Such a frame differs from the one before by the encoder's noise, which may be
as large as the difference that a small motion makes. So the step from frame to frame is split,
window by window, into what a shift of the picture explains and the rest. With the picture's
gradient g and the difference d, the shift v solves (sum g g') v = -sum g d (Lucas and Kanade,
IJCAI 1981); the mean square of d that it explains is b' S^-1 b, with S = mean g g', b = mean
g d. What encoders do to a still picture, sharpening and quantising, is even about edges, and
hardly looks like a shift.

* A frame taken anew shows *motion* somewhere, or at least a *rest*: noise of its own.
* A repeat shows much less of both than the clip's frames usually do.
* Where repeats are not exact, an encoder was at work. It takes some frames to arrive at a still
  picture: steps whose motion falls off into a repeat are repeats, too. And at times it codes the
  picture anew: steps beside a repeat that are nearly all rest are repeats, in a clip where motion
  stands out.
* Motion that adds up ends a run of repeats, however small its steps.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from cmedprep.geometry import apply, invert

_CELL = 8  # px of the reduced picture; a window has two by two
_LARGEST = 320  # px of the reduced picture; beyond, the footprint is reduced once more
_FLAT = 1.0  # square grey levels per square px; added to S, so that noise is not divided by 0


@dataclass(frozen=True)
class _Patch:
    """Part of a frame, reduced to grey: where it begins, in cells (row, column), and its pixels."""

    corner: tuple[int, int]
    grey: np.ndarray


@dataclass(frozen=True)
class _Step:
    """What changes from one frame to the next.

    `motion`, shape (rows, columns, 2), is b of each window in units in which its square is the
    mean square of the difference that is explained; it adds up over steps. The first window
    has its corner at `corner`. `rest` is the root mean square of what is not explained.
    """

    corner: tuple[int, int]
    motion: np.ndarray
    rest: float

    @property
    def greatest(self) -> float:
        """The motion where it is greatest, in grey levels."""
        return float(np.sqrt((self.motion**2).sum(axis=-1).max(initial=0.0)))


class RepeatFinder:
    """Finds the frames of one clip that repeat the one before.

    Holds one reduced picture of the face, and a few hundred numbers per frame.
    """

    def __init__(self) -> None:
        self._frames: list[int] = []
        self._steps: list[_Step | None] = []
        self._before: _Patch | None = None
        self._factor = 0

    def add(self, frame_index: int, image: np.ndarray, matrix: np.ndarray, size: int) -> None:
        """Add the clip's next frame.

        Parameters
        ----------
        frame_index : int
            The frame's index; indices rise.
        image : ndarray, shape (height, width, 3), uint8
            The source frame, RGB.
        matrix : ndarray, shape (2, 3)
            Source pixel to crop pixel. What the crop sees is compared.
        size : int
            Width and height of the crop in pixels.
        """
        end = size - 1
        corners = apply(invert(matrix), np.array([[0, 0], [end, 0], [0, end], [end, end]]))
        self._factor = self._factor or _factor(float(np.ptp(corners, axis=0).max()))
        patch = _cut(image, corners, self._factor)
        if self._before is not None:
            self._steps.append(_compare(self._before, patch))
        self._frames.append(frame_index)
        self._before = patch

    def result(self) -> tuple[list[int | None], list[float | None]]:
        """Return what each added frame repeats, and how much it differs from the one before.

        Returns
        -------
        repeats : list of int or None
            For a repeat, the last distinct frame before it; None for a distinct frame.
        difference : list of float or None
            How much of the difference from the frame before a shift explains, in grey levels:
            root mean square over a window, in the window where it is greatest. None for the
            first frame, and where the face has moved so far that nothing can be compared.
        """
        repeats: list[int | None] = [None] * len(self._frames)
        difference: list[float | None] = [None] * len(self._frames)
        distinct = 0
        for i, repeated in enumerate(_find_repeats(self._steps), start=1):
            step = self._steps[i - 1]
            difference[i] = round(step.greatest, 3) if step else None
            if repeated:
                repeats[i] = self._frames[distinct]
            else:
                distinct = i
        return repeats, difference


def _factor(side: float) -> int:
    """Return by how much to reduce a footprint of so many pixels: a power of 2, at least 2."""
    factor = 2
    while side > factor * _LARGEST:
        factor *= 2
    return factor


def _cut(image: np.ndarray, corners: np.ndarray, factor: int) -> _Patch:
    """Cut out whole cells around a footprint's corners (4, 2), of one grid for all frames."""
    cell = factor * _CELL
    limit = np.array(image.shape[1::-1]) // cell
    x0, y0 = np.clip(np.floor(corners.min(axis=0) / cell), 0, limit).astype(int)
    x1, y1 = np.clip(np.ceil(corners.max(axis=0) / cell), 0, limit).astype(int)
    if x0 == x1 or y0 == y1:
        return _Patch((y0, x0), np.empty((0, 0), np.float32))
    part = np.ascontiguousarray(image[y0 * cell : y1 * cell, x0 * cell : x1 * cell])
    grey = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY).astype(np.float32)
    size = ((x1 - x0) * _CELL, (y1 - y0) * _CELL)
    return _Patch((y0, x0), cv2.resize(grey, size, interpolation=cv2.INTER_AREA))


def _compare(before: _Patch, after: _Patch) -> _Step | None:
    """Return the step between two frames, None where they share no window."""
    pair = (before, after)
    sizes = [(patch.grey.shape[0] // _CELL, patch.grey.shape[1] // _CELL) for patch in pair]
    corner, shape = _overlap(before.corner, sizes[0], after.corner, sizes[1])
    if min(shape) < 2:
        return None
    a, b = (patch.grey[_within(patch.corner, corner, shape, _CELL)] for patch in pair)
    d, total = b - a, a + b
    gx = cv2.Sobel(total, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 16)
    gy = cv2.Sobel(total, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 16)
    xx, xy, yy, bx, by, dd = (
        _window_means(p * q, shape)
        for p, q in ((gx, gx), (gx, gy), (gy, gy), (gx, d), (gy, d), (d, d))
    )
    # S = L L' (Cholesky); the square of L^-1 b is b' S^-1 b.
    first = np.sqrt(xx + _FLAT)
    below = xy / first
    u = bx / first
    v = (by - below * u) / np.sqrt(yy + _FLAT - below * below)
    rest = float(np.mean(dd - u * u - v * v, dtype=float))
    return _Step(corner, np.stack([u, v], axis=-1), max(rest, 0.0) ** 0.5)


def _window_means(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return the means of windows of two by two cells, one cell apart."""
    cells = cv2.resize(values, shape[::-1], interpolation=cv2.INTER_AREA)
    rows = cells[1:] + cells[:-1]
    means: np.ndarray = (rows[:, 1:] + rows[:, :-1]) / 4
    return means


def _find_repeats(steps: list[_Step | None]) -> list[bool]:
    """Return for each step whether it leads to a repeat.

    All numbers were chosen with benchmarks/repeats.py; docs/sampling.md says what they reach.
    """
    if not steps:
        return []
    motion = np.array([step.greatest if step else np.inf for step in steps])
    rest = np.array([step.rest if step else np.inf for step in steps])
    usual_motion, usual_rest = _usual(motion), _usual(rest)
    still = min(max(0.25 * usual_motion, 0.3), 1.5)
    quiet = min(max(0.3 * usual_rest, 0.1), 0.5)
    sure = (motion < still) & (rest < quiet)
    lively = usual_motion > 2 * usual_rest  # so the absence of motion says more than the rest
    if lively:
        sure |= (motion < min(0.1 * usual_motion, 0.8)) & (rest < min(0.5 * usual_rest, 1.0))

    repeated = sure.copy()
    if rest[sure].sum() > 0.02 * sure.sum():  # repeats are not exact: an encoder was at work
        settled = max(1.4 * quiet, min(0.65 * usual_rest, 1.3) if lively else 0)
        falling = np.append(True, motion[:-1] > motion[1:])
        settling = falling & (motion < 1.7 * still) & (rest < settled)
        for i in reversed(range(len(steps) - 1)):
            repeated[i] |= settling[i] and repeated[i + 1]
        if lively:
            beside = np.append(False, sure[:-1]) | np.append(sure[1:], False)
            pulse = (motion < np.minimum(1.3 * rest, 3 * still)) & (rest > 2 * quiet)
            repeated |= beside & pulse

    drift: _Step | None = None
    for i, step in enumerate(steps):
        if sure[i]:
            drift = _add(drift, step)
            repeated[i] = drift is None or drift.greatest < 1.5 * still
        if not repeated[i]:
            drift = None
    return [bool(each) for each in repeated]


def _usual(values: np.ndarray) -> float:
    """Return the upper quartile: repeats are few enough not to reach it."""
    return float(np.percentile(values, 75, method="lower"))


def _add(drift: _Step | None, step: _Step | None) -> _Step | None:
    """Return two steps as one, of the windows that both have."""
    if drift is None or step is None:
        return step
    corner, shape = _overlap(drift.corner, drift.motion.shape, step.corner, step.motion.shape)
    both = [each.motion[_within(each.corner, corner, shape, 1)] for each in (drift, step)]
    return _Step(corner, both[0] + both[1], step.rest)


def _overlap(
    a: tuple[int, int], a_shape: tuple[int, ...], b: tuple[int, int], b_shape: tuple[int, ...]
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the corner and the shape of what two rectangles of a grid share."""
    y, x = (max(a[k], b[k]) for k in (0, 1))
    end_y, end_x = (min(a[k] + a_shape[k], b[k] + b_shape[k]) for k in (0, 1))
    return (y, x), (max(end_y - y, 0), max(end_x - x, 0))


def _within(
    own: tuple[int, int], corner: tuple[int, int], shape: tuple[int, int], unit: int
) -> tuple[slice, slice]:
    """Return where a rectangle of the grid lies in an array that begins at `own`."""
    y, x = (
        slice((corner[k] - own[k]) * unit, (corner[k] - own[k] + shape[k]) * unit) for k in (0, 1)
    )
    return y, x

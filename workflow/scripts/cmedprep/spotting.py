"""Find the apex of an expression: the frame in which the skin has moved farthest since onset.

Points all over the face are followed from the first image into every other. What they do is split,
in each image at once and by all points, into the motion of the head and that of the `regions` that
expressions move. Of these, the motion that rises and falls as one is taken (`pulses`), and measured
in every frame.

Coordinates: pixels of aligned faces, pixel centres at integers, x right, y down.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from cmedprep.geometry import Template, apply, resize
from cmedprep.pulses import Pulse, find_pulse
from cmedprep.regions import Lattice, lattice_of
from cmedprep.texture import normalise_contrast, soften, to_grey_levels

_UNIT = 90.0  # inter-ocular distance in pixels at which images are compared
_WINDOW, _LEVELS = (11, 11), 2
_SUBPIXEL = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.02)
# What a track can be wrong by: grey levels by which a compressed pixel errs, and px always.
_GREY_NOISE, _TRACK_FLOOR_PX = 12.0, 0.05
# What regions move by, and parallax that is no surprise, px per inter-ocular distance of depth.
_REACH_PX, _TURN_PX = 0.7, 30.0
_STILL_PX = 0.02  # noise of a region's motion that there always is
_DEPTH_ERROR, _OUTWARD = 0.05, 0.7  # in inter-ocular distances; less where both sides cancel
# Rounds of the robust fit; misfit of an outlier, per median misfit, which is at least the third.
_ROUNDS, _OUTLIER, _LEAST_MISFIT = 3, 6.0, 0.02
_LEAST_SEEN = 0.25
_LEAST_FRAMES, _LEAST_JUDGED, _SHAPE_FRAMES = 3, 8, 200
# Standard deviation of the smoothing, frames.
_SMOOTH_PER_CLIP, _LEAST_SMOOTH, _MOST_SMOOTH = 1 / 14, 0.8, 5.0


@dataclass(frozen=True, slots=True)
class Spotted:
    """The motion of an expression through the n images of a clip.

    Attributes
    ----------
    motion_px : ndarray, shape (n,), float64
        How far the place that moves most has moved since onset, in template pixels, as measured
        in each frame; below 0 where it has moved the other way. NaN where it cannot be measured.
    smooth_px : ndarray, shape (n,), float64
        The same with noise taken out; its greatest value is at the apex.
    apex : int or None
        Position of the apex among the images; None where it cannot be told.
    peak_px : float
        `smooth_px` at the apex; NaN without one.
    snr : float
        How far the motion stands out of the clip's own noise and drift, in standard deviations:
        the square root of twice the logarithm of how much likelier the clip is with it. NaN
        without an apex, and for fewer than 8 frames, whose noise cannot be told from the motion.
    """

    motion_px: np.ndarray
    smooth_px: np.ndarray
    apex: int | None
    peak_px: float
    snr: float


def spot_apex(
    images: Iterable[np.ndarray], landmarks: np.ndarray, template: Template | None = None
) -> Spotted:
    """Spot the apex of the one expression that a clip shows.

    Parameters
    ----------
    images : iterable of ndarray, shape (size, size, 3), uint8
        The clip's aligned faces, RGB, onset first; each is let go before the next is asked for.
    landmarks : ndarray, shape (n, 478, 3)
        In pixels of these images, of which there are n; NaN where the face was not detected.
    template : Template, optional
        The template in whose pixels the results are; the images may be larger or smaller.

    Raises
    ------
    ValueError
        If there are not n images, or they differ in size.
    """
    template = template or Template()
    followed = follow_points(images, landmarks, template)
    nan = np.full(len(landmarks), np.nan)
    nothing = Spotted(nan, nan, None, float("nan"), float("nan"))
    if followed is None or len(landmarks) < _LEAST_FRAMES:
        return nothing
    motions = split_motion(followed)
    known = motions.seen >= _LEAST_SEEN
    if known.sum() < _LEAST_FRAMES or not known[0]:
        return nothing
    exposed = _DEPTH_ERROR * np.where(followed.lattice.upward, [[0.0], [1.0]], [[_OUTWARD], [0.0]])
    curves = motions.face[known]
    covariance = _as_noisy_as(curves, motions.covariance)
    pulse = find_pulse(curves, covariance, motions.turn[known], exposed, _REACH_PX)
    if pulse is None:
        return nothing
    return _read_off(pulse, known, followed, template)


@dataclass(frozen=True, slots=True)
class Followed:
    """Where the lattice's points are in each of n images.

    Attributes
    ----------
    lattice : Lattice
        The points, `per_unit` times smaller than the template.
    information : ndarray, shape (p, 2, 2)
        Inverse covariance in px**-2 that the texture promises for each point.
    flow : ndarray, shape (n, p, 2), float32
        From the first image to each.
    found : ndarray of bool, shape (n, p)
        Which were found.
    size : int
        Width and height at which the images were compared.
    """

    lattice: Lattice
    information: np.ndarray
    flow: np.ndarray
    found: np.ndarray
    size: int


def follow_points(
    images: Iterable[np.ndarray], landmarks: np.ndarray, template: Template
) -> Followed | None:
    """Follow points from the first image into all others.

    By Lucas and Kanade (1981) with pyramids after Bouguet (2001). Local brightness and contrast
    are divided out first, so light may change.

    Parameters
    ----------
    images, landmarks, template
        As for `spot_apex`.

    Returns
    -------
    Followed or None
        None if there is no face to follow.
    """
    n, size = len(landmarks), round(template.size * _UNIT / template.inter_ocular)
    shape = _typical_shape(landmarks)
    if shape is None:
        return None
    count, extent = 0, 0
    lattice: Lattice | None = None
    for image in images:
        if count == n or (count and len(image) != extent):
            raise ValueError(
                f"image {count} of the clip is {len(image)} px wide, expected {n} images "
                f"of {extent} px: give those that the landmarks belong to"
            )
        soft = soften(_in_grey(image, size))
        detail = to_grey_levels(normalise_contrast(soft))
        if lattice is None:
            extent = len(image)
            to_work = resize(extent, size)
            at_work = np.column_stack([apply(to_work, shape[:, :2]), shape[:, 2] * to_work[0, 0]])
            lattice = lattice_of(at_work, size)
            if lattice is None:
                return None
            first, at = detail, lattice.points[:, None]
            information = _information(soft, lattice.points)
            flow = np.zeros((n, *lattice.points.shape), np.float32)
            found = np.zeros(flow.shape[:2], bool)
        there, status, _ = cv2.calcOpticalFlowPyrLK(
            first, detail, at, at.copy(), winSize=_WINDOW, maxLevel=_LEVELS, criteria=_SUBPIXEL
        )
        flow[count], found[count] = (there - at)[:, 0], status[:, 0] > 0
        count += 1
    if lattice is None or count != n:
        raise ValueError(f"the clip has {count} images, expected {n}, one for each face")
    return Followed(lattice, information, flow, found, size)


def _typical_shape(landmarks: np.ndarray) -> np.ndarray | None:
    """Return the median (478, 3) of the clip's landmarks; None if there are none."""
    seen = np.flatnonzero(np.isfinite(landmarks[:, 0, 0]))
    if not len(seen):
        return None
    chosen = np.unique(np.linspace(0, len(seen) - 1, min(len(seen), _SHAPE_FRAMES)).astype(int))
    shape: np.ndarray = np.median(landmarks[seen[chosen]].astype(float), axis=0)
    return shape


def _in_grey(image: np.ndarray, size: int) -> np.ndarray:
    """Return an image in grey, (size, size)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if len(grey) == size:
        return grey
    way = cv2.INTER_AREA if len(grey) > size else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (size, size), interpolation=way))


def _information(grey: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the inverse covariance (p, 2, 2) in px**-2 of tracks of points (p, 2)."""
    dx, dy = (cv2.Sobel(grey, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    column, row = points.astype(int).T
    xx, xy, yy = (
        cv2.boxFilter(product, -1, _WINDOW, normalize=False)[row, column].astype(float)
        for product in (dx * dx, dx * dy, dy * dy)
    )
    tensor = np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2)
    eye = np.eye(2)
    covariance = _GREY_NOISE**2 * np.linalg.inv(tensor + 1e-3 * eye) + _TRACK_FLOOR_PX**2 * eye
    information: np.ndarray = np.linalg.inv(covariance)
    return information


@dataclass(frozen=True, slots=True)
class Motions:
    """What the points do, split into what the head and what the face does.

    Attributes
    ----------
    face : ndarray, shape (n, k)
        Motion of each region, see `Lattice.face`, in px.
    turn : ndarray, shape (n, 2)
        Parallax: px by which an inter-ocular distance of depth has moved in x and y.
    covariance : ndarray, shape (k, k)
        Of the noise of `face`, up to a factor.
    seen : ndarray, shape (n,)
        Share of the points that agree with this, 0 to 1.
    """

    face: np.ndarray
    turn: np.ndarray
    covariance: np.ndarray
    seen: np.ndarray


def split_motion(followed: Followed) -> Motions:
    """Split each image's flow into what head and face do, by robust least squares over all points.

    All points tell about both. A fit of the head to rigid skin alone would have to be carried from
    there to mouth and brows, and its noise would grow on the way.
    """
    lattice = followed.lattice
    root = np.swapaxes(np.linalg.cholesky(followed.information), -1, -2)
    motions = np.concatenate([lattice.head, lattice.face], axis=-1)
    design = (root @ motions).reshape(-1, motions.shape[-1])
    n_head = lattice.head.shape[-1]
    prior = np.full(design.shape[1], 1.0 / (1.5 * _REACH_PX) ** 2)
    prior[:n_head] = 1e-6
    prior[[3, 7]] = 1.0 / _TURN_PX**2
    ridge = np.diag(prior)
    inverse = np.linalg.inv(design.T @ design + ridge)
    to_parameters = inverse @ design.T

    n = len(followed.flow)
    parameters = np.empty((n, design.shape[1]))
    typical, seen = np.empty(n), np.empty(n)

    def whitened(index: int) -> np.ndarray:
        flow: np.ndarray = (root @ followed.flow[index][..., None].astype(float)).ravel()
        return flow

    def misfit(index: int, flow: np.ndarray) -> np.ndarray:
        rest = np.square(flow - design @ parameters[index])
        total: np.ndarray = rest[0::2] + rest[1::2]
        return total

    for index in range(n):
        flow = whitened(index)
        parameters[index] = to_parameters @ flow
        typical[index] = np.median(misfit(index, flow))
    for _ in range(_ROUNDS):
        scale = _OUTLIER * max(float(np.median(typical)), _LEAST_MISFIT)
        for index in range(n):
            flow = whitened(index)
            weight = followed.found[index] / np.square(1.0 + misfit(index, flow) / scale)
            weighted = design * np.repeat(weight, 2)[:, None]
            parameters[index] = np.linalg.solve(weighted.T @ design + ridge, weighted.T @ flow)
            typical[index] = np.median(misfit(index, flow))
            seen[index] = weight.mean()
    return Motions(
        face=parameters[:, n_head:],
        turn=parameters[:, [3, 7]],
        covariance=inverse[n_head:, n_head:],
        seen=seen,
    )


def _as_noisy_as(curves: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Scale a covariance (k, k) to the noise that curves (n, k) have from frame to frame."""
    bend = np.diff(curves, n=2, axis=0)
    noise = np.square(np.median(np.abs(bend), axis=0) / 0.6745) / 6.0
    factor = float(np.median(noise / np.diag(covariance)))
    scaled: np.ndarray = factor * covariance + _STILL_PX**2 * np.eye(len(covariance))
    return scaled


def _read_off(pulse: Pulse, known: np.ndarray, followed: Followed, template: Template) -> Spotted:
    """Measure a pulse that was found in the known frames."""
    sigma = float(np.clip(_SMOOTH_PER_CLIP * len(known), _LEAST_SMOOTH, _MOST_SMOOTH))
    smooth = cv2.GaussianBlur(
        pulse.measured[None], (0, 0), sigma, sigmaY=1e-6, borderType=cv2.BORDER_REPLICATE
    )[0]
    # Either errs by itself: the smoothed curve by noise, the pulse where its shape is not the true.
    believed = 0.5 * (smooth + pulse.fitted)
    # A displacement at every point, and of those the longest.
    field = followed.lattice.face @ pulse.mode
    px = float(np.hypot(*field.T).max()) * template.size / followed.size
    motion_px, smooth_px = np.full((2, len(known)), np.nan)
    motion_px[known] = (pulse.measured - smooth[0]) * px
    smooth_px[known] = (believed - believed[0]) * px
    apex = int(np.flatnonzero(known)[believed.argmax()])
    snr = float(np.sqrt(2.0 * max(pulse.evidence, 0.0)))
    return Spotted(
        motion_px=motion_px,
        smooth_px=smooth_px,
        apex=apex,
        peak_px=float(smooth_px[apex]),
        # A pulse in few frames leaves next to nothing over to tell their noise by.
        snr=snr if known.sum() >= _LEAST_JUDGED else float("nan"),
    )

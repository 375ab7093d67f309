"""Pairs of crops, onset and apex, whose optical flow is known in every pixel."""

from dataclasses import dataclass

import cv2
import numpy as np

from cmedprep.crops import crop_face, low_pass
from cmedprep.geometry import Template, apply, compose, fit_similarity, invert, scale_of
from tests.makers.alignment_scores import template_similarity
from tests.makers.make_videos import compress
from tests.makers.synthetic_face import (
    Array,
    Blink,
    Capture,
    ClipTruth,
    Expression,
    Image,
    Light,
    Motion,
    Portrait,
    render_frame,
)

STILL = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


@dataclass(frozen=True, eq=False)
class Pair:
    """Two crops and what lies between them.

    Attributes
    ----------
    onset, apex
        (size, size, 3) RGB.
    flow
        (size, size, 2) px: where the skin at each of the onset's pixels is in the apex, less the
        pixel itself.
    expression
        The same for the expression alone, as if the alignment had held the head exactly.
    face
        (size, size) bool: where the face is.
    landmarks
        (478, 3) px of the onset.
    """

    onset: Image
    apex: Image
    flow: Array
    expression: Array
    face: Array
    landmarks: Array

    @property
    def moved(self) -> Array:
        """(size, size) bool: skin that the expression moves by a third of its amplitude or more."""
        length = np.hypot(*np.moveaxis(self.expression, -1, 0))
        moved: Array = self.face & (length > length[self.face].max() / 3)
        return moved


def make_pair(
    portrait: Portrait,
    emotion: str | None,
    amplitude_px: float = 0.0,
    *,
    noise_sigma: float = 0.0,
    gain: float = 1.0,
    offset: float = 0.0,
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0),
    closure: float = 0.0,
    misalignment: Array = STILL,
    crf: int | None = None,
    seed: int = 0,
) -> Pair:
    """Render onset and apex and align them by their truth.

    Parameters
    ----------
    portrait
        The face, which is at rest in the onset.
    emotion, amplitude_px
        See `synthetic_face.Expression`; None for no expression.
    noise_sigma, gain, offset
        Sensor noise of both, and the light of the apex; see `synthetic_face.Capture`.
    pose
        Yaw, pitch and roll of the apex in degrees. The best similarity undoes it, parallax stays.
    closure
        Of a blink in the apex; it counts as expression.
    misalignment
        (2, 3) crop px -> crop px: what the alignment of the apex has wrong.
    crf
        Take onset and apex from a video (H.264) of this constant rate factor, 11 frames apart.
    seed
        Of the noise.
    """
    n = 2 if crf is None else 12
    last = n - 1
    way = np.arange(n) / last
    yaw, pitch, roll = (degrees * way for degrees in pose)
    motion = Motion(yaw, pitch, roll, np.ones(n), np.zeros(n), np.zeros(n))
    expression = Expression(emotion, amplitude_px, last) if emotion else None
    blink = Blink(last, closure, 2 * last) if closure else None
    truth = ClipTruth(portrait.face, motion, expression, blink)
    light = Light(1.0 + (gain - 1.0) * way, offset * way)
    capture = Capture(light=light, noise_sigma=noise_sigma, seed=seed)
    frames = [render_frame(portrait, truth, index, capture) for index in range(n)]
    if crf is not None:
        frames = compress(frames, crf)

    size = Template().size
    first = template_similarity(portrait.face.mesh)
    rigid = truth.rigid_points()
    held = fit_similarity(truth.forward(rigid, last, expression=False), apply(first, rigid))
    second = compose(misalignment, held)
    blur = low_pass(np.stack([first, second]))

    pixels = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1).astype(float)
    pixels = pixels.reshape(-1, 2)
    skin = apply(invert(first), pixels)  # the onset is the portrait itself
    flow = apply(second, truth.forward(skin, last)) - pixels
    alone = ClipTruth(portrait.face, Motion.still(n), expression, blink)
    moved = apply(first, alone.forward(skin, last)) - pixels
    landmarks = landmarks_in_crop(portrait.face.mesh, first)
    mask = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.rint(landmarks[:, :2]).astype(np.int32)), 1)
    return Pair(
        crop_face(frames[0], first, size, blur),
        crop_face(frames[last], second, size, blur),
        flow.reshape(size, size, 2),
        moved.reshape(size, size, 2),
        mask.astype(bool),
        landmarks,
    )


def landmarks_in_crop(landmarks: Array, matrix: Array) -> Array:
    """Bring landmarks (478, 3) of a frame into its crop, depth and all.

    Parameters
    ----------
    landmarks : ndarray, shape (478, 3)
        In source px.
    matrix : ndarray, shape (2, 3)
        Source pixel to crop pixel, a similarity.
    """
    depth = landmarks[:, 2:] * scale_of(matrix)
    return np.concatenate([apply(matrix, landmarks[:, :2]), depth], axis=1)


def end_point_error(found: Array, true: Array, where: Array) -> float:
    """Return the mean length of the difference of two flows in px over some pixels."""
    return float(np.hypot(*(found - true)[where].T).mean())

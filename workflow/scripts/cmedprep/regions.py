"""Where expressions move a face, and how: places, their mirror images, and the skin around them.

Coordinates: pixels of an aligned face, pixel centres at integers, x right, y down. *Outward* is
away from the face's midline. Constants are in inter-ocular distances.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from cmedprep.landmarks import eye_centres
from cmedprep.skin import FACE_OVAL, SKIN_MESH, depth_at

PLACES = (
    *(((107, 55), (336, 285)), ((105, 52), (334, 282)), ((70, 46), (300, 276))),  # brows
    *(((205, 50), (425, 280)), ((206, 92), (426, 322)), ((129, 98), (358, 327))),  # cheeks, nose
    *(((39,), (269,)), ((61,), (291,)), ((181,), (405,))),  # lips and their corners
    *(((9,), (9,)), ((164,), (164,)), ((0,), (0,)), ((17,), (17,)), ((200,), (200,))),  # midline
)
"""Mesh ids whose mean is a place, at the image's left and at its right. They are where the muscles
pull whose action units tell emotions apart (FACS, Ekman and Friesen 1978): 1, 2, 4 at the brows, 6
and 9 at cheeks and nose, 10, 12, 15, 20, 25 at the lips, 17 and 26 at the chin. None is a lid."""

_LIDS = (
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466),
)
_STEP, _RIM, _LID_MARGIN = 0.078, 0.15, 0.13
_REACH = 0.09  # standard deviation of the bump of skin that moves with a place
_LEAST_POINTS = 60
_DEPTH_SMOOTHING = 1.0 / 15.0


@dataclass(frozen=True, slots=True)
class Lattice:
    """Points of a face, and the motions they can make.

    Attributes
    ----------
    points : ndarray, shape (n, 2), float32
        In pixels, on whole ones.
    head : ndarray, shape (n, 2, 8)
        Displacement of each point by each parameter of an affine camera: ``[1 x y z]`` for the
        first axis and for the second, from the midpoint of the eyes and the mesh's mean depth, in
        inter-ocular distances.
    face : ndarray, shape (n, 2, k)
        Displacement of each point when a pair of places moves by 1: outward, or upward, both
        sides as in a mirror.
    upward : ndarray of bool, shape (k,)
        Which of those motions go up; the others go outward.
    """

    points: np.ndarray
    head: np.ndarray
    face: np.ndarray
    upward: np.ndarray


def lattice_of(shape: np.ndarray, size: int) -> Lattice | None:
    """Lay points over a face, but not over its eyes and its rim.

    Parameters
    ----------
    shape : ndarray, shape (478, 3)
        Landmarks in pixels.
    size : int
        Width and height of the image in pixels.

    Returns
    -------
    Lattice or None
        None if too little of the face lies inside the image.
    """
    eyes = eye_centres(shape)
    middle, unit = eyes.mean(axis=0), float(np.hypot(*(eyes[1] - eyes[0])))
    points = _points(shape[:, :2], size, unit)
    if len(points) < _LEAST_POINTS:
        return None
    depth = depth_at(points, shape, _DEPTH_SMOOTHING * unit) - shape[:SKIN_MESH, 2].mean()
    affine = np.column_stack([np.ones(len(points)), (points - middle) / unit, depth / unit])
    head = np.zeros((len(points), 2, 8))
    head[:, 0, :4] = head[:, 1, 4:] = affine

    motions, upward = [], []
    across = (eyes[1] - eyes[0]) / unit
    up = np.array([across[1], -across[0]])
    for pair in PLACES:
        bumps = [_bump(points, shape[list(ids), :2].mean(axis=0), _REACH * unit) for ids in pair]
        if pair[0] == pair[1]:
            motions.append(bumps[0][:, None] * up)
            upward.append(True)
        else:
            motions.append((bumps[1] - bumps[0])[:, None] * across)
            motions.append((bumps[1] + bumps[0])[:, None] * up)
            upward += [False, True]
    return Lattice(points.astype(np.float32), head, np.stack(motions, axis=-1), np.array(upward))


def _points(shape: np.ndarray, size: int, unit: float) -> np.ndarray:
    """Return the points (n, 2) of a regular lattice that lie on skin."""
    place = np.rint(shape).astype(np.int32)

    def hull(ids: tuple[int, ...]) -> np.ndarray:
        mask = np.zeros((size, size), np.uint8)
        return cv2.fillConvexPoly(mask, cv2.convexHull(place[list(ids)]), 1)

    def depth_inside(mask: np.ndarray) -> np.ndarray:
        return cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)

    face = hull(FACE_OVAL)
    face[[0, -1]] = face[:, [0, -1]] = 0
    skin = depth_inside(face) > _RIM * unit
    for lids in _LIDS:
        skin &= depth_inside(1 - hull(lids)) > _LID_MARGIN * unit
    step = max(round(_STEP * unit), 1)
    chosen = np.zeros_like(skin)
    chosen[step // 2 :: step, step // 2 :: step] = True
    return np.argwhere(skin & chosen)[:, ::-1].astype(float)


def _bump(points: np.ndarray, centre: np.ndarray, reach: float) -> np.ndarray:
    """Return a Gaussian around a centre at points (n, 2)."""
    bump: np.ndarray = np.exp(-np.square(points - centre).sum(axis=1) / (2.0 * reach**2))
    return bump

"""Skin that moves with the head and not with the face, by the landmarks of the mesh."""

from collections.abc import Iterable, Mapping

import cv2
import numpy as np

from cmedprep.geometry import Template

FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
EYES_AND_BROWS = (
    # Only their hull counts: corners, lids, brow.
    (33, 7, 163, 144, 145, 153, 154, 155, 133, 70, 63, 105, 66, 107, 55, 46),
    (263, 249, 390, 373, 374, 380, 381, 382, 362, 300, 293, 334, 296, 336, 285, 276),
)
LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
WINGS = (129, 358)
SOFT = {
    **dict.fromkeys((159, 386), 0.30),  # lids: blink, orbicularis oculi (AU 5, 6, 7)
    **dict.fromkeys((55, 285, 52, 282, 46, 276), 0.25),  # brows: AU 1, 2, 4
    **dict.fromkeys((129, 358), 0.26),  # wings of the nose: AU 9
    **dict.fromkeys((205, 425), 0.28),  # cheeks: AU 6, 12
    **dict.fromkeys((61, 291), 0.38),  # lip corners: AU 12, 15, 20
}
"""How far around a landmark expressions move the skin, in inter-ocular distances."""
NOSE_BASE = 2
SKIN_MESH = 468
"""Landmarks of the mesh proper; the ten after them are the irises."""

# Margins, in inter-ocular distances.
_RIM, _LIDS, _MOUTH, _WING = 0.14, 0.10, 0.29, 0.10


def rigid_skin(shape: np.ndarray, template: Template) -> tuple[np.ndarray, np.ndarray]:
    """Mark the skin that the head moves.

    Parameters
    ----------
    shape : ndarray, shape (478, >= 2)
        Landmarks in crop pixels.
    template : Template
        The crop's size, and the inter-ocular distance that scales all margins.

    Returns
    -------
    tracked : ndarray of bool, shape (size, size)
        The oval's inside above the nose base, less lids, brows, mouth and the wings of the
        nose with their margins. A robust fit may look for the rigid part here.
    rigid : ndarray of bool, shape (size, size)
        Of that what hardly any expression moves, to be held still: forehead, temples, ridge
        of the nose, the upper cheeks' outer part.
    """
    extent = (template.size, template.size)
    unit = template.inter_ocular
    place = np.rint(shape[:, :2]).astype(np.int32)

    def filled(ids: Iterable[int]) -> np.ndarray:
        mask = np.zeros(extent, np.uint8)
        return cv2.fillConvexPoly(mask, cv2.convexHull(place[list(ids)]), 1)

    def depth_inside(mask: np.ndarray) -> np.ndarray:
        return cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)

    def cut_discs(mask: np.ndarray, reaches: Mapping[int, float]) -> None:
        for landmark, reach in reaches.items():
            x, y = place[landmark].tolist()
            cv2.circle(mask, (x, y), round(reach * unit), 0, cv2.FILLED)

    oval = filled(FACE_OVAL)
    oval[[0, -1]] = oval[:, [0, -1]] = 0
    oval[max(int(shape[NOSE_BASE, 1]), 0) :] = 0
    tracked = (depth_inside(oval) > _RIM * unit).astype(np.uint8)
    for ids, margin in (*((ids, _LIDS) for ids in EYES_AND_BROWS), (LIPS, _MOUTH)):
        tracked &= (depth_inside(1 - filled(ids)) > margin * unit).astype(np.uint8)
    cut_discs(tracked, dict.fromkeys(WINGS, _WING))
    rigid = tracked.copy()
    cut_discs(rigid, SOFT)
    return tracked > 0, rigid > 0


def depth_at(points: np.ndarray, shape: np.ndarray, bandwidth: float) -> np.ndarray:
    """Interpolate the mesh's depth (Nadaraya 1964, Watson 1964).

    Parameters
    ----------
    points : ndarray, shape (n, 2)
        In crop pixels.
    shape : ndarray, shape (478, 3)
        Landmarks in crop pixels; z away from the camera.
    bandwidth : float
        Standard deviation of the Gaussian kernel in pixels.

    Returns
    -------
    ndarray, shape (n,)
        Depth in crop pixels.
    """
    squared = np.square(points[:, None] - shape[:SKIN_MESH, :2]).sum(axis=-1)
    weight = np.exp(-(squared - squared.min(axis=1, keepdims=True)) / (2.0 * bandwidth**2))
    depth: np.ndarray = weight @ shape[:SKIN_MESH, 2] / weight.sum(axis=1)
    return depth

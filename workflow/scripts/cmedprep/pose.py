"""How the head is turned, from the mesh's own depth."""

import numpy as np

# Pairs of mesh points that mirror each other (right, left): outer eye corners, temples, cheeks.
_MIRRORED = ((33, 263), (127, 356), (234, 454), (93, 323))
_FOREHEAD, _CHIN = 10, 152


def head_pose(landmarks: np.ndarray) -> np.ndarray:
    """Return yaw, pitch and roll of the head in degrees.

    The head's axes are the mean direction from right to left over mirrored points, and the
    direction from the top of the forehead to the chin, made perpendicular to it. Angles are
    positive for a head that turns to the image's right (yaw), looks down (pitch), and leans
    clockwise as the camera sees it (roll). A face's own profile shifts its pitch by some degrees,
    the same in all frames: changes can be relied on, zero cannot.

    Parameters
    ----------
    landmarks : ndarray, shape (..., 478, 3)
        In pixels, z growing away from the camera.

    Returns
    -------
    ndarray, shape (..., 3)
        NaN where landmarks are.
    """
    right, left = np.array(_MIRRORED).T
    across = _unit((landmarks[..., left, :] - landmarks[..., right, :]).mean(axis=-2))
    down = landmarks[..., _CHIN, :] - landmarks[..., _FOREHEAD, :]
    down = _unit(down - (down * across).sum(axis=-1, keepdims=True) * across)
    yaw = np.arcsin(np.clip(across[..., 2], -1, 1))
    roll = np.arctan2(across[..., 1], across[..., 0])
    pitch = np.arctan2(down[..., 2], np.cross(across, down)[..., 2])
    result: np.ndarray = np.degrees(np.stack([yaw, pitch, roll], axis=-1))
    return result


def _unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: np.ndarray = vectors / np.where(length > 0, length, np.nan)
    return result

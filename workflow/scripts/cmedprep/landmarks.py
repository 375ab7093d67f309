"""Which points of MediaPipe's mesh are what, and what is measured on them."""

import numpy as np

RIGHT_EYE = (33, 133)
LEFT_EYE = (362, 263)
RIGID = (*RIGHT_EYE, *LEFT_EYE, 168, 6, 197, 2)
"""Mesh points that no expression moves: eye corners, bridge and base of the nose."""


def eye_centres(landmarks: np.ndarray) -> np.ndarray:
    """Return the centres of right and left eye, (..., 2, 2), of landmarks (..., 478, 3)."""
    return np.stack(
        [landmarks[..., RIGHT_EYE, :2].mean(axis=-2), landmarks[..., LEFT_EYE, :2].mean(axis=-2)],
        axis=-2,
    )


def inter_ocular_distance(landmarks: np.ndarray) -> np.ndarray:
    """Return the distance between the eyes' centres in pixels, for landmarks (..., 478, 3)."""
    eyes = eye_centres(landmarks)
    result: np.ndarray = np.linalg.norm(eyes[..., 1, :] - eyes[..., 0, :], axis=-1)
    return result

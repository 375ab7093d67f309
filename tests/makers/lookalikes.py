"""Pictures without a face that resemble one, and pictures with a face that are hard."""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt
import skimage.data

Image = npt.NDArray[np.uint8]

WITHOUT_FACES = (
    "brick", "chelsea", "coffee", "coins", "grass", "gravel", "horse",
    "hubble_deep_field", "page", "rocket", "text", "moon", "clock",
)  # fmt: skip
"""Pictures of scikit-image that come with it and show no face of a person."""


def draw_skull(size: int) -> Image:
    """Draw a white skull on dark cloth, (size, size, 3)."""
    image = np.full((size, size, 3), 20, np.uint8)
    white, dark = (235, 235, 235), (20, 20, 20)
    middle = size // 2

    def scaled(*shares: float) -> tuple[int, ...]:
        return tuple(round(share * size) for share in shares)

    cv2.ellipse(image, (middle, *scaled(0.42)), scaled(0.3, 0.33), 0, 0, 360, white, -1)
    cv2.rectangle(image, scaled(0.34, 0.62), scaled(0.66, 0.88), white, -1)
    for side in (-1, 1):
        eye = scaled(0.5 + 0.13 * side, 0.43)
        cv2.ellipse(image, eye, scaled(0.09, 0.1), 0, 0, 360, dark, -1)
    nose = [scaled(0.5, 0.53), scaled(0.46, 0.62), scaled(0.54, 0.62)]
    cv2.fillPoly(image, [np.array(nose)], dark)
    thin = max(1, size // 70)
    for tooth in range(6):
        x = 0.36 + 0.056 * tooth
        cv2.line(image, scaled(x, 0.72), scaled(x, 0.86), dark, thin)
    cv2.line(image, scaled(0.35, 0.79), scaled(0.65, 0.79), dark, thin)
    return image


def draw_smiley(size: int) -> Image:
    """Draw a yellow smiling disc on white, (size, size, 3)."""
    image = np.full((size, size, 3), 255, np.uint8)

    def scaled(*shares: float) -> tuple[int, ...]:
        return tuple(round(share * size) for share in shares)

    cv2.circle(image, scaled(0.5, 0.5), *scaled(0.42), (255, 215, 0), -1)
    for x in (0.35, 0.65):
        cv2.circle(image, scaled(x, 0.4), *scaled(0.05), (0, 0, 0), -1)
    thick = max(2, size // 50)
    cv2.ellipse(image, scaled(0.5, 0.5), scaled(0.25, 0.25), 0, 20, 160, (0, 0, 0), thick)
    return image


def on_shirt(picture: Image, size: int) -> Image:
    """Show a picture, `size` pixels wide, on the chest of a dark frame of 640 x 480."""
    frame = np.full((480, 640, 3), (40, 40, 60), np.uint8)
    small = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    top, left = 230, 320 - size // 2
    frame[top : top + size, left : left + size] = small[: 480 - top]
    return frame


def cut_pictures(pieces: int, seed: int) -> Iterator[tuple[str, Image]]:
    """Yield the pictures `WITHOUT_FACES`, whole in three sizes and in random square pieces."""
    rng = np.random.default_rng(seed)
    for name in WITHOUT_FACES:
        picture = np.asarray(getattr(skimage.data, name)())
        if picture.dtype != np.uint8:
            picture = (255 * (picture / picture.max())).astype(np.uint8)
        if picture.ndim == 2:
            picture = np.repeat(picture[..., None], 3, axis=2)
        picture = np.ascontiguousarray(picture[..., :3])
        for factor in (0.25, 0.5, 1.0):
            yield (
                name,
                cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA),
            )
        height, width = picture.shape[:2]
        for _ in range(pieces):
            side = int(rng.integers(60, min(height, width) + 1))
            y, x = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
            yield f"{name} piece", cv2.resize(picture[y : y + side, x : x + side], (256, 256))


def drawings() -> Iterator[tuple[str, Image]]:
    """Yield skulls and smileys on a shirt, and filling the picture."""
    for name, draw in (("skull", draw_skull), ("smiley", draw_smiley)):
        for size in (60, 90, 140, 200):
            yield f"{name} of {size} px on a shirt", on_shirt(draw(size), size)
        yield f"{name} of 480 px", draw(480)


def shrink(image: Image, landmarks: np.ndarray, width: float) -> tuple[Image, np.ndarray]:
    """Make the face so wide, in the middle of a grey frame of 640 x 480; also its landmarks."""
    factor = width / float(np.ptp(landmarks[:, 0]))
    small = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    small = small[:480, :640]
    frame = np.full((480, 640, 3), 128, np.uint8)
    top, left = (480 - small.shape[0]) // 2, (640 - small.shape[1]) // 2
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    moved = landmarks * factor
    moved[:, :2] += (factor - 1) / 2 + np.array([left, top])
    return frame, moved


def tighten(image: Image, landmarks: np.ndarray, cut: float) -> tuple[Image, np.ndarray]:
    """Crop to the landmarks' box less a share of it on each side; also the landmarks."""
    low, high = landmarks[:, :2].min(axis=0), landmarks[:, :2].max(axis=0)
    inset = cut * (high - low)
    left, top = np.maximum(np.round(low + inset), 0).astype(int)
    right, bottom = np.round(high - inset).astype(int)
    moved = landmarks.copy()
    moved[:, :2] -= [left, top]
    return np.ascontiguousarray(image[top:bottom, left:right]), moved


def turn(image: Image, landmarks: np.ndarray, turns: int) -> tuple[Image, np.ndarray]:
    """Turn by quarter turns, counter-clockwise; also the landmarks."""
    height, width = image.shape[:2]
    x, y, z = landmarks.T
    x, y = {
        0: (x, y),
        1: (y, width - 1 - x),
        2: (width - 1 - x, height - 1 - y),
        3: (height - 1 - y, x),
    }[turns]
    return np.ascontiguousarray(np.rot90(image, turns)), np.stack([x, y, z], axis=1)

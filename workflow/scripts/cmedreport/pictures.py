"""What a report shows of images: small, and by default so coarse that nobody is seen.

MediaPipe's detectors find a face in most pictures of eight by eight pixels, and in some of a mere
three by three. In two rows of six they find none, however these are enlarged
(`tests/test_report_privacy.py`). Standard deviations are numbers, of fifths of the crop's height
and thirds of its width.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

COARSE = (6, 2)
"""Width and height of a picture that shows no face, in pixels."""

ZONES = (5, 3)
"""Rows and columns of standard deviations that show no face."""

TILE, PORTRAIT = 88, 144
"""The same for pictures that show faces: in the strip, and of mean and standard deviation."""

MOST_DEVIATION = 24.0
"""The standard deviation, in grey levels, that is shown as the brightest."""

_QUALITY = 62
_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(slots=True)
class Moments:
    """Mean and standard deviation of images, one at a time.

    Sums are of differences to the first image, which are small where all are alike.
    """

    count: int = 0
    first: np.ndarray | None = None
    total: np.ndarray | None = None
    grey: np.ndarray | None = None
    square: np.ndarray | None = None

    def add(self, image: np.ndarray) -> None:
        """Count an image, (height, width, 3) uint8 RGB."""
        if self.first is None:
            self.first = image.astype(np.float32)
            self.total = np.zeros_like(self.first)
            self.grey = np.zeros(image.shape[:2], np.float32)
            self.square = np.zeros(image.shape[:2], np.float32)
        difference = image.astype(np.float32) - self.first
        level = difference @ _GREY
        self.total += difference
        self.grey += level
        self.square += level * level
        self.count += 1

    def mean(self) -> np.ndarray:
        """Return the mean image, (height, width, 3) uint8."""
        assert self.first is not None
        assert self.total is not None
        mean: np.ndarray = np.rint(self.first + self.total / self.count).clip(0, 255)
        return mean.astype(np.uint8)

    def deviation(self) -> np.ndarray:
        """Return each pixel's standard deviation over time in grey levels, (height, width)."""
        assert self.grey is not None
        assert self.square is not None
        variance = self.square / self.count - (self.grey / self.count) ** 2
        deviation: np.ndarray = np.sqrt(np.maximum(variance, 0))
        return deviation


def shrink(image: np.ndarray, faces: bool, size: int) -> np.ndarray:
    """Return an image as it may be shown: `size` pixels wide with faces, else `COARSE`."""
    shape = (size, size) if faces else COARSE
    small: np.ndarray = cv2.resize(image, shape, interpolation=cv2.INTER_AREA)
    return small


def zones(deviation: np.ndarray) -> np.ndarray:
    """Return the root mean square of standard deviations in each of `ZONES`, (5, 3)."""
    mean: np.ndarray = cv2.resize(deviation**2, ZONES[::-1], interpolation=cv2.INTER_AREA)
    root: np.ndarray = np.sqrt(mean)
    return root


def colour(deviation: np.ndarray) -> np.ndarray:
    """Return standard deviations as colours from black over red to white, uint8 RGB."""
    level = np.rint(deviation.clip(0, MOST_DEVIATION) * (255 / MOST_DEVIATION)).astype(np.uint8)
    coloured: np.ndarray = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)[..., ::-1]
    return coloured


def join(tiles: Iterable[np.ndarray]) -> np.ndarray:
    """Return tiles beside each other, as one image."""
    return np.hstack(list(tiles))


def to_uri(image: np.ndarray, faces: bool) -> str:
    """Return an RGB image as an address that holds it: WebP with faces, else exact, as PNG."""
    kind = "webp" if faces else "png"
    options = [cv2.IMWRITE_WEBP_QUALITY, _QUALITY] if faces else []
    done, data = cv2.imencode(f".{kind}", np.ascontiguousarray(image[..., ::-1]), options)
    if not done:
        raise OSError(f"OpenCV could not encode a {image.shape} image as {kind}")
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode()}"

"""Cut aligned faces out of frames.

Between its samples an image must be guessed, and a guess that is better on the samples than
between them moves edges and changes sharpness as the head drifts by fractions of a pixel. So
the source is first sampled twice as densely by a spline, and only then interpolated linearly.
"""

from functools import lru_cache

import cv2
import numpy as np

from cmedprep.geometry import cut_seen, scale_of

# Variances, in square source pixels, of linear interpolation between samples 1 px apart,
# averaged over its position; and of `cv2.pyrUp` followed by the same at 1/2 px.
_LINEAR = 1 / 6
_DOUBLED = 1 / 4 + _LINEAR / 4
# Crops of half the scale of the source and less: the low-pass leaves little that the denser
# sampling would save, at three times the cost.
_WIDE = 0.5 * 3**0.5


def crop_face(image: np.ndarray, matrix: np.ndarray, size: int, blur_px: float) -> np.ndarray:
    """Resample an aligned face, once, from the source frame.

    One short filter does two things: it is the low-pass, and it gives back what the steps
    after it smooth away. `cv2.pyrUp` then doubles the sampling, and `cv2.warpAffine`
    interpolates linearly, its only mode that does not round coordinates. At every sub-pixel
    phase, positions keep to 0.01 px up to 0.2 cycles per source pixel, where bicubic
    `cv2.warpAffine` is 0.05 px off. Only the part of the frame that is seen is touched.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
        The source frame, RGB.
    matrix : ndarray, shape (2, 3)
        Source pixel to crop pixel, a similarity.
    size : int
        Width and height of the crop in pixels.
    blur_px : float
        Standard deviation of the low-pass filter in source pixels, see `low_pass`; 0 for none.

    Returns
    -------
    ndarray, shape (size, size, 3), uint8
        Black where the crop reaches beyond the frame.
    """
    kernel = _kernel(blur_px)
    seen, to_crop = cut_seen(image, matrix, size, margin=len(kernel) // 2 + 3)
    if not seen.size:
        return np.zeros((size, size, image.shape[2]), np.uint8)
    samples = cv2.sepFilter2D(seen, cv2.CV_32F, kernel, kernel)
    if blur_px < _WIDE:
        samples = cv2.pyrUp(samples)  # sample 2 i lies on pixel i
        to_crop[:, :2] /= 2
    crop = cv2.warpAffine(
        samples, to_crop, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    return cv2.convertScaleAbs(np.maximum(crop, 0))  # rounded, and at most 255


def low_pass(matrices: np.ndarray) -> float:
    """Return the blur in source pixels that keeps a clip's crops free of aliasing.

    A crop that shrinks the source by a factor f < 1 is filtered with a Gaussian of standard
    deviation 0.5 sqrt(1/f^2 - 1), which turns a source pixel's blur of 0.5 into that of a crop
    pixel; it fades to nothing as f rises to 1. One value serves the whole clip, from its
    median scale, so that no frame looks sharper than the next.
    """
    factor = float(np.nanmedian(scale_of(matrices)))
    return 0.5 * float(np.sqrt(1 / factor**2 - 1)) if factor < 1 else 0.0


@lru_cache
def _kernel(blur_px: float) -> np.ndarray:
    """Return the filter that makes a Gaussian of `blur_px` together with the steps after it.

    Variances add, so it has what the blur wants less what those steps have; that is negative
    for a small blur, and the filter sharpens. Up to `_WIDE` five taps are enough, a, b, c, b, a:

    * their sum is 1:                      c + 2 b + 2 a = 1
    * their variance is v:                 2 b + 8 a = v
    * their gain at 1/4 cycle per pixel:   c - 2 a = g

    g holds the Gaussian's own gain, and 1.39 for the steps after it. (They keep 0.69 there;
    1.39 is what the filter has that is flattest at low frequencies. The full 1.45 rings more.)
    """
    if blur_px < _WIDE:
        v = blur_px**2 - _DOUBLED
        g = 1.39 * np.exp(-((np.pi * blur_px) ** 2) / 8)
        a = (g + v - 1) / 4
        b = v / 2 - 4 * a
        return np.array([a, b, g + 2 * a, b, a])
    sigma = float(np.sqrt(blur_px**2 - _LINEAR))
    return cv2.getGaussianKernel(2 * int(np.ceil(3 * sigma)) + 1, sigma).ravel()

"""What a tracker sees of a face: grey crops, their contrast, their corners, their blur."""

import cv2
import numpy as np

from cmedprep.geometry import Template, cut_seen, scale_of

WINDOW = (17, 17)
"""Width and height in pixels of what is compared when a corner is tracked."""

_CONTRAST_WINDOW = (25, 25)
_CONTRAST_FLOOR = 3.0  # grey levels; less is noise, not to be blown up
_LOW_PASS = 9  # pixels, Crete et al. 2007


def look(frame: np.ndarray, matrix: np.ndarray, size: int) -> np.ndarray:
    """Cut the crop from a frame, in grey.

    Parameters
    ----------
    frame : ndarray, shape (height, width, 3), uint8
        RGB.
    matrix : ndarray, shape (2, 3)
        Source pixel to crop pixel, a similarity.
    size : int
        Width and height of the crop in pixels.

    Returns
    -------
    ndarray, shape (size, size), uint8
        Where the crop is coarser than the frame, areas are averaged: no aliasing.
    """
    seen, to_crop = cut_seen(frame, matrix, size, margin=2)
    if not seen.size:
        return np.zeros((size, size), np.uint8)
    finer = max(1, int(scale_of(matrix) ** -1))
    fine = finer * to_crop
    fine[:, 2] += (finer - 1) / 2.0
    grey = cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY)
    crop = cv2.warpAffine(grey, fine, (finer * size, finer * size), borderMode=cv2.BORDER_REPLICATE)
    if finer > 1:
        crop = cv2.resize(crop, (size, size), interpolation=cv2.INTER_AREA)
    return crop


def soften(crop: np.ndarray) -> np.ndarray:
    """Take out of a crop what is finer than a tracker can use."""
    soft: np.ndarray = cv2.GaussianBlur(crop, (5, 5), 0.8)
    return soft


def normalise_contrast(crop: np.ndarray) -> np.ndarray:
    """Give every neighbourhood the same brightness and contrast: a gain or a shadow vanishes.

    Parameters
    ----------
    crop : ndarray, shape (size, size)
        Grey levels.

    Returns
    -------
    ndarray, shape (size, size), float32
        Of mean 128 and standard deviation 40 around every pixel that has texture.
    """
    detail = crop.astype(np.float32)
    detail -= cv2.blur(detail, _CONTRAST_WINDOW)
    energy = cv2.blur(detail * detail, _CONTRAST_WINDOW)
    deviation = cv2.sqrt(energy + np.float32(_CONTRAST_FLOOR**2))
    normal: np.ndarray = cv2.divide(detail, deviation, scale=40.0) + np.float32(128.0)
    return normal


def to_grey_levels(image: np.ndarray) -> np.ndarray:
    """Round to uint8; clips at 0 and 255."""
    levels: np.ndarray = cv2.convertScaleAbs(np.maximum(image, 0.0))
    return levels


def structure_tensor(image: np.ndarray) -> np.ndarray:
    """Sum the products of derivatives over each tracking window, (rows, columns, 2, 2)."""
    dx, dy = (cv2.Sobel(image, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    xx, xy, yy = (
        cv2.boxFilter(product, -1, WINDOW, normalize=False)
        for product in (dx * dx, dx * dy, dy * dy)
    )
    return np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -2).astype(np.float64)


def corners(image: np.ndarray, skin: np.ndarray, cell: int) -> np.ndarray:
    """Pick the best corner of every grid cell (Shi and Tomasi 1994).

    Parameters
    ----------
    image : ndarray, shape (size, size), float32
        What to look at.
    skin : ndarray of bool, shape (size, size)
        Where to look.
    cell : int
        Width and height of a cell in pixels.

    Returns
    -------
    ndarray, shape (n, 2)
        Corners in pixels, on whole ones.
    """
    quality = np.where(skin, cv2.cornerMinEigenVal(image, WINDOW[0]), -1.0)
    n = -(-len(quality) // cell)
    padded = np.pad(quality, (0, n * cell - len(quality)), constant_values=-1.0)
    cells = padded.reshape(n, cell, n, cell).swapaxes(1, 2).reshape(n, n, cell * cell)
    best = cells.argmax(axis=-1)
    row, column = np.nonzero(cells.max(axis=-1) > 0.0)
    y, x = np.divmod(best[row, column], cell)
    return np.column_stack([column * cell + x, row * cell + y]).astype(np.float64)


def blur_of(crop: np.ndarray, template: Template) -> float:
    """Judge how blurred the face in a crop is, by nothing but the crop.

    A strong low-pass takes much of the variation between neighbouring pixels from a sharp
    image and little from a blurred one; the share that stays, in the worse of the two
    directions, is the blur (Crete, Dolmiere, Ladret and Nicolas 2007).

    Parameters
    ----------
    crop : ndarray, shape (size, size), uint8
        Grey, the face on the template.
    template : Template
        Tells where the face is.

    Returns
    -------
    float
        0 (sharp) to 1; NaN where nothing varies.
    """
    x, y = template.eye_midpoint
    unit = template.inter_ocular
    top, left = max(round(y - 0.6 * unit), 0), max(round(x - 0.9 * unit), 0)
    face = crop[top : round(y + 1.2 * unit), left : round(x + 0.9 * unit)].astype(np.float32)
    soft_across, soft_down = cv2.blur(face, (_LOW_PASS, 1)), cv2.blur(face, (1, _LOW_PASS))
    stays = [
        _share_left(face[:, 1:], face[:, :-1], soft_across[:, 1:], soft_across[:, :-1]),
        _share_left(face[1:], face[:-1], soft_down[1:], soft_down[:-1]),
    ]
    return max(stays) if np.isfinite(stays).all() else float("nan")


def _share_left(
    image: np.ndarray, beside: np.ndarray, soft_image: np.ndarray, soft_beside: np.ndarray
) -> float:
    """Return which share of the variation between neighbours a low-pass leaves."""
    before, after = cv2.absdiff(image, beside), cv2.absdiff(soft_image, soft_beside)
    varies = cv2.sumElems(before)[0]
    return float(cv2.sumElems(cv2.min(before, after))[0] / varies) if varies else float("nan")

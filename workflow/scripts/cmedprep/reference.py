"""The face that every frame of a clip is compared with.

It is the mean of the frames whose face has the clip's most typical shape, each brought to the
template by its landmarks. Averaging takes away sensor noise and most of the landmarks' own error,
so the template's place is the clip's mean and no frame's accident.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cmedprep.geometry import Template
from cmedprep.skin import SKIN_MESH, depth_at, rigid_skin
from cmedprep.texture import (
    corners,
    look,
    normalise_contrast,
    soften,
    structure_tensor,
    to_grey_levels,
)

Frames = Callable[[], Iterator[np.ndarray]]
"""Opens a clip from its start: frames of shape (height, width, 3), uint8, RGB."""

MIN_TRACKS = 20
"""With fewer, a frame's motion is not to be trusted."""

_REFERENCE_FRAMES = 12
# In inter-ocular distances (90 px in the default template): cells with one corner each, parts of
# the face whose tracks err together.
_CELL, _BLOCK = 0.145, 0.5
_TARGET_STEP = 6  # pixels between the fixed points that cover the skin
# What a track can be wrong by: grey levels by which a compressed pixel errs, and px always.
_GREY_NOISE, _TRACK_FLOOR_PX = 4.0, 0.05


@dataclass(frozen=True, slots=True)
class Reference:
    """What every frame is compared with.

    Attributes
    ----------
    image : ndarray, shape (size, size), uint8
        Typical face of the clip, contrast-normalised.
    points : ndarray, shape (n, 2)
        Corners in crop pixels.
    information : ndarray, shape (n, 2, 2)
        Inverse covariance in px**-2 that the texture promises for a track.
    design, target_design : ndarray, shape (n, 4) and (t, 4)
        ``[1 x y z]`` of the corners and of fixed points that cover the skin; x, y from the
        midpoint of the eyes, z from the mesh's mean, all in inter-ocular distances.
    target : ndarray, shape (t, 2)
        Those points in crop pixels.
    fold : ndarray of int, shape (n,)
        0 or 1 as on a chessboard.
    block : ndarray of int, shape (n,)
        Number of the part of the face.
    shape : ndarray, shape (478, 3)
        Median landmarks in crop pixels.
    template : Template
        Where the face stands.
    """

    image: np.ndarray
    points: np.ndarray
    information: np.ndarray
    design: np.ndarray
    target_design: np.ndarray
    target: np.ndarray
    fold: np.ndarray
    block: np.ndarray
    shape: np.ndarray
    template: Template


def unlikeness(aligned: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Return the landmarks' mean distance from those of a shape.

    Parameters
    ----------
    aligned : ndarray, shape (n, 478, 3)
        Landmarks in crop pixels.
    shape : ndarray, shape (478, 3)
        What they are compared with.

    Returns
    -------
    ndarray, shape (n,)
        Pixels; NaN without landmarks.
    """
    apart = (aligned - shape)[:, :SKIN_MESH, :2]
    distance: np.ndarray = np.hypot(apart[..., 0], apart[..., 1]).mean(axis=1)
    return distance


def typical_frames(aligned: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Choose the frames nearest to the median shape: the usual turn, the usual face, no blink.

    Parameters
    ----------
    aligned : ndarray, shape (n, 478, 3)
        Landmarks in crop pixels.
    among : ndarray of bool, shape (n,)
        The frames to choose from.

    Returns
    -------
    ndarray of int
        At most 12 frames, ascending.
    """
    distance = unlikeness(aligned, np.median(aligned[among], axis=0))
    nearest = np.argsort(np.where(among, distance, np.inf), kind="stable")
    return np.sort(nearest[: min(_REFERENCE_FRAMES, int(among.sum()))])


def build_reference(
    open_frames: Frames,
    coarse: np.ndarray,
    aligned: np.ndarray,
    chosen: np.ndarray,
    template: Template,
) -> Reference | None:
    """Make the mean of chosen frames a reference.

    Parameters
    ----------
    open_frames : callable
        Opens the clip from its start; read as far as the last chosen frame.
    coarse : ndarray, shape (n, 2, 3)
        Source pixel to crop pixel, from the landmarks.
    aligned : ndarray, shape (n, 478, 3)
        Landmarks in crop pixels.
    chosen : ndarray of int
        Frames, ascending, at least one.
    template : Template
        Where the face stands.

    Returns
    -------
    Reference or None
        None if there is no skin to track.
    """
    means = _mean_looks(open_frames, coarse, chosen, template.size)
    if means is None:
        return None
    grey, detail = means
    shape = np.median(aligned[chosen], axis=0)
    skin, rigid = rigid_skin(shape, template)
    unit = template.inter_ocular
    points = corners(detail, skin, round(_CELL * unit))
    lattice = np.zeros_like(rigid)
    lattice[::_TARGET_STEP, ::_TARGET_STEP] = True
    target = np.argwhere(rigid & lattice)[:, ::-1].astype(np.float64)
    if len(points) < MIN_TRACKS or not len(target):
        return None
    level = shape[:SKIN_MESH, 2].mean()

    def design(at: np.ndarray) -> np.ndarray:
        depth = depth_at(at, shape, unit / 15.0) - level
        place = (at - template.eye_midpoint) / unit
        return np.column_stack([np.ones(len(at)), place, depth / unit])

    bucket = (points // round(2 * _CELL * unit)).astype(np.intp)
    block = (points // (_BLOCK * unit)).astype(np.intp) @ (1, 1000)
    return Reference(
        image=to_grey_levels(detail),
        points=points,
        information=_information(grey, points.astype(int)),
        design=design(points),
        target_design=design(target),
        target=target,
        fold=bucket.sum(axis=1) % 2,
        block=np.unique(block, return_inverse=True)[1],
        shape=shape,
        template=template,
    )


def _mean_looks(
    open_frames: Frames, coarse: np.ndarray, chosen: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the mean crop and the mean contrast-normalised crop, float32; None of no frame."""
    grey, detail = np.zeros((2, size, size), np.float32)
    share = np.float32(len(chosen))
    seen = 0
    for index, frame in enumerate(open_frames()):
        if index in chosen:
            crop = soften(look(frame, coarse[index], size))
            grey += crop / share
            detail += normalise_contrast(crop) / share
            seen += 1
        if index == chosen[-1]:
            break
    # The clip may end before its landmarks do.
    return (grey * (share / seen), detail * (share / seen)) if seen else None


def _information(grey: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Return the inverse covariance (n, 2, 2) in px**-2 of tracks of pixels (n, 2)."""
    tensor = structure_tensor(grey)[at[:, 1], at[:, 0]]
    eye = np.eye(2)
    covariance = _GREY_NOISE**2 * np.linalg.inv(tensor + 1e-3 * eye) + _TRACK_FLOOR_PX**2 * eye
    information: np.ndarray = np.linalg.inv(covariance)
    return information

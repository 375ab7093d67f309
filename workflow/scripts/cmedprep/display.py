"""How a decoded frame is to be shown: which way up, and with which shape of its pixels."""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from av.sidedata.sidedata import SideDataContainer


@dataclass(frozen=True, slots=True)
class Orientation:
    """How an image is brought upright: first transposed, then flipped top to bottom, left to right.

    `rotation_deg` is the rotation of the display matrix, counter-clockwise.
    """

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False
    rotation_deg: int = 0


UPRIGHT = Orientation()
_MOST_ASPECT = 4
"""Pixels that are said to be wider or higher than this by a factor are not believed to be."""
_LEAST_ASPECT = 1.01
"""Pixels nearer to a square than this are square: rounding, which is not worth resampling for."""


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """Read a frame's display matrix, in quarter turns.

    The matrix is ``x' = a x + c y, y' = b x + d y`` (ISO 14496-12), in 16.16 fixed point.
    """
    # `frame.side_data` would do, but the frame would keep it, and it keeps the frame: hundreds
    # of them would wait in memory for the garbage collector.
    data: Any = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if data is None:
        return UPRIGHT
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    # As libav measures it: counter-clockwise, of the image of the x axis.
    across, down = math.hypot(a, c), math.hypot(b, d)
    angle = -math.atan2(b / down, a / across) if across and down else 0.0
    rotation = round(math.degrees(angle))
    transpose = abs(a) + abs(d) < abs(b) + abs(c)
    if transpose:
        a, d = c, b
    return Orientation(transpose, d < 0, a < 0, rotation)


def square_size(width: int, height: int, aspect: Fraction) -> tuple[int, int]:
    """Return the size that an image has with square pixels; no side is less than before.

    `aspect` is the width of a pixel over its height. What is not believed, and what is as good as
    square, changes nothing.
    """
    if not _LEAST_ASPECT <= max(aspect, 1 / aspect) <= _MOST_ASPECT:
        return width, height
    if aspect > 1:
        return round(width * aspect), height
    return width, round(height / aspect)


def pixel_aspect(stream: Any) -> Fraction:
    """Return the width of a pixel over its height; 1 where the file does not say it."""
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and aspect > 0 else Fraction(1)


def remark_on_pixels(stored: tuple[int, int], aspect: Fraction) -> Iterator[str]:
    """Yield in words what became of pixels that are not square, if they are not."""
    shape = f"{aspect.numerator}:{aspect.denominator}"
    if (size := square_size(*stored, aspect)) != stored:
        were = f"{stored[0]} x {stored[1]} pixels of {shape}"
        yield f"{were} are resampled to {size[0]} x {size[1]} square ones"
    elif not 1 / _MOST_ASPECT <= aspect <= _MOST_ASPECT:
        yield f"pixels are said to have a shape of {shape} and are taken for square"

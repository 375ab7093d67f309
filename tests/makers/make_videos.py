"""Make videos of every kind, whose pictures say which they are and which way is up.

Each picture has a colour of its own in each quarter and, across its middle, its number in
black and white blocks: what comes out of a decoder can be held against what went in.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

FPS = 30
BITS = 8
QUARTERS = np.array([[[230, 160, 160], [60, 180, 60]], [[50, 50, 170], [30, 30, 30]]], np.uint8)
"""Colours of the quarters: the two above, the two below. All differ in light."""


@dataclass(frozen=True)
class Kind:
    """A kind of video file.

    `name` ends as such files do, `muxer` are settings of the container, `options` those of
    the encoder, and `colour_range` is 1 for limited and 2 for full range.
    """

    name: str
    codec: str
    pixels: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    muxer: dict[str, str] = field(default_factory=dict)
    format: str | None = None
    colour_range: int | None = None

    @property
    def can_be_written(self) -> bool:
        """Tell whether this build of PyAV has the encoder."""
        try:
            av.codec.Codec(self.codec, "w")
        except av.codec.codec.UnknownCodecError:
            return False
        return True


def picture(number: int, width: int = 96, height: int = 64) -> np.ndarray:
    """Return the picture of a number below 256, shape (height, width, 3)."""
    image = np.empty((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = QUARTERS[0, 0]
    image[: height // 2, width // 2 :] = QUARTERS[0, 1]
    image[height // 2 :, : width // 2] = QUARTERS[1, 0]
    image[height // 2 :, width // 2 :] = QUARTERS[1, 1]
    for bit, columns in enumerate(np.array_split(np.arange(width), BITS)):
        image[_band(height), columns] = 255 * (number >> bit & 1)
    return image


def pictures(n: int, width: int = 96, height: int = 64) -> list[np.ndarray]:
    """Return the pictures of the numbers from 0 on."""
    return [picture(number, width, height) for number in range(n)]


def number_of(image: np.ndarray) -> int:
    """Return the number that an upright picture shows."""
    band = image[_band(len(image))].mean(axis=(0, 2))
    blocks = [
        block[len(block) // 4 : -(len(block) // 4) or None].mean()
        for block in np.array_split(band, BITS)
    ]
    return sum(1 << bit for bit, light in enumerate(blocks) if light > 127)


def quarters_of(image: np.ndarray) -> np.ndarray:
    """Return the mean colours of the quarters' middles, shape (2, 2, 3)."""
    height, width = image.shape[:2]
    rows = [slice(height // 8, height // 4), slice(-(height // 4), -(height // 8))]
    columns = [slice(width // 8, width * 3 // 8), slice(width * 5 // 8, width * 7 // 8)]
    return np.array([[image[r, c].mean(axis=(0, 1)) for c in columns] for r in rows])


def greys(colours: np.ndarray) -> np.ndarray:
    """Return colours without their colour (Rec. 601), same shape."""
    light = colours @ np.array([0.299, 0.587, 0.114])
    return np.repeat(light[..., None], 3, axis=-1)


def write_video(
    path: Path,
    images: Iterable[np.ndarray],
    kind: Kind,
    times: Sequence[int] | None = None,
    rate: int = FPS,
) -> Path:
    """Encode images as a video of some kind.

    Parameters
    ----------
    path : Path
        The file to write.
    images : iterable of ndarray
        RGB images, or RGBA ones where the kind has alpha; all of the same size.
    kind : Kind
        The kind of video.
    times : sequence of int, optional
        Presentation times in frames.
    rate : int
        Frames per second.
    """
    container: dict[str, Any] = {"container_options": kind.muxer, "format": kind.format}
    with ordinary_scheduling(), av.open(str(path), "w", **container) as file:
        stream: Any = file.add_stream(kind.codec, rate=rate, options=kind.options)
        stream.pix_fmt = kind.pixels
        if kind.colour_range:
            stream.codec_context.color_range = kind.colour_range
        for i, image in enumerate(images):
            if i == 0:
                stream.height, stream.width = image.shape[:2]
            form = "rgba" if image.shape[2] == 4 else "rgb24"
            frame = av.VideoFrame.from_ndarray(image, format=form)
            frame = frame.reformat(format=kind.pixels, dst_color_range=kind.colour_range)
            frame.pts, frame.time_base = times[i] if times else i, Fraction(1, rate)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@contextmanager
def ordinary_scheduling() -> Iterator[None]:
    """Undo what SVT-AV1's encoder does to root's processes.

    It makes the thread that opens it one of real time and of the highest priority, and so whatever
    that starts later: a browser or a run of the workflow that nothing else gets a turn beside.
    """
    if not hasattr(os, "sched_getscheduler"):  # only Linux has it
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def compress(frames: list[np.ndarray], crf: int) -> list[np.ndarray]:
    """Encode frames as H.264 and decode them again.

    Parameters
    ----------
    frames
        (height, width, 3) uint8 RGB; sides are even.
    crf
        The quality of x264, 0 to 51; more is worse.
    """
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        options = {"crf": str(crf), "preset": "veryfast", "threads": "1"}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def _band(height: int) -> slice:
    return slice(height * 3 // 8, height * 5 // 8)

"""Read video files, frame by frame, upright and with their timestamps."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from cmedprep.decoding import decode
from cmedprep.display import Orientation


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame.

    `index` counts decoded frames from 0, `time` is the presentation time in seconds as the
    file states it, and `image` has shape (height, width, 3), uint8, RGB, upright.
    """

    index: int
    time: float
    image: np.ndarray


def read_frames(path: Path, threads: int = 1) -> Iterator[Frame]:
    """Yield every frame of a video, turned upright by its display matrix.

    Frames are counted as they are decoded: container headers are not trusted. Frames that
    an edit list hides are left out, as players do. Transparency is dropped, and what is not
    8 bits of RGB is converted to it. Pixels that are not square are made so, by a cubic
    interpolation that widens or heightens the image and never shrinks it.

    Parameters
    ----------
    path : Path
        The video file.
    threads : int
        Threads of the decoder and of the conversion. They change the speed and not the result.

    Raises
    ------
    VideoError
        As for `decoding.decode`: the file is not a video, or not all of one.
    """
    reformatter = VideoReformatter()  # one for all frames: setting it up takes as long as using it
    image: np.ndarray
    for index, picture in enumerate(decode(path, threads)):
        # By itself it starts a thread for each core, which takes longer than the work.
        image = reformatter.reformat(picture.frame, format="rgb24", threads=threads).to_ndarray()
        if picture.size != image.shape[1::-1]:
            image = cv2.resize(image, picture.size, interpolation=cv2.INTER_CUBIC)
        upright = turn_upright(image, picture.orientation)
        yield Frame(index, picture.time, np.ascontiguousarray(upright))


def read_images(path: Path, threads: int = 1) -> Iterator[np.ndarray]:
    """Yield the image of every frame; see `read_frames`."""
    for frame in read_frames(path, threads):
        yield frame.image


def turn_upright(image: np.ndarray, orientation: Orientation) -> np.ndarray:
    """Return a view of an image (height, width, 3), turned and mirrored."""
    if orientation.transpose:
        image = image.transpose(1, 0, 2)
    rows = -1 if orientation.flip_rows else 1
    columns = -1 if orientation.flip_columns else 1
    return image[::rows, ::columns]

"""Open the clips of a subject, as the inventory of its videos lists them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cmedplan.digests import digest_file
from cmedprep.decoding import VideoError
from cmedprep.tables import read_rows
from cmedprep.video import Frame, read_frames

_Stamp = tuple[int, int, int]


def processed_clips(videos: Path) -> list[dict[str, Any]]:
    """Return the rows of `schemas.VIDEOS` whose clips go through the workflow."""
    return [row for row in read_rows(videos) if row["processed"]]


@dataclass(frozen=True, slots=True)
class Source:
    """A clip's video, known to be the one that was indexed; `open_clip` makes it.

    What is read from it is that video's: if the file is replaced, written to or removed
    meanwhile, the reader that comes to its end raises RuntimeError.
    """

    path: Path
    stamp: _Stamp
    threads: int

    def frames(self) -> Iterator[Frame]:
        """Yield every frame; see `video.read_frames`."""
        try:
            yield from read_frames(self.path, self.threads)
        except (OSError, VideoError):
            if _stamp(self.path) == self.stamp:
                raise
        if _stamp(self.path) != self.stamp:
            raise _replaced(self.path)

    def images(self) -> Iterator[np.ndarray]:
        """Yield the image of every frame, shape (height, width, 3), uint8, RGB."""
        for frame in self.frames():
            yield frame.image


class KeptImages:
    """Opens a clip's images from the start as often as asked for, and decodes them once.

    Images that were read are kept, up to `most_bytes`. A clip that has more is decoded anew
    each time, one image in memory at a time.

    Parameters
    ----------
    open_images : callable
        Opens the clip from its start. Only one of the iterators that this object has given may
        be in use at a time.
    most_bytes : int
        How much to keep.
    """

    def __init__(
        self, open_images: Callable[[], Iterator[np.ndarray]], most_bytes: int = 192 << 20
    ) -> None:
        self._open = open_images
        self._room = most_bytes
        self._kept: list[np.ndarray] = []
        self._rest: Iterator[np.ndarray] | None = None

    def __call__(self) -> Iterator[np.ndarray]:
        """Yield the image of every frame."""
        if self._room < 0:
            yield from self._open()
            return
        yield from self._kept
        self._rest = self._rest or self._open()
        for image in self._rest:
            self._room -= image.nbytes
            if self._room < 0:
                self._kept.clear()
            else:
                self._kept.append(image)
            yield image


def open_clip(root: Path, clip: Mapping[str, Any], threads: int = 1) -> Source:
    """Return a clip's video, once it is known to be the one that was indexed.

    Parameters
    ----------
    root : Path
        The root of the data set.
    clip : mapping
        The clip's row of `schemas.VIDEOS`.
    threads : int
        Threads of the decoder.

    Raises
    ------
    RuntimeError
        The file is gone or its content differs from the inventory.
    """
    path = root / str(clip["path"])
    stamp = _stamp(path)
    if stamp is None or digest_file(path) != clip["sha256"]:
        raise _replaced(path)
    return Source(path, stamp, threads)


def count_frames(clips: Iterable[Mapping[str, Any]]) -> int:
    """Return the number of frames of some clips."""
    return sum(clip["n_frames"] for clip in clips)


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes when a file is replaced or written to; None if there is no file."""
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_ctime_ns


def _replaced(path: Path) -> RuntimeError:
    return RuntimeError(
        f"{path} is not the file that was indexed: it was replaced or removed while the "
        "workflow was running. Run the workflow again."
    )

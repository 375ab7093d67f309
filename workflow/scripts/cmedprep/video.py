"""Decode video files, frame by frame, upright and with their timestamps."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter


class VideoError(Exception):
    """A video cannot be used; `status` and the message say why."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Frame:
    """A decoded frame.

    `index` counts decoded frames from 0, `time` is the presentation time in seconds as the
    file states it, and `image` has shape (height, width, 3), uint8, RGB, upright.
    """

    index: int
    time: float
    image: np.ndarray


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What decoding a video from end to end has shown; sizes are of the upright image."""

    codec: str
    width: int
    height: int
    rotation_deg: int
    fps: float | None
    n_frames: int
    duration_s: float


def read_frames(path: Path, threads: int = 1) -> Iterator[Frame]:
    """Yield every frame of a video, turned upright by its display matrix.

    Frames are counted as they are decoded: container headers are not trusted. Frames that
    an edit list hides are left out, as players do.

    Parameters
    ----------
    path : Path
        The video file.
    threads : int
        Threads of the decoder. They change the speed and not the result.

    Raises
    ------
    VideoError
        The file cannot be opened or holds no video, or its data ends or breaks before its
        last frame.
    """
    reformatter = VideoReformatter()  # one for all frames: setting it up takes as long as using it
    for index, (time, frame) in enumerate(_decode(path, threads)):
        image = reformatter.reformat(frame, format="rgb24").to_ndarray()
        yield Frame(index, time, np.ascontiguousarray(_upright(image, frame)))


def read_images(path: Path, threads: int = 1) -> Iterator[np.ndarray]:
    """Yield the image of every frame; see `read_frames`."""
    for frame in read_frames(path, threads):
        yield frame.image


def probe_video(path: Path, threads: int = 1) -> VideoFacts:
    """Decode a whole video and return what it holds.

    Raises
    ------
    VideoError
        As for `read_frames`.
    """
    times = []
    first = None
    for time, frame in _decode(path, threads):
        first = first or frame
        times.append(time)
    assert first is not None  # _decode raises where there is no frame
    upright = round(first.rotation / 90) % 2 == 0
    width, height = (first.width, first.height) if upright else (first.height, first.width)
    with av.open(str(path), metadata_errors="replace") as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate
        codec = stream.codec_context.codec.canonical_name
    span = times[-1] - times[0]
    fps = (len(times) - 1) / span if span > 0 else float(rate) if rate else None
    return VideoFacts(
        codec=codec,
        width=width,
        height=height,
        rotation_deg=int(first.rotation),
        fps=round(fps, 6) if fps else None,
        n_frames=len(times),
        duration_s=round(span + (1 / fps if fps else 0.0), 6),
    )


def digest_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _decode(path: Path, threads: int) -> Iterator[tuple[float, av.VideoFrame]]:
    """Yield presentation times and decoded frames."""
    if path.stat().st_size == 0:
        raise VideoError("unreadable_video", "the file is empty (0 bytes)")
    try:
        # A title in another encoding is no reason to refuse the pictures.
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, ValueError) as error:
        raise VideoError("unreadable_video", f"not a video: {_words(error)}") from error
    with container:
        if not container.streams.video:
            raise VideoError("unreadable_video", "the file has no video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise VideoError("unreadable_video", "no decoder for the video's codec")
        stream.codec_context.thread_count = threads
        packets = frames = 0
        try:
            for packet in container.demux(stream):
                packets += packet.size > 0
                for frame in packet.decode():
                    if frame.is_corrupt:  # the decoder has filled it with a guess
                        raise VideoError("truncated_video", f"frame {frames} is damaged")
                    # Without timestamps (raw streams) the nominal rate has to do.
                    rate = stream.average_rate or stream.guessed_rate or 25
                    yield frames / float(rate) if frame.time is None else frame.time, frame
                    frames += 1
        except av.FFmpegError as error:
            status = "truncated_video" if frames else "unreadable_video"
            reason = f"the data breaks after {frames} frames: {_words(error)}"
            raise VideoError(status, reason) from error
        if stream.frames > packets:
            reason = f"the header promises {stream.frames} frames, the file holds {packets}"
            raise VideoError("truncated_video" if frames else "unreadable_video", reason)
        if not frames:
            raise VideoError("unreadable_video", "the video stream holds no frame")


def _upright(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Turn and mirror an image as the frame's display matrix says, in quarter turns.

    The matrix is ``x' = a x + c y, y' = b x + d y`` (ISO 14496-12), in 16.16 fixed point.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return image
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5]
    if abs(a) + abs(d) < abs(b) + abs(c):
        image, a, d = image.transpose(1, 0, 2), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()

"""Decode a video from end to end, and refuse one that is not all there.

What a container's header says is held against what decodes: a clip that lacks its end, or
whose data breaks, is refused, as its apex may be gone; it is never just shorter.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import av

from cmedprep.containers import find_ending
from cmedprep.display import (
    Orientation,
    orientation_of,
    pixel_aspect,
    remark_on_pixels,
    square_size,
)
from cmedprep.packets import Account


class VideoError(Exception):
    """A video cannot be used; `status` and the message say why."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Bounds:
    """The largest video that is decoded: megapixels of a frame as shown, and number of frames."""

    megapixels: float = math.inf
    frames: float = math.inf


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded frame, as the decoder left it, and the time at which it is shown, in seconds.

    `timed` is false where the file states no time, and the nominal rate has to do. `size` is the
    width and height that the frame has with square pixels, before it is brought upright.
    """

    time: float
    timed: bool
    frame: av.VideoFrame
    size: tuple[int, int]
    orientation: Orientation


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What decoding a video from end to end has shown; sizes are of the image as displayed.

    `remark` says what is unusual and harmless, and is empty otherwise.
    """

    codec: str
    width: int
    height: int
    rotation_deg: int
    fps: float | None
    n_frames: int
    duration_s: float
    remark: str = ""


NO_BOUNDS = Bounds()
_NO_VIDEOS = (
    *("concat", "dash", "hls", "imf", "rtp", "rtsp", "sap", "sdp", "smoothstreaming", "hds"),
    *("webm_dash_manifest", "lavfi", "image2", "image2pipe", "ico", "fits", "tty"),
)
"""Kinds of file that play other files, or streams, or are a single image or a text."""
_VIDEOS = ",".join(
    sorted(
        name
        for name in av.formats_available
        if name not in _NO_VIDEOS and not name.endswith("_pipe")  # JPEG, PNG and all other images
    )
)
_LEAST_GAP = 1
"""Seconds between two frames from which on a gap in the timestamps is told."""
MOST_SIDE = 16_384
"""The most pixels of a side: MediaPipe, which adds half of it, gives up beyond 32,767."""
_INDEXED = ("mov", "avi")
"""Formats whose index lists every frame before the first is read."""
_ONE_THREAD = ("vp7", "vp8")
"""Codecs whose decoders find other faults in damaged data when they have several threads."""
_STRICT = (
    *("ffv1", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v1", "msmpeg4v2", "msmpeg4v3"),
    *("wmv1", "wmv2", "flv1", "h263", "hevc", "vp8", "vp9", "av1"),
)
"""Codecs whose decoders report an error only where a picture is damaged."""
_HARMLESS = ("SEI", "APP fields")
"""What errors speak of that concern no picture: remarks of an encoder, fields of a camera."""


def decode(
    path: Path,
    threads: int = 1,
    bounds: Bounds = NO_BOUNDS,
    remarks: list[str] | None = None,
) -> Iterator[Picture]:
    """Yield every frame of a video. All have the same size and orientation.

    Frames that an edit list hides are left out, as players do. Where libav's log has a level, as
    in the process that probes videos, the errors that a decoder logs and gets over count, too.

    Parameters
    ----------
    path : Path
        The video file.
    threads : int
        Threads of the decoder.
    bounds : Bounds
        The largest video that is decoded.
    remarks : list of str, optional
        Gets what is unusual and harmless, once the last frame has been yielded.

    Raises
    ------
    VideoError
        The file cannot be opened or holds no video, its data ends or breaks before its last
        frame, its frames differ in size or orientation, or it goes beyond the bounds.
    """
    with _open(path) as container:
        stream = _video_stream(container)
        aspect = pixel_aspect(stream)
        coded = stream.codec_context
        _check_size(square_size(coded.width, coded.height, aspect), bounds)
        _check_count(stream.frames, bounds)
        codec = stream.codec_context.codec.canonical_name
        stream.codec_context.thread_count = 1 if codec in _ONE_THREAD else threads
        promised = _promised_frames(container, stream)
        step = 1 / _nominal_rate(stream)
        account, frames, complaints = Account(codec), 0, 0
        next_time = 0.0
        first: tuple[int, int, Orientation] | None = None
        try:
            for packet in container.demux(stream):
                account.add_packet(packet)
                if packet.is_corrupt:  # its data ends too early, or some before it is lost
                    reason = f"the data breaks after {frames} frames: what follows is incomplete"
                    raise VideoError("truncated_video", reason)
                before = _n_errors()
                pictures = packet.decode()
                error = "" if account.repeats(packet) else _error_since(before, stream)
                if error and codec in _STRICT:
                    reason = f"the data breaks after {frames} frames: {error}"
                    raise VideoError("truncated_video", reason)
                complaints += error != ""
                for frame in pictures:
                    if frame.is_corrupt:  # the decoder has filled it with a guess
                        raise VideoError("truncated_video", f"frame {frames} is damaged")
                    account.add_picture(frame)
                    _check_count(frames + 1, bounds)
                    shape = (frame.width, frame.height, orientation_of(frame))
                    if shape != first:
                        size = square_size(*shape[:2], aspect)
                        _check_size(size, bounds)
                        first = first or shape
                    if shape != first:
                        raise _inconsistent(frames, first, shape)
                    timed = frame.time is not None
                    time = frame.time if timed else next_time
                    next_time = time + step
                    yield Picture(time, timed, frame, size, shape[2])
                    frames += 1
        except MemoryError:  # of PyAV, too; the caller knows how much there was
            raise
        except (av.FFmpegError, ValueError) as error:
            reason = f"the data breaks after {frames} frames: {_words(error)}"
            raise _broken(frames, reason) from error
    if account.stored < promised:
        found = f"the file holds {account.stored}"
        raise _broken(frames, f"the header promises {promised} frames, {found}")
    if first is None:
        raise VideoError("unreadable_video", "the video stream holds no frame")
    ending = find_ending(path)
    if ending.missing:
        reason = f"the end of the file is missing ({ending.missing}); {frames} frames decode"
        raise _broken(frames, reason)
    if account.lost:
        reason = f"{account.lost} of {account.total} pictures cannot be decoded"
        raise _broken(frames, reason)
    if remarks is not None:
        remarks += remark_on_pixels(first[:2], aspect)
        if account.cut_off:
            remarks.append(
                f"{account.cut_off} pictures that belong before the first refer to what is not "
                "in the file and are left out"
            )
        if account.interlaced:
            remarks.append(
                f"{account.interlaced} frames are stored as two fields, so their lines may be of "
                "two moments"
            )
        if account.doubtful:
            remarks.append(
                f"{account.doubtful} packets gave no picture: they hold second fields, or pictures "
                "that are lost"
            )
        if complaints:
            remarks.append(f"the decoder reports errors in {complaints} places")
        if ending.silent:
            remarks.append(
                "nothing in the file says where it ends, so a cut between two frames would not show"
            )


def probe_video(path: Path, threads: int = 1, bounds: Bounds = NO_BOUNDS) -> VideoFacts:
    """Decode a whole video and return what it holds.

    Raises
    ------
    VideoError
        As for `decode`.
    """
    with _open(path) as container:
        stream = _video_stream(container)
        rate, codec = _nominal_rate(stream), stream.codec_context.codec.canonical_name
    remarks: list[str] = []
    steps: list[float] = []
    n_frames = untimed = disordered = 0
    earliest, latest, before = math.inf, -math.inf, -math.inf
    width = height = rotation = 0
    for picture in decode(path, threads, bounds, remarks):
        n_frames += 1
        untimed += not picture.timed
        disordered += picture.time <= before
        steps.append(picture.time - before)
        before = picture.time
        earliest, latest = min(earliest, before), max(latest, before)
        width, height = picture.size
        rotation = picture.orientation.rotation_deg
        if picture.orientation.transpose:
            width, height = height, width
    span = latest - earliest
    fps = (n_frames - 1) / span if span > 0 else rate
    return VideoFacts(
        codec=codec,
        width=width,
        height=height,
        rotation_deg=rotation,
        fps=round(fps, 6),
        n_frames=n_frames,
        duration_s=round(span + 1 / fps, 6),
        remark="; ".join([*_remarks(untimed, disordered, rate, steps[1:]), *remarks]),
    )


def _remarks(untimed: int, disordered: int, rate: float, steps: Sequence[float]) -> Iterator[str]:
    if untimed:
        yield f"{untimed} frames without a timestamp are timed by a rate of {rate:g} per second"
    if disordered:
        yield f"the timestamps of {disordered} frames do not come after those before them"
    if steps and (longest := max(steps)) > max(_LEAST_GAP, 10 * median(steps)):
        yield f"{longest:.1f} s pass between frame {steps.index(longest)} and the next"


def _open(path: Path) -> Any:
    """Open a container."""
    if path.stat().st_size == 0:
        raise VideoError("unreadable_video", "the file is empty (0 bytes)")
    try:
        # By its absolute path: in a relative one, what is before a colon is taken for a protocol.
        # A title in another encoding is no reason to refuse the pictures.
        return av.open(
            str(path.absolute()), options={"format_whitelist": _VIDEOS}, metadata_errors="replace"
        )
    except MemoryError:
        raise
    except av.ArgumentError as error:
        reason = "a single image, a list of other files, or a damaged header"
        raise VideoError("unreadable_video", f"not a video: {reason}") from error
    except (av.FFmpegError, ValueError) as error:
        raise VideoError("unreadable_video", f"not a video: {_words(error)}") from error


def _video_stream(container: Any) -> Any:
    """Return the stream that a player would show: no cover picture, and the default one."""
    cover = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    films = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not films:
        cover_only = ", only a cover picture" if container.streams.video else ""
        raise VideoError("unreadable_video", f"the file has no video stream{cover_only}")
    stream = max(films, key=lambda film: bool(film.disposition & av.stream.Disposition.default))
    if stream.codec_context is None:
        raise VideoError("unreadable_video", "no decoder for the video's codec")
    return stream


def _nominal_rate(stream: Any) -> float:
    return float(stream.average_rate or stream.guessed_rate or 25)


def _promised_frames(container: Any, stream: Any) -> int:
    """Return the number of frames that the header lists.

    MP4's own count includes frames that an edit list cuts off, and AVI's those that are shown
    twice and stored once; their index does not.
    """
    if container.format.name.split(",")[0] in _INDEXED:
        return sum(entry.size > 0 for entry in stream.index_entries)
    return int(stream.frames)


def _n_errors() -> int:
    """Return how many errors libav has logged; none where its log has no level."""
    return av.logging.get_last_error()[0]


def _error_since(before: int, stream: Any) -> str:
    """Return what a stream's decoder has logged as an error; nothing, if it has not."""
    count, last = av.logging.get_last_error()
    if count == before or last is None or last[1] != stream.codec_context.codec.name:
        return ""
    return "" if any(word in last[2] for word in _HARMLESS) else str(last[2]).strip().lower()


def _check_size(size: tuple[int, int], bounds: Bounds) -> None:
    frames = f"frames of {size[0]} x {size[1]}"
    if size[0] * size[1] > bounds.megapixels * 1e6:
        reason = f"{frames}: more than the {bounds.megapixels:g} megapixels"
        raise VideoError("over_limit", f"{reason} of the config's `limits.megapixels`")
    if max(size) > MOST_SIDE:
        reason = f"{frames}: a side is longer than {MOST_SIDE} pixels, which no detector takes"
        raise VideoError("over_limit", reason)


def _check_count(frames: int, bounds: Bounds) -> None:
    if frames > bounds.frames:
        raise VideoError("over_limit", f"more than the {bounds.frames:g} frames of `limits.frames`")


def _broken(frames: int, reason: str) -> VideoError:
    return VideoError("truncated_video" if frames else "unreadable_video", reason)


def _inconsistent(
    frame: int, first: tuple[int, int, Orientation], now: tuple[int, int, Orientation]
) -> VideoError:
    if first[:2] != now[:2]:
        reason = f"the size changes from {first[0]} x {first[1]} to {now[0]} x {now[1]}"
    else:
        reason = f"the rotation changes from {first[2].rotation_deg} to {now[2].rotation_deg} deg"
    return VideoError("inconsistent_video", f"{reason} at frame {frame}")


def _words(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()

"""Pictures that are stored and do not come out are noticed, and intact files raise no alarm."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cmedprep.containers import Ending, find_ending
from cmedprep.decoding import VideoError, VideoFacts
from cmedprep.packets import Account
from cmedprep.probing import Limits, Prober
from cmedprep.video import read_frames
from tests.makers.make_videos import Kind, number_of, pictures, write_video

N_FRAMES = 24
av.logging.set_level(None)

H264 = Kind("clip.mp4", "libx264", options={"g": "8", "bf": "2", "sc_threshold": "0"})
OPEN = {"x264-params": "open-gop=1:scenecut=0:keyint=8:min-keyint=8:bframes=2"}
QUIET_265 = "log-level=none:keyint=8:min-keyint=8:bframes=3:open-gop=1"


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with Prober(Limits()) as prober:
        yield prober


def write(folder: Path, kind: Kind) -> Path:
    if not kind.can_be_written:
        pytest.skip(f"this build of PyAV has no encoder {kind.codec}")
    return write_video(folder / kind.name, pictures(N_FRAMES), kind)


def remux(path: Path, change: Callable[[int, bytes], bytes | None]) -> Path:
    """Write a video anew beside itself; `change` gives each packet's content, or None for none."""
    target = path.with_name(f"changed_{path.name}")
    with av.open(str(path)) as source, av.open(str(target), "w") as file:
        stream = source.streams.video[0]
        copy = file.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        for number, packet in enumerate(packets):
            content = change(number, bytes(packet))
            if content is None:
                continue
            fresh = av.Packet(content)
            fresh.pts, fresh.dts, fresh.time_base = packet.pts, packet.dts, packet.time_base
            fresh.is_keyframe, fresh.stream = packet.is_keyframe, copy
            file.mux(fresh)
    return target


def without(*numbers: int) -> Callable[[int, bytes], bytes | None]:
    return lambda number, content: None if number in numbers else content


def zeroed(*numbers: int) -> Callable[[int, bytes], bytes]:
    return lambda number, content: bytes(len(content)) if number in numbers else content


def facts(prober: Prober, path: Path) -> VideoFacts:
    """Return what the ledger says of a good video, which reads alike."""
    found = prober.probe(path)
    assert len(list(read_frames(path))) == found.n_frames
    return found


def refusal(prober: Prober, path: Path) -> str:
    with pytest.raises(VideoError) as error:
        prober.probe(path)
    assert error.value.status == "truncated_video"
    return str(error.value)


# --- pictures that do not come out -----------------------------------------------------------


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts", "clip.mov"])
def test_what_follows_a_lost_key_frame_is_missed(tmp_path: Path, prober: Prober, name: str) -> None:
    path = write(tmp_path, Kind(name, H264.codec, options=H264.options))
    reason = refusal(prober, remux(path, without(0, 1, 2)))
    assert reason == "5 of 21 pictures cannot be decoded"


@pytest.mark.parametrize(
    "kind",
    [
        Kind("clip.mp4", "libx265", options={"x265-params": "log-level=none"}),
        Kind("clip.mkv", "libx265", options={"x265-params": "log-level=none"}),
    ],
    ids=["HEVC in MP4", "HEVC in Matroska"],
)
def test_a_packet_of_zeros_is_missed(tmp_path: Path, prober: Prober, kind: Kind) -> None:
    refusal(prober, remux(write(tmp_path, kind), zeroed(N_FRAMES - 1)))


# --- packets without a picture ---------------------------------------------------------------


def test_pictures_of_vp8_that_are_never_shown_are_not_missed(
    tmp_path: Path, prober: Prober
) -> None:
    def hide(number: int, content: bytes) -> bytes:
        """Clear the bit of `show_frame`, as of the reference pictures that encoders add."""
        return bytes([content[0] & ~0x10]) + content[1:] if number in (3, 9) else content

    kind = Kind("clip.webm", "libvpx", options={"cpu-used": "8"})
    assert facts(prober, remux(write(tmp_path, kind), hide)).n_frames == N_FRAMES - 2


STAYS = b"\0\0\1\xb6\x50\x40\x7f"
"""A picture of MPEG-4 that says that the one before stays: its `vop_coded` is 0."""


def test_a_picture_that_stays_is_not_missed(tmp_path: Path, prober: Prober) -> None:
    path = write(tmp_path, Kind("clip.avi", "mpeg4", options={"bf": "0"}))
    path = remux(path, lambda number, content: STAYS if number == 11 else content)
    assert facts(prober, path).n_frames == N_FRAMES - 1


def test_two_pictures_in_one_packet_are_both_there(tmp_path: Path, prober: Prober) -> None:
    # As DivX packs them: [I] [P B] [B] [one that stays] …; its name in the stream says so.
    path = write(tmp_path, Kind("clip.avi", "mpeg4", options={"bf": "2", "b_strategy": "0"}))
    with av.open(str(path)) as source:
        stored = [bytes(packet) for packet in source.demux(video=0) if packet.size]
    packed: list[bytes] = []
    for content in stored:
        if content[content.index(b"\0\0\1\xb6") + 4] >> 6 == 2:  # a B picture
            before = packed[-1]
            packed[-1:] = [before + content, STAYS] if before != STAYS else [content, STAYS]
        else:
            packed.append(content)
    path = remux(path, lambda number, _: packed[number])
    path.write_bytes(re.sub(rb"Lavc[0-9.]{9}", b"DivX503b1393p", path.read_bytes()))
    assert [number_of(frame.image) for frame in read_frames(path)] == list(range(N_FRAMES))
    assert facts(prober, path).n_frames == N_FRAMES


@pytest.mark.parametrize(
    "kind",
    [
        Kind("clip.ts", "libx264", options=OPEN),
        Kind("clip.mkv", "libx264", options=OPEN),
        Kind("clip.mkv", "libx265", options={"x265-params": QUIET_265}),
        Kind("clip.mpg", "mpeg2video", options={"g": "8", "bf": "2"}),
    ],
    ids=["H.264 in TS", "H.264", "HEVC", "MPEG-2"],
)
def test_a_recording_that_was_cut_at_a_key_frame_begins_there(
    tmp_path: Path, prober: Prober, kind: Kind
) -> None:
    # Pictures stored after the key frame and shown before it need what the cut took away.
    path = write(tmp_path, kind)
    with av.open(str(path)) as source:
        packets = [packet for packet in source.demux(video=0) if packet.size]
        keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
        key = packets[keys[1]].pts
        leading = sum(packet.pts < key for packet in packets[keys[1] :])
    assert leading
    path = remux(path, without(*range(keys[1])))
    found = facts(prober, path)
    assert found.n_frames == N_FRAMES - keys[1] - leading
    assert f"{leading} pictures that belong before the first" in found.remark


@pytest.mark.parametrize("name", ["clip.mp4", "clip.ts"])
def test_interlaced_pictures_are_not_missed(tmp_path: Path, prober: Prober, name: str) -> None:
    kind = Kind(name, "libx264", options={"x264-params": "tff=1:interlaced=1"})
    found = facts(prober, write(tmp_path, kind))
    assert found.n_frames == N_FRAMES
    assert f"{N_FRAMES} frames are stored as two fields" in found.remark


class Stored:
    """A packet or a picture, as far as it is counted."""

    def __init__(self, **values: Any) -> None:
        self.__dict__ |= {"size": 9, "pts": 0, "is_discard": False, "is_keyframe": False} | values


def test_each_field_may_have_a_packet() -> None:
    account = Account("h264")
    for number in range(2 * 6):
        account.add_packet(Stored(pts=number, size=100))
    for _ in range(6):
        account.add_picture(Stored(interlaced_frame=True))
    assert (account.lost, account.cut_off) == (0, 0)
    for _ in range(3):
        account.add_packet(Stored(pts=99, size=100))
    assert account.lost == 3


@pytest.mark.parametrize(
    ("packets", "interlaced", "doubtful"),
    [(12, 12, 0), (17, 12, 5), (24, 12, 0), (13, 0, 0), (23, 12, 11)],
)
def test_some_packets_without_a_picture_may_be_fields_or_lost(
    packets: int, interlaced: int, doubtful: int
) -> None:
    account = Account("h264")
    for number in range(packets):
        account.add_packet(Stored(pts=number, is_keyframe=not number))
    for number in range(12):
        account.add_picture(Stored(interlaced_frame=number < interlaced))
    assert account.doubtful == doubtful


def test_what_follows_a_lost_key_frame_of_an_interlaced_video_is_told(
    tmp_path: Path, prober: Prober
) -> None:
    # Whether packets hold fields or frames cannot be known, so it is no fault.
    options = {"x264-params": "tff=1:interlaced=1:keyint=8:min-keyint=8:scenecut=0"}
    path = write(tmp_path, Kind("clip.mp4", "libx264", options=options))
    assert "gave no picture" not in facts(prober, path).remark
    cut = facts(prober, remux(path, without(0, 1, 2)))
    assert cut.n_frames == 16
    assert "5 packets gave no picture" in cut.remark


class Content(bytes):
    """A packet that is read like its bytes."""

    size, pts, is_discard, is_keyframe = 9, 0, False, False


@pytest.mark.parametrize(("head", "shown"), [(0x10, True), (0x1F, True), (0xEF, False), (0, False)])
def test_a_picture_of_vp8_is_shown_by_one_bit_alone(head: int, shown: bool) -> None:
    account = Account("vp8")
    account.add_packet(Content([head, 1, 2]))
    assert (account.stored, account.lost) == (1, int(shown))


def test_what_an_edit_list_hides_is_stored_and_not_missed() -> None:
    account = Account("h264")
    account.add_packet(Stored(is_discard=True))
    account.add_packet(Stored(size=0))
    assert (account.stored, account.lost) == (1, 0)


@pytest.mark.parametrize(
    ("codec", "size", "lost"), [("mpeg4", 19, 0), ("mpeg4", 20, 1), ("h264", 1, 1)]
)
def test_only_a_packet_of_nothing_is_excused(codec: str, size: int, lost: int) -> None:
    account = Account(codec)
    account.add_packet(Stored(size=size))
    assert account.lost == lost


@pytest.mark.parametrize(
    ("seen", "lost", "cut_off"), [(4, 0, 0), (3, 0, 1), (2, 0, 2), (1, 1, 2), (5, 0, 0)]
)
def test_what_is_cut_off_is_no_more_than_what_comes_before_the_first_key_frame(
    seen: int, lost: int, cut_off: int
) -> None:
    account = Account("h264")
    for pts, is_keyframe in ((3, True), (1, False), (2, False), (6, True)):
        account.add_packet(Stored(pts=pts, is_keyframe=is_keyframe))
    for _ in range(seen):
        account.add_picture(Stored(interlaced_frame=False))
    assert (account.lost, account.cut_off) == (lost, cut_off)
    assert account.total == seen + lost


# --- zeros in place of the rest --------------------------------------------------------------


def noisy(n: int = N_FRAMES) -> list[np.ndarray]:
    """Return pictures that do not compress to nothing."""
    noise = np.random.default_rng(0).integers(0, 60, (120, 160, 3))
    return [
        np.clip(image * 0.75 + np.roll(noise, i, axis=1), 0, 255).astype(np.uint8)
        for i, image in enumerate(pictures(n, 160, 120))
    ]


FILLED = {
    "VP8": Kind("clip.webm", "libvpx", options={"cpu-used": "8"}),
    "VP9": Kind("clip.webm", "libvpx-vp9", options={"cpu-used": "8"}),
    "HEVC": Kind("clip.mkv", "libx265", options={"x265-params": "log-level=none"}),
    "FFV1": Kind("clip.mkv", "ffv1"),
    "MJPEG": Kind("clip.avi", "mjpeg", "yuvj420p"),
    "AV1": Kind("clip.mp4", "libsvtav1", options={"preset": "12"}, muxer={"movflags": "faststart"}),
    "WMV": Kind("clip.wmv", "wmv2"),
}


@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
@pytest.mark.parametrize("name", FILLED)
def test_zeros_that_were_never_overwritten_are_missing_data(
    tmp_path: Path, prober: Prober, name: str, share: float
) -> None:
    # As a download leaves a file that was given its full size at the start.
    kind = FILLED[name]
    if not kind.can_be_written:
        pytest.skip(f"this build of PyAV has no encoder {kind.codec}")
    path = write_video(tmp_path / kind.name, noisy(), kind)
    data = path.read_bytes()
    assert facts(prober, path).n_frames == N_FRAMES
    begin = int(len(data) * share)
    path.write_bytes(data[:begin] + bytes(len(data) - begin))
    with pytest.raises(VideoError) as error:
        prober.probe(path)
    assert error.value.status in ("truncated_video", "unreadable_video")


def test_zeros_in_place_of_whole_frames_of_flv_are_missing_data(
    tmp_path: Path, prober: Prober
) -> None:
    path = write_video(tmp_path / "clip.flv", noisy(), Kind("clip.flv", "flv"))
    data = path.read_bytes()
    place = 13
    for _ in range(N_FRAMES // 2):
        place += 11 + int.from_bytes(data[place + 1 : place + 4], "big") + 4
    path.write_bytes(data[:place] + bytes(len(data) - place))
    assert "inside the video" in refusal(prober, path)


def test_what_is_between_the_pieces_of_a_matroska_file_is_no_gap(
    tmp_path: Path, prober: Prober
) -> None:
    # Whole, with an element that nobody knows between two clusters.
    path = write_video(
        tmp_path / "clip.mkv", noisy(), Kind("clip.mkv", "ffv1", muxer={"cluster_time_limit": "99"})
    )
    data = path.read_bytes()
    second = data.index(b"\x1f\x43\xb6\x75", data.index(b"\x1f\x43\xb6\x75") + 4)
    segment = data.index(b"\x18\x53\x80\x67")
    size = int.from_bytes(data[segment + 5 : segment + 12], "big")
    unknown = b"\x42\x42\x84abcd"
    head = data[: segment + 5] + (size + len(unknown)).to_bytes(7, "big")
    path.write_bytes(head + data[segment + 12 : second] + unknown + data[second:])
    assert find_ending(path) == Ending()
    assert facts(prober, path).n_frames == N_FRAMES


# --- what the decoder gets over --------------------------------------------------------------

DAMAGED = {
    "FFV1": Kind("clip.mkv", "ffv1", options={"slicecrc": "1", "level": "3"}),
    "MJPEG": Kind("clip.avi", "mjpeg", "yuvj420p"),
    "MPEG-2": Kind("clip.mpg", "mpeg2video"),
    "MPEG-4": Kind("clip.avi", "mpeg4"),
}


@pytest.mark.parametrize("number", [1, 9, N_FRAMES - 1])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_picture_that_the_decoder_mends_is_no_good_picture(
    tmp_path: Path, prober: Prober, name: str, number: int
) -> None:
    path = write_video(tmp_path / DAMAGED[name].name, noisy(), DAMAGED[name])
    assert facts(prober, path).remark.count("reports") == 0

    def spoil(other: int, content: bytes) -> bytes:
        middle = len(content) // 2
        if other == number:
            return content[:middle] + bytes(len(content) - middle)
        return content

    assert "the data breaks" in refusal(prober, remux(path, spoil))


def test_errors_that_may_concern_no_picture_are_told(tmp_path: Path, prober: Prober) -> None:
    # H.264 speaks of a gap where pictures are missing, and where an encoder has left them out.
    path = write(tmp_path, H264)
    assert "errors in" in facts(prober, remux(path, without(9, 10))).remark


def test_a_gap_in_the_timestamps_is_told(tmp_path: Path, prober: Prober) -> None:
    times = [*range(6), *range(300, 306)]
    found = prober.probe(write_video(tmp_path / "clip.mp4", pictures(12), H264, times))
    assert found.remark == "9.8 s pass between frame 5 and the next"
    slow = [100 * number for number in range(12)]
    assert prober.probe(write_video(tmp_path / "slow.mp4", pictures(12), H264, slow)).remark == ""

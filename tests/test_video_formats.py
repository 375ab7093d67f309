"""Whatever kind of file it is: all frames in their places, or a reason why not."""

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cmedplan.plan import PlannedClip
from cmedplan.scan import VideoFile
from cmedprep.containers import find_ending
from cmedprep.decoding import VideoError, probe_video
from cmedprep.ledger import probe_clip
from cmedprep.probing import Limits, Prober
from cmedprep.video import Frame, read_frames
from tests.makers.make_videos import (
    FPS,
    QUARTERS,
    Kind,
    greys,
    number_of,
    picture,
    pictures,
    quarters_of,
    write_video,
)
from tests.test_video import REAL_VIDEOS, set_matrix

N_FRAMES = 24
av.logging.set_level(None)

FRONT = {"movflags": "faststart"}
PIECES = {"movflags": "frag_keyframe+empty_moov"}
QUICK_VP9 = {"cpu-used": "8", "deadline": "realtime"}
QUIET_265 = {"x265-params": "log-level=none"}

KINDS = {
    "H.264": Kind("clip.mp4", "libx264", options={"bf": "3"}),
    "H.264, index in front": Kind("clip.mp4", "libx264", muxer=FRONT),
    "H.264 in pieces": Kind("clip.mp4", "libx264", options={"g": "6"}, muxer=PIECES),
    "H.264 4:4:4": Kind("clip.mp4", "libx264", "yuv444p"),
    "H.264 10 bits": Kind("clip.mp4", "libx264", "yuv420p10le"),
    "H.264 grey": Kind("clip.mp4", "libx264", "gray", colour_range=2),
    "H.264 full range": Kind("clip.mp4", "libx264", colour_range=2),
    "H.264 limited range": Kind("clip.mp4", "libx264", colour_range=1),
    "H.264 in MOV": Kind("clip.mov", "libx264"),
    "H.264 in 3GP": Kind("clip.3gp", "libx264", muxer=FRONT),
    "H.264 in Matroska": Kind("clip.mkv", "libx264"),
    "H.264 in live Matroska": Kind("clip.mkv", "libx264", muxer={"live": "1"}),
    "H.264 in TS": Kind("clip.ts", "libx264"),
    "H.264 in M2TS": Kind("clip.m2ts", "libx264"),
    "H.264 in FLV": Kind("clip.flv", "libx264"),
    "HEVC": Kind("clip.mp4", "libx265", options=QUIET_265),
    "HEVC 10 bits": Kind("clip.mp4", "libx265", "yuv420p10le", QUIET_265, FRONT),
    "HEVC 12 bits 4:4:4": Kind("clip.mp4", "libx265", "yuv444p12le", QUIET_265),
    "AV1": Kind("clip.mp4", "libsvtav1", options={"preset": "12"}),
    "AV1 10 bits": Kind("clip.mkv", "libsvtav1", "yuv420p10le", {"preset": "12"}),
    "VP8": Kind("clip.webm", "libvpx", options=QUICK_VP9),
    "VP8 with alpha": Kind("clip.webm", "libvpx", "yuva420p", QUICK_VP9 | {"auto-alt-ref": "0"}),
    "VP8 in Ogg": Kind("clip.ogv", "libvpx", options=QUICK_VP9),
    "VP9": Kind("clip.webm", "libvpx-vp9", options=QUICK_VP9),
    "VP9 full range 4:4:4": Kind("clip.webm", "libvpx-vp9", "yuv444p", QUICK_VP9, colour_range=2),
    "MPEG-1": Kind("clip.mpg", "mpeg1video"),
    "MPEG-2": Kind("clip.vob", "mpeg2video"),
    "MPEG-2 in TS": Kind("clip.mts", "mpeg2video"),
    "MPEG-4 in AVI": Kind("clip.avi", "mpeg4", options={"b": "2M"}),
    "MJPEG in AVI": Kind("clip.avi", "mjpeg", "yuvj420p"),
    "MJPEG in MOV": Kind("clip.mov", "mjpeg", "yuvj422p"),
    "raw in AVI": Kind("clip.avi", "rawvideo", "bgr24"),
    "raw YUV in AVI": Kind("clip.avi", "rawvideo", "yuv422p"),
    "FFV1 grey": Kind("clip.mkv", "ffv1", "gray"),
    "FFV1 grey 16 bits": Kind("clip.mkv", "ffv1", "gray16le"),
    "FFV1 with alpha": Kind("clip.mkv", "ffv1", "bgra"),
    "PNG with alpha": Kind("clip.mov", "png", "rgba"),
    "PNG 16 bits": Kind("clip.mov", "png", "rgb48be"),
    "animation with alpha": Kind("clip.mov", "qtrle", "argb"),
    "ProRes with alpha": Kind("clip.mov", "prores_ks", "yuva444p10le", {"profile": "4"}),
    "FLV": Kind("clip.flv", "flv"),
    "WMV": Kind("clip.wmv", "wmv2", options={"b": "2M"}),
    "GIF": Kind("clip.gif", "gif", "rgb8"),
}
TELLS_NOTHING = {"H.264 in live Matroska", "H.264 in TS", "H.264 in M2TS", "MPEG-1", "MPEG-2"} | {
    "MPEG-2 in TS"
}
"""Kinds of file that do not say where they end."""


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with Prober(Limits()) as prober:
        yield prober


def write_kind(folder: Path, kind: Kind, images: list[np.ndarray]) -> Path:
    if not kind.can_be_written:
        pytest.skip(f"this build of PyAV has no encoder {kind.codec}")
    return write_video(folder / kind.name, images, kind)


def probe_row(prober: Prober, path: Path) -> dict[str, Any]:
    video = VideoFile(path.name, "Happy", "S1", path.name, 0, 0)
    clip = PlannedClip("S1/Happy/clip", "S1", "Happy", path.name, "ok", "", None, video)
    row = probe_clip(clip, path.parent, prober)
    assert row["video_status"] == "ok" or len(row["video_reason"]) > 10
    assert row["processed"] == (row["video_status"] == "ok")
    return row


def play(prober: Prober, path: Path) -> list[Frame]:
    """Read all frames, which the ledger takes for good and counts alike."""
    frames = list(read_frames(path))
    row = probe_row(prober, path)
    assert row["video_status"] == "ok", row["video_reason"]
    assert row["n_frames"] == len(frames)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert {frame.image.shape for frame in frames} == {(row["height"], row["width"], 3)}
    return frames


def refusal(prober: Prober, path: Path) -> tuple[str, str]:
    """Return the ledger's word, which is the reader's too."""
    row = probe_row(prober, path)
    with pytest.raises(VideoError) as read:
        list(read_frames(path))
    assert (read.value.status, str(read.value)) == (row["video_status"], row["video_reason"])
    return row["video_status"], row["video_reason"]


def numbers(frames: list[Frame]) -> list[int]:
    return [number_of(frame.image) for frame in frames]


def outcome(path: Path) -> tuple[str, int, str]:
    """Return status, number of frames and remark."""
    try:
        facts = probe_video(path)
    except VideoError as error:
        return error.status, 0, ""
    return "ok", facts.n_frames, facts.remark


# --- every kind ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_each_frame_has_its_place_time_colours_and_right_way_up(
    tmp_path: Path, prober: Prober, kind: Kind
) -> None:
    frames = play(prober, write_kind(tmp_path, kind, pictures(N_FRAMES)))
    assert numbers(frames) == list(range(N_FRAMES))
    steps = (np.array([frame.time for frame in frames]) - frames[0].time) * FPS
    np.testing.assert_allclose(steps, range(N_FRAMES), atol=0.4)
    expected = greys(QUARTERS) if kind.pixels.startswith("gray") else QUARTERS
    for frame in frames:
        coarse = 30 if kind.pixels == "rgb8" else 8
        np.testing.assert_allclose(quarters_of(frame.image), expected, atol=coarse)


def test_the_full_range_is_written_as_such(tmp_path: Path) -> None:
    # Else the test above would show nothing.
    path = write_kind(tmp_path, KINDS["H.264 full range"], pictures(1))
    with av.open(str(path)) as file:
        assert [frame.color_range for frame in file.decode(video=0)] == [2]


@pytest.mark.parametrize("name", ["FFV1 with alpha", "PNG with alpha"])
def test_what_is_transparent_keeps_its_colour(tmp_path: Path, prober: Prober, name: str) -> None:
    clear = [np.dstack([image, np.full(image.shape[:2], 77, np.uint8)]) for image in pictures(5)]
    frames = play(prober, write_kind(tmp_path, KINDS[name], clear))
    for frame, image in zip(frames, pictures(5), strict=True):
        np.testing.assert_array_equal(frame.image, image)


@pytest.mark.parametrize("size", [(8, 8), (10, 8), (63, 47), (97, 65), (3840, 2160), (2160, 3840)])
def test_small_odd_and_large_frames(tmp_path: Path, prober: Prober, size: tuple[int, int]) -> None:
    images = pictures(3, *size)
    frames = play(prober, write_video(tmp_path / "clip.avi", images, KINDS["raw in AVI"]))
    for frame, image in zip(frames, images, strict=True):
        np.testing.assert_array_equal(frame.image, image)
    lossy = Kind("clip.mp4", "libx264", "yuv444p", {"preset": "ultrafast", "crf": "9"})
    frames = play(prober, write_video(tmp_path / lossy.name, images, lossy))
    assert numbers(frames) == [0, 1, 2]


@pytest.mark.parametrize("name", ["H.264", "H.264 in Matroska", "H.264 in TS", "VP9", "GIF"])
def test_one_frame_is_a_video(tmp_path: Path, prober: Prober, name: str) -> None:
    frames = play(prober, write_kind(tmp_path, KINDS[name], [picture(200)]))
    assert numbers(frames) == [200]


@pytest.mark.parametrize("name", ["MJPEG in AVI", "MPEG-4 in AVI", "H.264", "VP9", "WMV"])
def test_a_variable_rate_is_no_loss_of_frames(tmp_path: Path, prober: Prober, name: str) -> None:
    # AVI fills the gaps with frames of no content, and counts these.
    times = [0, 1, 3, 4, 9, 10, 11, 12, 20, 21, 22, 40]
    path = write_video(tmp_path / KINDS[name].name, pictures(12), KINDS[name], times)
    frames = play(prober, path)
    assert numbers(frames) == list(range(12))
    found = np.array([frame.time for frame in frames]) - frames[0].time
    np.testing.assert_allclose(found * FPS, times, atol=0.4)


# Where libav's matrix has its terms, see `test_video`.
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("x", [1, -1])
@pytest.mark.parametrize("y", [1, -1])
def test_turned_and_mirrored_pictures_come_upright(
    tmp_path: Path, prober: Prober, transposed: bool, x: int, y: int
) -> None:
    def stored(image: np.ndarray) -> np.ndarray:
        """Return the image as a camera would store it, so that its matrix makes it upright."""
        image = image[::y, ::x]
        return np.ascontiguousarray(image.transpose(1, 0, 2) if transposed else image)

    path = write_kind(tmp_path, KINDS["H.264"], [stored(image) for image in pictures(5)])
    # x' = a x + c y, y' = b x + d y; transposed, the stored x runs along the upright y.
    set_matrix(path, *((0, y, x, 0) if transposed else (x, 0, 0, y)))
    frames = play(prober, path)
    assert numbers(frames) == list(range(5))
    for frame in frames:
        assert frame.image.shape == (64, 96, 3)
        np.testing.assert_allclose(quarters_of(frame.image), QUARTERS, atol=8)


@pytest.mark.parametrize("first", [0, 5, 10, 17])
@pytest.mark.parametrize("last", [18, 23])
def test_frames_that_an_edit_list_hides_are_not_missed(
    tmp_path: Path, prober: Prober, first: int, last: int
) -> None:
    # As phones trim: the file keeps all frames, and its list says which are shown.
    kind = Kind("clip.mp4", "libx264", options={"g": "6", "bf": "2"})
    path = write_kind(tmp_path, kind, pictures(N_FRAMES))
    data = bytearray(path.read_bytes())
    place = data.index(b"elst") + 4
    _, _, length, start, *_ = struct.unpack_from(">IIIiHH", data, place)
    scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    shown = length * (last + 1 - first) // N_FRAMES
    struct.pack_into(">IIIiHH", data, place, 0, 1, shown, start + scale * first // FPS, 1, 0)
    path.write_bytes(data)
    found = numbers(play(prober, path))
    assert found == list(range(first, found[-1] + 1))
    assert abs(found[-1] - last) <= 1  # the list counts in thousandths of a second


# --- a file that was cut ---------------------------------------------------------------------

CUT = {name: kind for name, kind in KINDS.items() if kind.codec != "rawvideo"}


def cuts(data: bytes) -> list[int]:
    """Return where to cut: all over the file, and at its very end."""
    length = len(data)
    return sorted({*(length * i // 23 for i in range(1, 23)), length - 1, length - 2, length - 9})


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_was_cut_is_never_just_shorter(tmp_path: Path, name: str) -> None:
    kind = CUT[name]
    path = write_kind(tmp_path, kind, pictures(N_FRAMES))
    data = path.read_bytes()
    found = {}
    for place in cuts(data):
        path.write_bytes(data[:place])
        found[place] = status, n_frames, remark = outcome(path)
        assert status in ("ok", "truncated_video", "unreadable_video")
        # Less than all frames only where nothing is there to tell it, and then it says so.
        assert status != "ok" or n_frames == N_FRAMES or (name in TELLS_NOTHING and remark), place
    assert {"truncated_video", "unreadable_video"} & {status for status, *_ in found.values()}


@pytest.mark.parametrize("name", CUT)
def test_what_follows_a_video_is_of_no_account(tmp_path: Path, name: str) -> None:
    path = write_kind(tmp_path, CUT[name], pictures(N_FRAMES))
    data = path.read_bytes()
    for junk in (bytes(512), b"\xff" * 700, b"posted by somebody" * 40):
        path.write_bytes(data + junk)
        assert [number_of(frame.image) for frame in read_frames(path)] == list(range(N_FRAMES))


@pytest.mark.parametrize("name", CUT)
def test_only_what_cannot_tell_its_end_says_so(tmp_path: Path, name: str) -> None:
    path = write_kind(tmp_path, CUT[name], pictures(N_FRAMES))
    assert find_ending(path).silent == (name in TELLS_NOTHING)
    assert ("where it ends" in probe_video(path).remark) == (name in TELLS_NOTHING)


def test_a_transport_stream_cut_inside_a_picture_is_told_between_two_it_cannot(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (64, 96, 3), np.uint8) for _ in range(6)]
    path = write_kind(tmp_path, KINDS["H.264 in TS"], noise)
    data = path.read_bytes()
    for packets in range(len(data) // 188 // 2, len(data) // 188):
        path.write_bytes(data[: packets * 188])
        status, _, remark = outcome(path)
        assert status == "truncated_video" or "where it ends" in remark


@pytest.mark.parametrize(
    "name",
    [
        *("grid_bbaf2n.mpg", "intel_sister.mkv", "pyfeat_face_noface.mov", "pyfeat_no_face.mp4"),
        *("grid_swiz3n_av1.mp4", "pyfeat_single_face_vfr.mp4", "mpf_video_01.mp4"),
    ],
)
def test_real_files_are_whole_until_they_are_cut(tmp_path: Path, name: str) -> None:
    if not (REAL_VIDEOS / name).is_file():
        pytest.skip(f"{REAL_VIDEOS / name} is not there")
    data = (REAL_VIDEOS / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data)
    n_frames = probe_video(path).n_frames
    for place in [len(data) * i // 7 for i in range(1, 7)]:
        path.write_bytes(data[:place])
        status, found, _ = outcome(path)
        assert status in ("truncated_video", "unreadable_video") or found == n_frames


# --- what changes on the way -----------------------------------------------------------------


def annex_b(images: list[np.ndarray], pixels: str = "yuv420p", rotate: int | None = None) -> bytes:
    """Return images as a raw stream of H.264, turned by a message in the stream."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="h264") as file:
        stream: Any = file.add_stream("libx264", rate=FPS)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        turn: Any = rotate and av.BitStreamFilterContext(
            f"h264_metadata=display_orientation=insert:rotate={rotate}", stream
        )
        for image in [*images, None]:
            frame = None if image is None else av.VideoFrame.from_ndarray(image, format="rgb24")
            for packet in stream.encode(frame and frame.reformat(format=pixels)):
                file.mux(turn.filter(packet) if turn else packet)
    return buffer.getvalue()


def test_frames_of_two_sizes_are_no_clip(tmp_path: Path, prober: Prober) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(annex_b(pictures(4)) + annex_b(pictures(4, 128, 96)))
    status, reason = refusal(prober, path)
    assert status == "inconsistent_video"
    assert reason == "the size changes from 96 x 64 to 128 x 96 at frame 4"


def test_frames_turned_two_ways_are_no_clip(tmp_path: Path, prober: Prober) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(annex_b(pictures(4)) + annex_b(pictures(4), rotate=180))
    status, reason = refusal(prober, path)
    assert status == "inconsistent_video"
    assert "rotation changes from 0 to" in reason
    assert "at frame 4" in reason


def test_another_pixel_format_on_the_way_is_no_matter(tmp_path: Path, prober: Prober) -> None:
    path = tmp_path / "clip.mp4"
    halves = [annex_b([picture(i) for i in range(4)])]
    halves += [annex_b([picture(i) for i in range(4, 8)], "yuv444p")]
    path.write_bytes(b"".join(halves))
    frames = play(prober, path)
    assert numbers(frames) == list(range(8))
    for frame in frames:
        np.testing.assert_allclose(quarters_of(frame.image), QUARTERS, atol=8)


# --- several streams -------------------------------------------------------------------------


def write_streams(path: Path, *streams: tuple[str, list[np.ndarray], str]) -> Path:
    """Write several video streams, each with its codec, images and disposition, after a sound."""
    with av.open(str(path), "w") as file:
        sound: Any = file.add_stream("aac", rate=44_100)
        added: list[Any] = []
        for codec, images, role in streams:
            stream: Any = file.add_stream(codec, rate=FPS)
            stream.height, stream.width = images[0].shape[:2]
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = av.stream.Disposition[role] if role else 0
            added.append(stream)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate, silence.pts = 44_100, 0
        file.mux(sound.encode(silence))
        file.mux(sound.encode(None))
        for stream, (_, images, _) in zip(added, streams, strict=True):
            for i, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame = frame.reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = i, Fraction(1, FPS)
                file.mux(stream.encode(frame))
            file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_cover_picture_is_not_the_video(tmp_path: Path, prober: Prober, name: str) -> None:
    cover = ("mjpeg", [picture(255, 200, 200)], "attached_pic")
    film = ("libx264", pictures(6), "default")
    path = write_streams(tmp_path / name, cover, film)
    with av.open(str(path)) as file:
        assert len(file.streams.video) == 2
    assert numbers(play(prober, path)) == list(range(6))


def test_a_cover_picture_alone_is_no_video(tmp_path: Path, prober: Prober) -> None:
    cover = ("mjpeg", [picture(255, 200, 200)], "attached_pic")
    status, reason = refusal(prober, write_streams(tmp_path / "clip.mp4", cover))
    assert (status, "cover" in reason) == ("unreadable_video", True)


def test_of_several_videos_it_is_the_default_one(tmp_path: Path, prober: Prober) -> None:
    other = ("libx264", [picture(99 + i) for i in range(6)], "")
    film = ("libx264", pictures(6), "default")
    assert numbers(play(prober, write_streams(tmp_path / "1.mkv", other, film))) == list(range(6))
    assert numbers(play(prober, write_streams(tmp_path / "2.mkv", film, other))) == list(range(6))


# --- timestamps ------------------------------------------------------------------------------


def test_timestamps_that_repeat_or_fall_are_kept_and_told(tmp_path: Path, prober: Prober) -> None:
    path = write_kind(tmp_path, KINDS["FFV1 grey"], pictures(8))
    data = path.read_bytes()
    for old, new in ((100, 67), (167, 5)):  # of frames 3 and 5, in milliseconds
        block = b"\x81" + struct.pack(">hx", old)
        assert data.count(block) == 1
        data = data.replace(block, b"\x81" + struct.pack(">hx", new))
    path.write_bytes(data)
    frames = play(prober, path)
    assert numbers(frames) == list(range(8))
    assert [round(frame.time * 1000) for frame in frames] == [0, 33, 67, 67, 133, 5, 200, 233]
    facts = probe_video(path)
    assert "2 frames do not come after" in facts.remark
    assert facts.duration_s == pytest.approx(8 / FPS, abs=2e-3)


def test_missing_timestamps_are_told(tmp_path: Path, prober: Prober) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(annex_b(pictures(6)))
    times = [frame.time for frame in play(prober, path)]
    np.testing.assert_allclose(np.diff(times), times[1])
    assert "6 frames without a timestamp" in probe_video(path).remark

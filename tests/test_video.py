"""Videos are decoded frame by frame as they were written, or refused with the reason."""

import random
import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from cmedplan.digests import digest_file
from cmedprep.decoding import VideoError, VideoFacts, probe_video
from cmedprep.video import read_frames
from tests.makers.make_videos import ordinary_scheduling

FPS = 30
N_FRAMES = 12
LOSSLESS: dict[str, Any] = {"codec": "libx264rgb", "pixels": "rgb24", "options": {"crf": "0"}}
REAL_VIDEOS = Path(__file__).parents[2] / "shared" / "videos"

av.logging.set_level(None)


def pictures(n: int = N_FRAMES, width: int = 64, height: int = 48) -> list[np.ndarray]:
    """Make smooth images (height, width, 3) that are bright at the top left.

    Each is by 10 brighter than the one before, so that its mean says which it is.
    """
    x, y = np.linspace(0, 60, width)[None], np.linspace(0, 40, height)[:, None]
    grey = 110 - x - y
    return [np.stack([grey + 10 * i] * 3, axis=-1).round().astype(np.uint8) for i in range(n)]


def encode(
    path: Path,
    images: list[np.ndarray],
    codec: str = "libx264",
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    times: list[int] | None = None,
    **container: Any,
) -> Path:
    with ordinary_scheduling(), av.open(str(path), "w", **container) as file:
        stream = file.add_stream(codec, rate=FPS, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format=pixels)
            frame.pts, frame.time_base = (times or range(len(images)))[i], Fraction(1, FPS)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def encoder_or_skip(codec: str) -> str:
    try:
        av.codec.Codec(codec, "w")
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this build of PyAV has no encoder {codec}")
    return codec


def refusal(path: Path) -> tuple[str, str]:
    with pytest.raises(VideoError) as probed:
        probe_video(path)
    with pytest.raises(VideoError) as read:
        list(read_frames(path))
    assert str(read.value) == str(probed.value)
    return probed.value.status, str(probed.value)


# --- frames ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.mov", "clip.avi"])
@pytest.mark.parametrize("threads", [1, 2])
def test_frames_of_a_lossless_video_are_the_ones_written(
    tmp_path: Path, name: str, threads: int
) -> None:
    images = pictures()
    frames = list(read_frames(encode(tmp_path / name, images, **LOSSLESS), threads))
    assert [frame.index for frame in frames] == list(range(N_FRAMES))
    for frame, image in zip(frames, images, strict=True):
        assert frame.image.dtype == np.uint8
        assert frame.image.flags.c_contiguous
        np.testing.assert_array_equal(frame.image, image)


def test_red_green_and_blue_are_not_mixed_up(tmp_path: Path) -> None:
    images = [np.full((32, 32, 3), colour, np.uint8) for colour in ([200, 20, 50], [10, 90, 180])]
    frames = list(read_frames(encode(tmp_path / "c.mkv", images, "ffv1", "bgr0")))
    for frame, image in zip(frames, images, strict=True):
        np.testing.assert_array_equal(frame.image, image)


@pytest.mark.parametrize(
    ("name", "codec", "pixels", "options"),
    [
        ("clip.mp4", "libx264", "yuv420p", {"bf": "3"}),
        ("clip.mp4", "libx265", "yuv420p10le", {"x265-params": "log-level=none"}),
        ("clip.mkv", "ffv1", "gray", {}),
        ("clip.mkv", "ffv1", "yuv444p16le", {}),
        ("clip.mpg", "mpeg1video", "yuv420p", {"b": "4M"}),
        ("clip.avi", "mjpeg", "yuvj420p", {}),
        ("clip.avi", "mpeg4", "yuv420p", {}),
        ("clip.avi", "rawvideo", "bgr24", {}),
        ("clip.webm", "libvpx-vp9", "yuv420p", {"cpu-used": "8"}),
        ("clip.mp4", "libsvtav1", "yuv420p", {"preset": "12"}),
        ("clip.gif", "gif", "rgb8", {}),
        ("clip.mov", "qtrle", "rgb24", {}),
    ],
)
def test_every_frame_comes_out_in_its_place_whatever_the_codec(
    tmp_path: Path, name: str, codec: str, pixels: str, options: dict[str, str]
) -> None:
    images = pictures()
    path = encode(tmp_path / name, images, encoder_or_skip(codec), pixels, options)
    frames = list(read_frames(path))
    assert len(frames) == probe_video(path).n_frames == N_FRAMES
    coarse = 20 if pixels == "rgb8" else 5
    for frame, image in zip(frames, images, strict=True):
        assert frame.image.shape == image.shape
        assert np.abs(frame.image.astype(float) - image).mean() < coarse
    assert all(a.image.mean() < b.image.mean() for a, b in pairwise(frames))
    start = frames[0].time
    steps = [round((frame.time - start) * FPS, 1) for frame in frames]
    np.testing.assert_allclose(steps, range(N_FRAMES), atol=0.4)


@pytest.mark.parametrize(("width", "height"), [(63, 47), (1, 1), (17, 2), (2, 33)])
def test_odd_sizes_keep_every_pixel(tmp_path: Path, width: int, height: int) -> None:
    images = pictures(3, width, height)
    path = encode(tmp_path / "clip.mkv", images, "ffv1", "bgr0")
    assert (probe_video(path).width, probe_video(path).height) == (width, height)
    for frame, image in zip(read_frames(path), images, strict=True):
        np.testing.assert_array_equal(frame.image, image)


def test_odd_sizes_survive_chroma_subsampling(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.avi", pictures(3, 63, 47), "mjpeg", "yuvj420p")
    assert next(read_frames(path)).image.shape == (47, 63, 3)


def test_reading_may_stop_early(tmp_path: Path) -> None:
    frames = read_frames(encode(tmp_path / "clip.mp4", pictures()))
    assert next(frames).index == 0
    frames.close()  # type: ignore[attr-defined]


# --- time ------------------------------------------------------------------------------------


def test_facts_of_a_plain_video(tmp_path: Path) -> None:
    assert probe_video(encode(tmp_path / "clip.mp4", pictures())) == VideoFacts(
        codec="h264",
        width=64,
        height=48,
        rotation_deg=0,
        fps=30.0,
        n_frames=N_FRAMES,
        duration_s=0.4,
    )


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv"])
def test_a_variable_frame_rate_keeps_its_timestamps(tmp_path: Path, name: str) -> None:
    times = [0, 1, 3, 4, 9, 10, 11, 12, 20, 21, 22, 40]
    path = encode(tmp_path / name, pictures(), times=times)
    found = [frame.time for frame in read_frames(path)]
    np.testing.assert_allclose(found, np.array(times) / FPS, atol=1e-3)
    facts = probe_video(path)
    assert facts.n_frames == N_FRAMES
    assert facts.fps == pytest.approx(11 / (40 / FPS), rel=1e-3)


def test_a_single_frame_has_a_rate_and_a_duration(tmp_path: Path) -> None:
    facts = probe_video(encode(tmp_path / "clip.mp4", pictures(1)))
    assert (facts.n_frames, facts.fps) == (1, 30.0)
    assert facts.duration_s == pytest.approx(1 / 30, abs=1e-6)


def test_a_stream_without_timestamps_is_timed_by_its_rate(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.h264", pictures(), format="h264")
    times = [frame.time for frame in read_frames(path)]
    assert times[0] == 0
    np.testing.assert_allclose(np.diff(times), times[1])


def test_a_first_timestamp_beyond_zero_is_kept(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mkv", pictures(4), times=[3, 4, 5, 6])
    assert next(read_frames(path)).time == pytest.approx(0.1, abs=1e-3)
    assert probe_video(path).duration_s == pytest.approx(4 / 30, abs=2e-3)


# --- rotation --------------------------------------------------------------------------------


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> None:
    """Write the display matrix of an MP4 file: x' = a x + c y, y' = b x + d y (ISO 14496-12)."""
    data = path.read_bytes()
    identity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    place = data.index(identity, data.index(b"tkhd"))
    row = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    path.write_bytes(data[:place] + row + data[place + len(row) :])


@pytest.mark.parametrize(
    ("matrix", "rotation", "upright"),
    [
        ((1, 0, 0, 1), 0, lambda image: image),
        # The x axis comes to point down: a quarter turn clockwise, as portrait phones write.
        ((0, 1, -1, 0), -90, lambda image: image[::-1].transpose(1, 0, 2)),
        ((-1, 0, 0, -1), 180, lambda image: image[::-1, ::-1]),
        ((0, -1, 1, 0), 90, lambda image: image[:, ::-1].transpose(1, 0, 2)),
    ],
    ids=["none", "clockwise", "half", "counter-clockwise"],
)
def test_frames_are_turned_upright_by_the_display_matrix(
    tmp_path: Path, matrix: tuple[int, int, int, int], rotation: int, upright: Any
) -> None:
    images = pictures()
    path = encode(tmp_path / "clip.mp4", images, **LOSSLESS)
    set_matrix(path, *matrix)
    for frame, image in zip(read_frames(path), images, strict=True):
        np.testing.assert_array_equal(frame.image, upright(image))
        assert frame.image.flags.c_contiguous
    facts = probe_video(path)
    assert (facts.height, facts.width) == upright(images[0]).shape[:2]
    assert (facts.rotation_deg - rotation) % 360 == 0  # counter-clockwise


def test_a_mirrored_video_is_not_turned_upside_down(tmp_path: Path) -> None:
    images = pictures()
    path = encode(tmp_path / "clip.mp4", images, **LOSSLESS)
    set_matrix(path, -1, 0, 0, 1)
    np.testing.assert_array_equal(next(read_frames(path)).image, images[0][:, ::-1])


# --- what is no video ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"this is not a video\n", "not a video"),
        (b"\0" * 4096, "not a video"),
        (b"<html>Access denied</html>" * 50, "not a video"),
        (b"subject,filename\n" * 200, "not a video"),
    ],
    ids=["zero bytes", "text", "zeros", "HTML", "CSV"],
)
@pytest.mark.parametrize("suffix", ["mp4", "avi"])
def test_what_is_no_video_is_unreadable(
    tmp_path: Path, content: bytes, reason: str, suffix: str
) -> None:
    path = tmp_path / f"clip.{suffix}"
    path.write_bytes(content)
    status, message = refusal(path)
    assert status == "unreadable_video"
    assert reason in message


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".ppm"])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi", "clip"])
def test_a_still_image_is_no_video(tmp_path: Path, suffix: str, name: str) -> None:
    _, encoded = cv2.imencode(suffix, pictures(1)[0])
    (tmp_path / name).write_bytes(encoded.tobytes())
    status, message = refusal(tmp_path / name)
    assert status == "unreadable_video"
    assert "not a video" in message


PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n"
SESSION = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nm=video 55555 RTP/AVP 96\r\n"


@pytest.mark.parametrize("content", ["ffconcat version 1.0\nfile other.mp4\n", PLAYLIST, SESSION])
@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8"])
def test_a_list_does_not_pass_for_the_video_that_it_names(
    tmp_path: Path, content: str, name: str
) -> None:
    encode(tmp_path / "other.mp4", pictures())
    (tmp_path / name).write_text(content)
    status, message = refusal(tmp_path / name)
    assert status == "unreadable_video"
    assert "not a video" in message


@pytest.mark.parametrize("kind", [("clip.gif", "gif", "rgb8"), ("clip.apng", "apng", "rgb24")])
def test_moving_images_are_videos(tmp_path: Path, kind: tuple[str, str, str]) -> None:
    assert probe_video(encode(tmp_path / kind[0], pictures(), *kind[1:])).n_frames == N_FRAMES


def test_a_colon_in_a_relative_path_is_no_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study:v2").mkdir()
    encode(tmp_path / "study:v2" / "clip.mp4", pictures())
    monkeypatch.chdir(tmp_path)
    path = Path("study:v2/clip.mp4")
    assert probe_video(path).n_frames == len(list(read_frames(path))) == N_FRAMES


def test_sound_alone_is_unreadable(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "clip.mp4"), "w") as file:
        stream = file.add_stream("aac", rate=44_100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 44_100, 0
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert refusal(tmp_path / "clip.mp4") == ("unreadable_video", "the file has no video stream")


@pytest.mark.parametrize(("name", "known"), [("clip.mp4", b"avc1"), ("clip.avi", b"H264")])
def test_a_codec_that_nobody_knows_is_unreadable(tmp_path: Path, name: str, known: bytes) -> None:
    path = encode(tmp_path / name, pictures())
    data = path.read_bytes()
    assert known in data
    path.write_bytes(data.replace(known, b"zzzz"))
    assert refusal(path)[0] == "unreadable_video"


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi"])
def test_a_title_that_is_not_unicode_does_not_spoil_a_video(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        file.metadata["title"] = "caf#"
        stream = file.add_stream("mpeg4", rate=FPS)
        frame = av.VideoFrame.from_ndarray(pictures(1)[0], format="rgb24")
        stream.width, stream.height = frame.width, frame.height
        file.mux(stream.encode(frame.reformat(format="yuv420p")))
        file.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"caf#", b"caf\xe9"))
    assert probe_video(path).n_frames == len(list(read_frames(path))) == 1


# --- damage ----------------------------------------------------------------------------------

FAST_START = {"container_options": {"movflags": "faststart"}}


@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_a_video_that_was_cut_off_is_truncated_and_never_shorter(
    tmp_path: Path, share: float
) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (48, 64, 3), np.uint8) for _ in range(N_FRAMES)]
    path = encode(tmp_path / "clip.mp4", images, **LOSSLESS, **FAST_START)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert refusal(path)[0] == "truncated_video"


def test_a_video_whose_index_was_cut_off_is_unreadable(tmp_path: Path) -> None:
    path = encode(tmp_path / "clip.mp4", pictures())
    path.write_bytes(path.read_bytes()[:-200])
    assert refusal(path)[0] == "unreadable_video"


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("clip.mp4", "libx264", "yuv420p"),
        ("clip.avi", "mjpeg", "yuvj420p"),
        ("clip.mkv", "mpeg4", "yuv420p"),
        ("clip.gif", "gif", "rgb8"),
    ],
)
def test_whatever_bytes_are_damaged_there_is_a_result_or_a_reason(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    whole = encode(tmp_path / name, pictures(), codec, pixels).read_bytes()
    damaged = tmp_path / f"damaged_{name}"
    for seed in range(40):
        chance = random.Random(seed)
        data = bytearray(whole)
        for _ in range(chance.choice([1, 5, 40])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        damaged.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        try:
            facts = probe_video(damaged)
        except VideoError as error:
            status = error.status
        else:
            status = "ok"
            assert facts.n_frames > 0
        assert status in ("ok", "unreadable_video", "truncated_video")


def flagged_by_the_decoder(path: Path) -> bool:
    try:
        with av.open(str(path)) as file:
            return any(frame.is_corrupt for frame in file.decode(video=0))
    except (av.FFmpegError, AttributeError):
        return False


def test_a_picture_that_the_decoder_had_to_guess_is_not_passed_off_as_whole(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    images = [image // 2 + rng.integers(0, 60, (48, 64, 1), np.uint8) for image in pictures()]
    data = encode(tmp_path / "clip.mp4", images, **FAST_START).read_bytes()
    start = data.index(b"mdat") + 800  # behind the encoder's own remarks
    path = tmp_path / "damaged.mp4"
    guessed = 0
    for seed in range(30):
        chance = random.Random(seed)
        damaged = bytearray(data)
        for _ in range(10):
            damaged[chance.randrange(start, len(data))] = chance.randrange(256)
        path.write_bytes(damaged)
        if flagged_by_the_decoder(path):
            guessed += 1
            assert refusal(path)[0] == "truncated_video"
    assert guessed > 0


def test_a_file_that_is_not_there_is_an_error_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        probe_video(tmp_path / "clip.mp4")


def test_a_digest_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"abc")
    assert digest_file(tmp_path / "clip.mp4") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


# --- real files ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec", "width", "height", "n_frames"),
    [
        ("grid_bbaf2n.mpg", "mpeg1video", 360, 288, 75),
        ("grid_swiz3n_av1.mp4", "av1", 360, 288, 75),
        ("intel_sister.mkv", "h264", 640, 480, 87),
        ("pyfeat_no_face.mp4", "h264", 960, 540, 95),
        ("pyfeat_single_face_1frame.mp4", "h264", 640, 360, 1),
    ],
)
def test_real_files_hold_what_their_source_says(
    name: str, codec: str, width: int, height: int, n_frames: int
) -> None:
    if not (REAL_VIDEOS / name).is_file():
        pytest.skip(f"{REAL_VIDEOS / name} is not there")
    facts = probe_video(REAL_VIDEOS / name)
    assert (facts.codec, facts.width, facts.height) == (codec, width, height)
    assert facts.n_frames == n_frames


def test_a_real_file_that_was_cut_off_is_told() -> None:
    path = REAL_VIDEOS / "pyfeat_single_face_truncated60pct_faststart.mp4"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    status, reason = refusal(path)
    assert status == "truncated_video"
    assert "29 frames" in reason

"""Pixels that are not square are made so: faces keep their shape, whatever is stored."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from cmedprep.decoding import MOST_SIDE, Bounds, VideoError, probe_video
from cmedprep.display import square_size
from cmedprep.video import read_frames
from tests.makers.make_videos import (
    FPS,
    QUARTERS,
    Kind,
    number_of,
    pictures,
    quarters_of,
    write_video,
)
from tests.test_video import set_matrix

N_FRAMES = 6
SIZE = 96, 64


def write(path: Path, aspect: Fraction, images: list[np.ndarray] | None = None) -> Path:
    """Encode images whose pixels are wider than high by a factor."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=FPS, options={"crf": "5"})
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv444p"
        stream.codec_context.sample_aspect_ratio = aspect
        for number, image in enumerate(images or pictures(N_FRAMES, *SIZE)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            file.mux(stream.encode(frame.reformat(format="yuv444p")))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.ts"])
@pytest.mark.parametrize(
    ("aspect", "size"),
    [("2", (192, 64)), ("1/2", (96, 128)), ("12/11", (105, 64)), ("8/9", (96, 72))],
)
def test_frames_have_the_shape_in_which_they_are_shown(
    tmp_path: Path, name: str, aspect: str, size: tuple[int, int]
) -> None:
    path = write(tmp_path / name, Fraction(aspect))
    frames = list(read_frames(path))
    facts = probe_video(path)
    assert (facts.width, facts.height) == size
    assert "96 x 64 pixels of" in facts.remark
    assert f"resampled to {size[0]} x {size[1]} square ones" in facts.remark
    assert [number_of(frame.image) for frame in frames] == list(range(N_FRAMES))
    for frame in frames:
        assert frame.image.shape == (size[1], size[0], 3)
        assert frame.image.flags.c_contiguous
        np.testing.assert_allclose(quarters_of(frame.image), QUARTERS, atol=8)


def test_a_circle_is_round(tmp_path: Path) -> None:
    x, y = np.meshgrid(np.arange(96) - 47.5, np.arange(64) - 31.5)
    disc = np.where((2 * x) ** 2 + y**2 < 25**2, 255, 0).astype(np.uint8)
    path = write(tmp_path / "clip.mp4", Fraction(2), [np.repeat(disc[..., None], 3, axis=2)] * 3)
    light = next(read_frames(path)).image[..., 0] > 127
    width, height = light.any(axis=0).sum(), light.any(axis=1).sum()
    assert abs(int(width) - int(height)) <= 2
    middle = np.argwhere(light).mean(axis=0)
    np.testing.assert_allclose(middle, (31.5, 95.5), atol=0.6)


def test_the_shape_is_that_of_stored_pixels_before_they_are_turned(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Fraction(2))
    set_matrix(path, 0, 1, -1, 0)
    facts = probe_video(path)
    assert (facts.width, facts.height) == (64, 192)
    assert next(read_frames(path)).image.shape == (192, 64, 3)


@pytest.mark.parametrize("aspect", [Fraction(1), Fraction(200, 199), Fraction(199, 200)])
def test_square_pixels_stay_as_they_are(tmp_path: Path, aspect: Fraction) -> None:
    facts = probe_video(write(tmp_path / "clip.mp4", aspect))
    assert (facts.width, facts.height, facts.remark) == (*SIZE, "")


@pytest.mark.parametrize("aspect", [Fraction(5), Fraction(1, 5), Fraction(20)])
def test_a_shape_that_no_camera_has_is_told_and_not_believed(
    tmp_path: Path, aspect: Fraction
) -> None:
    path = write(tmp_path / "clip.mp4", aspect)
    facts = probe_video(path)
    assert (facts.width, facts.height) == SIZE
    assert "taken for square" in facts.remark
    assert next(read_frames(path)).image.shape == (64, 96, 3)


@pytest.mark.parametrize(
    ("aspect", "size"),
    [
        (Fraction(4), (384, 64)),
        (Fraction(1, 4), (96, 256)),
        (Fraction(401, 100), SIZE),
        (Fraction(100, 401), SIZE),
        (Fraction(1011, 1000), (97, 64)),
        (Fraction(1009, 1000), SIZE),
        (Fraction(1000, 1009), SIZE),
    ],
)
def test_the_shapes_that_are_believed_end_where_they_are_documented_to(
    aspect: Fraction, size: tuple[int, int]
) -> None:
    assert square_size(*SIZE, aspect) == size


def test_an_image_never_shrinks() -> None:
    for aspect in (Fraction(n, d) for n in range(1, 20) for d in range(1, 20)):
        width, height = square_size(*SIZE, aspect)
        assert width >= SIZE[0]
        assert height >= SIZE[1]


def test_the_limits_are_those_of_what_is_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mp4", Fraction(2))
    assert probe_video(path, bounds=Bounds(megapixels=192 * 64 / 1e6)).n_frames == N_FRAMES
    with pytest.raises(VideoError) as error:
        probe_video(path, bounds=Bounds(megapixels=191 * 64 / 1e6))
    assert error.value.status == "over_limit"
    assert "192 x 64" in str(error.value)


@pytest.mark.parametrize(("width", "height"), [(MOST_SIDE + 1, 2), (2, MOST_SIDE + 1)])
def test_a_side_that_no_detector_takes_is_over_the_limit(
    tmp_path: Path, width: int, height: int
) -> None:
    path = tmp_path / "clip.mkv"
    kind = Kind(path.name, "ffv1", "bgra")
    write_video(path, [np.zeros((height, width, 3), np.uint8)], kind)
    with pytest.raises(VideoError) as error:
        probe_video(path)
    assert error.value.status == "over_limit"
    assert f"{MOST_SIDE} pixels" in str(error.value)
    fits = [np.zeros((min(height, MOST_SIDE), min(width, MOST_SIDE), 3), np.uint8)]
    assert probe_video(write_video(path, fits, kind)).n_frames == 1

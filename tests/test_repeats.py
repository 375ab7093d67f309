"""Frames that show the same picture again are found, and a small motion is none."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from cmedprep.repeats import RepeatFinder
from cmedprep.video import read_images

SIZE = 160
WHOLE = np.array([[1.0, 0, 0], [0, 1, 0]])  # the crop is the picture's upper left corner
SWAY = [(3 * np.sin(i / 3), 2 * np.cos(i / 4)) for i in range(60)]  # px, a seated person's


def texture() -> np.ndarray:
    """Something like skin and features, 200 x 200, grey, from 40 to 215."""
    rng = np.random.default_rng(7)
    waves = sum(
        s * cv2.GaussianBlur(rng.standard_normal((200, 200)), (0, 0), s) for s in (2, 4, 8, 16)
    )
    return 128 + 87 * waves / np.abs(waves).max()


TEXTURE = texture()


def picture(
    dx: float = 0, dy: float = 0, *, noise: float = 1.0, seed: int = 0, lip: float = 0, size=SIZE
) -> np.ndarray:
    """Return the texture, moved by a fraction of a pixel, and `lip` px more in one place."""
    y, x = np.mgrid[:size, :size].astype(np.float32)
    bump = np.exp(-((x - 100) ** 2 + (y - 110) ** 2) / (2 * 12**2))
    maps = (x + 15 - dx - lip * bump, y + 15 - dy)
    grey = cv2.remap(TEXTURE, *(m.astype(np.float32) for m in maps), cv2.INTER_CUBIC)
    grey = grey + noise * np.random.default_rng(seed).standard_normal(grey.shape)
    return np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def swaying(n: int = 60, **options: Any) -> list[np.ndarray]:
    return [picture(*SWAY[i], seed=i, **options) for i in range(n)]


def find(images: Sequence[np.ndarray], matrix: np.ndarray = WHOLE) -> list[int | None]:
    finder = RepeatFinder()
    for i, image in enumerate(images):
        finder.add(i, image, matrix, SIZE)
    return finder.result()[0]


def encode(path: Path, images: Sequence[np.ndarray], **options: str) -> list[np.ndarray]:
    """Encode images with x264 and decode them."""
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=30, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return list(read_images(path))


def freeze(images: Sequence[np.ndarray], freezes: dict[int, int]) -> tuple[list[np.ndarray], list]:
    """Hold some frames for some frames more, and lose what comes meanwhile."""
    shown: list[int] = []
    for i in range(len(images)):
        held = next((s for s, n in freezes.items() if s < i <= s + n), i)
        shown.append(held)
    truth = [s if s != i else None for i, s in enumerate(shown)]
    return [images[s] for s in shown], truth


FREEZES = {5: 1, 12: 3, 20: 10, 40: 5}


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_exact_repeats_are_found_and_nothing_else(noise: float) -> None:
    images, truth = freeze(swaying(noise=noise), FREEZES)
    assert find(images) == truth


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_a_clip_without_repeats_has_none(noise: float) -> None:
    assert find(swaying(noise=noise)) == [None] * 60


@pytest.mark.parametrize("noise", [1.0, 3.0])
def test_a_still_head_is_not_frozen_as_long_as_there_is_noise(noise: float) -> None:
    images = [picture(noise=noise, seed=i) for i in range(40)]
    assert find(images) == [None] * 40
    images, truth = freeze(images, {5: 1, 12: 3, 20: 5})
    assert find(images) == truth


def test_where_heads_move_a_repeat_may_have_nearly_as_much_noise_as_a_frame() -> None:
    """Its lack of motion says more than its rest: a lively clip sets another threshold."""
    images = swaying(noise=1.5)
    for i in (5, 14, 23, 40, 51):
        noise = 0.9 * 1.5 * np.random.default_rng(i).standard_normal((SIZE, SIZE, 1))
        images[i] = np.clip(np.rint(images[i - 1] + noise), 0, 255).astype(np.uint8)
    assert {i: repeats for i, repeats in enumerate(find(images)) if repeats is not None} == {
        i: i - 1 for i in (5, 14, 23, 40, 51)
    }


@pytest.mark.parametrize("crf", ["18", "23"])
@pytest.mark.parametrize("gop", ["15", "250"])
def test_repeats_are_found_after_encoding(crf: str, gop: str, tmp_path: Path) -> None:
    images, truth = freeze(swaying(noise=1.5), FREEZES)
    found = find(encode(tmp_path / "clip.mp4", images, crf=crf, g=gop))
    said, true = ([repeats is not None for repeats in each] for each in (found, truth))
    assert sum(s and t for s, t in zip(said, true, strict=True)) >= 18  # of 19
    assert not any(s and not t for s, t in zip(said, true, strict=True))


def test_a_real_time_encoder_that_arrives_at_a_still_picture_is_followed_to_it(
    tmp_path: Path,
) -> None:
    """It sharpens the picture over some frames, which are repeats: 11 of 19; 7 without them."""
    images, truth = freeze(swaying(noise=0.5), FREEZES)
    options = {"crf": "28", "g": "250", "preset": "veryfast", "tune": "zerolatency"}
    found = find(encode(tmp_path / "clip.mp4", images, **options))
    pairs = [(a is not None, b is not None) for a, b in zip(found, truth, strict=True)]
    assert pairs.count((True, True)) >= 9
    assert pairs.count((True, False)) == 0


def test_what_a_frame_repeats_is_the_last_distinct_one() -> None:
    a, b, c = (picture(i, seed=i) for i in range(3))
    assert find([a, a, b, b, b, c, a, a]) == [None, 0, None, 2, 2, None, None, 6]


def test_a_small_motion_in_one_place_is_no_repeat() -> None:
    """A corner of the lip moves by 0.3 px in a still, smooth picture that is otherwise frozen."""
    images = [picture(noise=0)] * 10 + [picture(noise=0, lip=0.3)] * 10
    assert find(images) == [None] + [0] * 9 + [None] + [10] * 9


def test_a_slow_motion_does_not_hide_in_small_steps() -> None:
    """A lip moves by 0.02 px per frame without noise: every step alone looks like none."""
    found = find([picture(noise=0, lip=0.02 * i) for i in range(60)])
    distinct = [i for i, repeats in enumerate(found) if repeats is None]
    assert len(distinct) >= 3
    assert all(later - earlier <= 20 for earlier, later in pairwise(distinct))


def test_the_difference_is_the_motion_in_grey_levels() -> None:
    def difference(lip: float) -> list[float | None]:
        finder = RepeatFinder()
        finder.add(0, picture(noise=0), WHOLE, SIZE)
        finder.add(1, picture(noise=0, lip=lip), WHOLE, SIZE)
        return finder.result()[1]

    (none, still), (_, one), (_, two) = (difference(lip) for lip in (0.0, 0.2, 0.4))
    assert none is None
    assert still == 0.0
    assert one == pytest.approx(0.8, abs=0.2)  # 4 levels per pixel at the place that moves
    assert two == pytest.approx(2 * one, rel=0.15)


def test_what_lies_outside_the_crop_does_not_count() -> None:
    def at(i: int) -> np.ndarray:
        image = np.zeros((400, 400, 3), np.uint8)
        image[:SIZE, :SIZE] = picture(noise=0)
        image[250:] = np.random.default_rng(i).integers(0, 256, (150, 400, 3))
        return image

    assert find([at(i) for i in range(5)]) == [None, 0, 0, 0, 0]


def test_the_crop_may_be_turned_and_reach_beyond_the_frame() -> None:
    turn = np.array([[0.8, -0.6, 40.0], [0.6, 0.8, -30.0]])
    images, truth = freeze(swaying(), FREEZES)
    assert find(images, turn) == truth


def test_a_crop_that_follows_the_head_compares_the_same_pixels() -> None:
    images, truth = freeze(swaying(), FREEZES)
    finder = RepeatFinder()
    for i, image in enumerate(images):
        finder.add(i, image, WHOLE + np.array([[0, 0, 9 * np.sin(i)], [0, 0, 0.1 * i]]), SIZE)
    assert finder.result()[0] == truth


def test_a_crop_that_runs_over_a_still_picture_sees_repeats() -> None:
    """From step to step it has a window in common, from the first to the last it has none."""
    still = cv2.resize(picture(noise=0), (800, SIZE))
    finder = RepeatFinder()
    for i in range(5):
        finder.add(i, still, WHOLE - np.array([[0, 0, 100.0 * i], [0, 0, 0]]), SIZE)
    assert finder.result() == ([None, 0, 0, 0, 0], [None, 0.0, 0.0, 0.0, 0.0])


@pytest.mark.parametrize("shift", [-1000.0, -144.0, 1000.0])  # the second leaves half a window
def test_a_face_that_has_left_the_place_is_no_repeat(shift: float) -> None:
    finder = RepeatFinder()
    for i, matrix in enumerate((WHOLE, WHOLE + np.array([[0, 0, shift], [0, 0, 0]]), WHOLE)):
        finder.add(i, picture(), matrix, SIZE)
    assert finder.result() == ([None] * 3, [None] * 3)


def test_frames_between_may_be_missing() -> None:
    finder = RepeatFinder()
    for i in (3, 4, 9, 12):
        finder.add(i, picture(i // 9, seed=i // 9), WHOLE, SIZE)
    repeats, difference = finder.result()
    assert repeats == [None, 3, None, 9]
    assert difference[1] == difference[3] == 0.0


def test_no_frame_and_one_frame_repeat_nothing() -> None:
    assert RepeatFinder().result() == ([], [])
    assert find([picture()]) == [None]


def test_a_large_face_is_reduced_and_a_tiny_one_is_compared_where_it_can_be() -> None:
    large = [cv2.resize(image, None, fx=8, fy=8) for image in swaying(12)]
    eighth = WHOLE / 8
    images, truth = freeze(large, {4: 2})
    assert find(images, eighth) == truth
    tiny = [cv2.resize(image, (24, 24)) for image in swaying(6)]
    assert find([tiny[0], tiny[0], tiny[1]]) == [None] * 3  # less than a window


def test_asking_twice_gives_the_same() -> None:
    finder = RepeatFinder()
    for i, image in enumerate(freeze(swaying(20), {4: 3})[0]):
        finder.add(i, image, WHOLE, SIZE)
    assert finder.result() == finder.result()

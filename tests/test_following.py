"""The face that a clip is about is followed, whoever else comes and goes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmedprep.following import follow_face

WIDTH, HEIGHT = 640, 480


def box(x: float, y: float, size: float) -> np.ndarray:
    """Return a square box by its centre."""
    return np.array([x - size / 2, y - size / 2, size, size], np.float32)


def clip(*frames: list[np.ndarray]) -> list[np.ndarray]:
    return [np.array(boxes, np.float32).reshape(-1, 4) for boxes in frames]


def follow(frames: list[np.ndarray]) -> list[int | None]:
    return follow_face(frames, WIDTH, HEIGHT)


CHILD = box(320, 240, 150)


@pytest.mark.parametrize("n_frames", [0, 1, 5])
def test_no_face_is_followed_where_there_is_none(n_frames: int) -> None:
    assert follow(clip(*[[]] * n_frames)) == [None] * n_frames


def test_the_only_face_is_followed_through_the_clip() -> None:
    frames = clip(*([box(200 + 4 * i, 240, 150)] for i in range(40)))
    assert follow(frames) == [0] * 40


def test_frames_without_the_face_are_none() -> None:
    assert follow(clip([CHILD], [], [CHILD], [], [], [CHILD])) == [0, None, 0, None, None, 0]


def test_the_larger_face_is_chosen() -> None:
    frames = clip(*[[box(200, 240, 80), box(440, 240, 160)]] * 5)
    assert follow(frames) == [1] * 5


def test_the_more_central_of_two_alike_is_chosen() -> None:
    frames = clip(*[[box(90, 90, 120), box(330, 250, 120)]] * 5)
    assert follow(frames) == [1] * 5


def test_the_order_in_which_faces_are_reported_makes_no_difference() -> None:
    parent = box(120, 150, 100)
    frames = clip(*([CHILD, parent] if i % 2 else [parent, CHILD] for i in range(10)))
    assert follow(frames) == [0 if i % 2 else 1 for i in range(10)]


def test_a_second_face_that_passes_behind_is_not_followed() -> None:
    frames = clip(*([box(20 + 20 * i, 200, 70), CHILD] for i in range(30)))
    assert follow(frames) == [1] * 30


def test_a_second_face_that_appears_late_takes_nothing_over() -> None:
    frames = clip(*([CHILD] if i < 20 else [box(500, 200, 170), CHILD] for i in range(30)))
    assert follow(frames) == [0] * 20 + [1] * 10


def test_a_larger_face_that_shows_briefly_is_not_followed() -> None:
    parent = box(250, 200, 300)
    frames = clip(*([parent, CHILD] if 10 <= i < 14 else [CHILD] for i in range(30)))
    assert follow(frames) == [1 if 10 <= i < 14 else 0 for i in range(30)]


def test_another_face_in_the_gap_does_not_stand_in_for_the_lost_one() -> None:
    other = box(560, 100, 90)
    frames = clip(*([CHILD, other] if i < 10 or i > 14 else [other] for i in range(25)))
    assert follow(frames) == [0] * 10 + [None] * 5 + [0] * 10


def test_a_face_that_takes_the_place_of_another_at_once_is_another() -> None:
    """A face three times as large cannot be the same person a frame later."""
    frames = clip(*([box(320, 240, 60)] if i < 5 else [box(320, 240, 200)] for i in range(15)))
    assert follow(frames) == [None] * 5 + [0] * 10


@pytest.mark.parametrize(("gap", "expected"), [(29, 0), (30, None)])
def test_a_face_that_comes_back_too_late_may_be_somebody_elses(
    gap: int, expected: int | None
) -> None:
    frames = clip(*[[CHILD]] * 5, *[[]] * gap, *[[CHILD]] * 4)
    assert follow(frames) == [0] * 5 + [None] * gap + [expected] * 4


def test_a_face_that_leans_towards_the_camera_stays_the_same() -> None:
    frames = clip(*([box(320, 240, 80 * 1.05**i)] for i in range(30)))
    assert follow(frames) == [0] * 30


@pytest.mark.parametrize(("step", "followed"), [(80, True), (100, False)])
def test_a_face_may_move_by_six_tenths_of_its_size_between_frames(
    step: float, followed: bool
) -> None:
    frames = clip([box(320, 240, 150)], [box(320 + step, 240, 150)], [box(320 + step, 240, 150)])
    assert (follow(frames)[0] == 0) is followed


def test_two_faces_that_cross_are_not_confused_when_one_is_smaller() -> None:
    frames = clip(*([box(100 + 15 * i, 240, 60), box(520 - 8 * i, 240, 150)] for i in range(30)))
    assert follow(frames) == [1] * 30


@pytest.mark.parametrize("side", [-1, 1])
def test_it_is_the_faces_middle_that_is_central(side: int) -> None:
    near, far = box(320 + side * 100, 240, 200), box(320 - side * 140, 240, 200)
    assert follow(clip(*[[near, far]] * 5)) == [0] * 5


@pytest.mark.parametrize(("factor", "same"), [(1.58, True), (1.62, False)])
def test_a_face_may_grow_or_shrink_by_the_documented_factor(factor: float, same: bool) -> None:
    small, large = [box(320, 240, 100)], [box(320, 240, 100 * factor)]
    for frames in (clip(small, large, large, large), clip(large, large, large, small)):
        assert (None not in follow(frames)) is same


def test_a_face_is_only_one_of_two_that_are_near_the_lost_one() -> None:
    """As when one detection is doubled, or a face lies before another."""
    child, beside = box(300, 240, 150), box(370, 240, 150)
    frames = clip([child], [child], *[[beside, child]] * 3)
    assert follow(frames) == [0, 0, 1, 1, 1]


def test_two_that_were_seen_close_together_are_not_both_the_one_that_stays() -> None:
    child, beside = box(320, 240, 150), box(390, 240, 100)
    frames = clip([child, beside], [child, beside], [beside], [beside, child], [beside, child])
    assert follow(frames) == [0, 0, None, 1, 1]


boxes = st.tuples(
    st.floats(-50, WIDTH), st.floats(-50, HEIGHT), st.floats(0, 300), st.floats(0, 300)
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(boxes, max_size=4), max_size=12))
def test_whatever_faces_there_are_the_choice_is_one_of_each_frame(
    frames: list[list[tuple[float, ...]]],
) -> None:
    given_boxes = [np.array(found, np.float32).reshape(-1, 4) for found in frames]
    chosen = follow(given_boxes)
    assert len(chosen) == len(frames)
    assert all(c is None or 0 <= c < len(f) for c, f in zip(chosen, frames, strict=True))
    assert any(c is not None for c in chosen) == any(frames)

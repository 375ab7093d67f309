"""Samples follow the design's formulas, and the apex is missed by none that names it."""

from bisect import bisect_right
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmedprep.sampling import Slot, distinct_frames, phase_of, sample_clip

LONGEST = 40
ODD = (3, 5, 7, 9, 11, 13, 15)

clips = st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1)))
odd = st.integers(1, 30).map(lambda h: 2 * h + 1)
around_the_apex = st.one_of(
    odd.map(lambda slots: {"method": "phase", "slots": slots}),
    odd.map(lambda slots: {"method": "tim", "slots": slots, "spacing": "phase"}),
    st.builds(
        lambda r, b: {"method": "window", "radius": r, "boundary": b},
        st.integers(0, 30),
        st.sampled_from(["edge", "shrink"]),
    ),
    st.just({"method": "keyframes"}),
)
whole_clip = st.builds(
    lambda method, slots: {"method": method, "slots": slots},
    st.sampled_from(["uniform", "tim"]),
    st.integers(2, 40),
)
ONE_OF_EACH = (
    {"method": "phase", "slots": 5},
    {"method": "uniform", "slots": 4},
    {"method": "tim", "slots": 4},
    {"method": "tim", "slots": 5, "spacing": "phase"},
    {"method": "window", "radius": 2, "boundary": "edge"},
    {"method": "window", "radius": 2, "boundary": "shrink"},
    {"method": "keyframes"},
)


@st.composite
def clips_with_repeats(draw: st.DrawFn) -> tuple[int, int, dict[int, int]]:
    """A clip, its apex, and frames that repeat some earlier distinct frame."""
    n_frames = draw(st.integers(1, 60))
    apex = draw(st.integers(0, n_frames - 1))
    repeats: dict[int, int] = {}
    distinct = [0]
    for frame in range(1, n_frames):
        if draw(st.booleans()):
            repeats[frame] = (
                distinct[-1] if draw(st.booleans()) else draw(st.sampled_from(distinct))
            )
        else:
            distinct.append(frame)
    return n_frames, apex, repeats


def frames(n_frames: int, apex: int, **scheme: Any) -> list[int]:
    return [slot.frame_index for slot in sample_clip(n_frames, apex, scheme)]


def half_to_even(numerator: int, denominator: int) -> int:
    """Round a fraction without any of Python's own rounding."""
    whole, rest = divmod(numerator, denominator)
    if 2 * rest == denominator:
        return whole + whole % 2
    return whole + (2 * rest > denominator)


def by_the_formula(n_frames: int, apex: int, slots: int) -> list[int]:
    """Return i_k = o + (a-o) k/h for k <= h, a + (f-a)(k-h)/h above, with o = 0, f = n - 1."""
    h, offset = (slots - 1) // 2, n_frames - 1
    return [
        half_to_even(apex * k, h)
        if k <= h
        else half_to_even(apex * h + (offset - apex) * (k - h), h)
        for k in range(slots)
    ]


@pytest.mark.parametrize("slots", ODD)
def test_phase_slots_follow_the_formula_for_every_short_clip(slots: int) -> None:
    for n_frames in range(1, LONGEST + 1):
        for apex in range(n_frames):
            found = frames(n_frames, apex, method="phase", slots=slots)
            assert found == by_the_formula(n_frames, apex, slots), (n_frames, apex)
            assert found[slots // 2] == apex


def test_halves_go_to_the_even_frame() -> None:
    """With apex 5 and h = 2 the rise is 0, 2.5, 5; with offset 8 the fall is 6.5, 8."""
    assert frames(9, 5, method="phase", slots=5) == [0, 2, 5, 6, 8]
    assert frames(16, 3, method="phase", slots=5) == [0, 2, 3, 9, 15]


@settings(deadline=None)
@given(clips, st.one_of(around_the_apex, whole_clip))
def test_every_scheme_keeps_its_promises(clip: tuple[int, int], scheme: dict[str, Any]) -> None:
    n_frames, apex = clip
    slots = sample_clip(n_frames, apex, scheme)
    positions = [slot.position for slot in slots]
    assert positions == sorted(positions)
    assert all(0 <= slot.frame_index < n_frames for slot in slots)
    assert all(-1 <= slot.phase <= 1 for slot in slots)
    assert [s.phase for s in slots] == sorted(s.phase for s in slots)
    for before, slot in zip([None, *slots], slots, strict=False):
        assert slot.offset_from_apex == slot.frame_index - apex
        assert abs(slot.position - slot.frame_index) <= (0.5 if scheme["method"] == "tim" else 0)
        assert (slot.phase == 0) == (slot.position == apex)
        assert slot.repeated == (before is not None and before.position == slot.position)
        assert before is None or before.slot == slot.slot - 1


@given(clips, around_the_apex)
def test_schemes_around_the_apex_have_it_in_a_slot_of_its_own(
    clip: tuple[int, int], scheme: dict[str, Any]
) -> None:
    n_frames, apex = clip
    assert apex in [slot.position for slot in sample_clip(n_frames, apex, scheme)]


@given(clips, st.integers(2, 40))
def test_uniform_and_even_slots_spread_from_onset_to_offset_whatever_the_apex(
    clip: tuple[int, int], count: int
) -> None:
    n_frames, apex = clip
    even = sample_clip(n_frames, apex, {"method": "tim", "slots": count})
    uniform = sample_clip(n_frames, apex, {"method": "uniform", "slots": count})
    last = n_frames - 1
    assert [s.position for s in even] == [last * k / (count - 1) for k in range(count)]
    rounded = [half_to_even(last * k, count - 1) for k in range(count)]
    assert [s.frame_index for s in even] == [s.frame_index for s in uniform] == rounded
    assert (rounded[0], rounded[-1]) == (0, last)
    assert len(set(rounded)) == min(count, n_frames)


@given(clips, odd)
def test_phase_frames_are_those_nearest_to_the_moments_that_tim_takes(
    clip: tuple[int, int], count: int
) -> None:
    n_frames, apex = clip
    tim = sample_clip(n_frames, apex, {"method": "tim", "slots": count, "spacing": "phase"})
    assert [s.frame_index for s in tim] == by_the_formula(n_frames, apex, count)
    assert tim[count // 2].position == apex
    half = count // 2
    evenly = [Fraction(k - half, half) for k in range(count)]
    for slot, phase in zip(tim, evenly, strict=True):  # but for an apex at an end of the clip
        assert slot.phase == (float(phase) if (apex if phase < 0 else n_frames - 1 - apex) else 0)


def test_tim_slots_lie_between_frames() -> None:
    slots = sample_clip(4, 1, {"method": "tim", "slots": 5})
    assert [slot.position for slot in slots] == [0, 0.75, 1.5, 2.25, 3]
    assert [slot.frame_index for slot in slots] == [0, 1, 2, 2, 3]
    assert [slot.offset_from_apex for slot in slots] == [-1, 0, 1, 1, 2]
    assert [slot.phase for slot in slots] == [-1, -0.25, 0.25, 0.625, 1]
    assert not any(slot.repeated for slot in slots)  # no two are the same moment


@given(clips, st.integers(1, 20))
def test_the_middle_slot_is_the_apex_and_the_ends_are_onset_and_offset(
    clip: tuple[int, int], half: int
) -> None:
    n_frames, apex = clip
    slots = sample_clip(n_frames, apex, {"method": "phase", "slots": 2 * half + 1})
    assert len(slots) == 2 * half + 1
    assert slots[half] == Slot(half, apex, apex, 0, 0.0, slots[half].repeated)
    assert (slots[0].frame_index, slots[-1].frame_index) == (0, n_frames - 1)


@given(clips, st.integers(1, 20))
def test_a_clip_played_backwards_is_sampled_backwards_but_for_halves(
    clip: tuple[int, int], half: int
) -> None:
    n_frames, apex = clip
    scheme = {"method": "phase", "slots": 2 * half + 1}
    there = frames(n_frames, apex, **scheme)
    back = [n_frames - 1 - f for f in reversed(frames(n_frames, n_frames - 1 - apex, **scheme))]
    assert all(abs(a - b) <= 1 for a, b in zip(there, back, strict=True))


@pytest.mark.parametrize(
    ("n_frames", "apex", "boundary", "expected"),
    [
        (20, 10, "edge", [(0, 8), (1, 9), (2, 10), (3, 11), (4, 12)]),
        (20, 10, "shrink", [(0, 8), (1, 9), (2, 10), (3, 11), (4, 12)]),
        (20, 1, "edge", [(0, 0), (1, 0), (2, 1), (3, 2), (4, 3)]),
        (20, 1, "shrink", [(1, 0), (2, 1), (3, 2), (4, 3)]),
        (20, 19, "edge", [(0, 17), (1, 18), (2, 19), (3, 19), (4, 19)]),
        (20, 19, "shrink", [(0, 17), (1, 18), (2, 19)]),
        (1, 0, "edge", [(0, 0), (1, 0), (2, 0), (3, 0), (4, 0)]),
        (1, 0, "shrink", [(2, 0)]),
        (2, 0, "edge", [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1)]),
    ],
)
def test_a_window_at_the_boundary_repeats_its_edge_or_shrinks(
    n_frames: int, apex: int, boundary: str, expected: list[tuple[int, int]]
) -> None:
    scheme = {"method": "window", "radius": 2, "boundary": boundary}
    slots = sample_clip(n_frames, apex, scheme)
    assert [(slot.slot, slot.frame_index) for slot in slots] == expected


def test_a_window_repeats_its_edge_unless_told_otherwise() -> None:
    assert frames(3, 0, method="window", radius=1) == [0, 0, 1]


@given(clips, st.integers(0, 20))
def test_a_window_that_fits_is_the_same_under_both_rules(
    clip: tuple[int, int], radius: int
) -> None:
    n_frames, apex = clip
    if radius <= apex < n_frames - radius:
        edge, shrink = (
            sample_clip(n_frames, apex, {"method": "window", "radius": radius, "boundary": rule})
            for rule in ("edge", "shrink")
        )
        assert edge == shrink
        assert [s.offset_from_apex for s in edge] == list(range(-radius, radius + 1))
        assert not any(slot.repeated for slot in edge)


@pytest.mark.parametrize(
    ("n_frames", "apex", "expected", "repeated"),
    [
        (20, 7, [0, 7, 19], [False, False, False]),
        (20, 0, [0, 0, 19], [False, True, False]),
        (20, 19, [0, 19, 19], [False, False, True]),
        (1, 0, [0, 0, 0], [False, True, True]),
    ],
)
def test_keyframes_are_onset_apex_and_offset(
    n_frames: int, apex: int, expected: list[int], repeated: list[bool]
) -> None:
    slots = sample_clip(n_frames, apex, {"method": "keyframes"})
    assert [slot.frame_index for slot in slots] == expected
    assert [slot.repeated for slot in slots] == repeated


def test_a_clip_shorter_than_the_sample_repeats_frames_and_says_so() -> None:
    slots = sample_clip(4, 1, {"method": "phase", "slots": 11})
    assert len(slots) == 11
    assert {slot.frame_index for slot in slots} == {0, 1, 2, 3}
    assert sum(slot.repeated for slot in slots) == 11 - 4


@pytest.mark.parametrize(("n_frames", "apex"), [(10, -1), (10, 10), (1, 1), (0, 0)])
@pytest.mark.parametrize("scheme", ONE_OF_EACH)
@pytest.mark.parametrize("which", ["all", "distinct"])
def test_an_apex_outside_the_clip_is_refused(
    n_frames: int, apex: int, scheme: Mapping[str, Any], which: str
) -> None:
    with pytest.raises(ValueError, match=f"apex frame {apex} .* {n_frames} frames"):
        sample_clip(n_frames, apex, {**scheme, "frames": which})


@pytest.mark.parametrize("scheme", ONE_OF_EACH)
@pytest.mark.parametrize("which", ["all", "distinct"])
@pytest.mark.parametrize("n_frames", [1, 5])
def test_a_clip_of_one_distinct_frame_is_that_frame_in_every_slot(
    scheme: Mapping[str, Any], which: str, n_frames: int
) -> None:
    repeats = dict.fromkeys(range(1, n_frames if which == "distinct" else 1), 0)
    if which == "all":
        n_frames = 1
    slots = sample_clip(n_frames, n_frames - 1, {**scheme, "frames": which}, repeats)
    assert {(s.frame_index, s.position, s.offset_from_apex, s.phase) for s in slots} == {
        (0, 0.0, 0, 0.0)
    }
    assert [slot.repeated for slot in slots] == [False] + [True] * (len(slots) - 1)


@settings(deadline=None)
@given(clips_with_repeats(), st.one_of(around_the_apex, whole_clip))
def test_repeats_change_nothing_unless_distinct_frames_are_asked_for(
    clip: tuple[int, int, dict[int, int]], scheme: dict[str, Any]
) -> None:
    n_frames, apex, repeats = clip
    without = sample_clip(n_frames, apex, scheme)
    assert sample_clip(n_frames, apex, scheme, repeats) == without
    assert sample_clip(n_frames, apex, {**scheme, "frames": "all"}, repeats) == without
    assert sample_clip(n_frames, apex, {**scheme, "frames": "distinct"}) == without


@settings(deadline=None)
@given(clips_with_repeats(), st.one_of(around_the_apex, whole_clip))
def test_distinct_frames_are_sampled_like_a_clip_that_has_no_others(
    clip: tuple[int, int, dict[int, int]], scheme: dict[str, Any]
) -> None:
    n_frames, apex, repeats = clip
    slots = sample_clip(n_frames, apex, {**scheme, "frames": "distinct"}, repeats)
    distinct = [frame for frame in range(n_frames) if frame not in repeats]
    apex = repeats.get(apex, apex)
    alone = sample_clip(len(distinct), distinct.index(apex), scheme)
    assert [slot.frame_index for slot in slots] == [distinct[s.frame_index] for s in alone]
    assert [slot.repeated for slot in slots] == [s.repeated for s in alone]
    assert [slot.slot for slot in slots] == [s.slot for s in alone]
    for slot in slots:
        assert slot.offset_from_apex == slot.frame_index - apex
        assert slot.phase == pytest.approx(phase_of(slot.position, apex, distinct[-1]))
        assert -1 <= slot.phase <= 1
        below = bisect_right(distinct, slot.position) - 1  # its two distinct neighbours
        assert slot.frame_index in distinct[below : below + 2]
    assert [s.position for s in slots] == sorted(s.position for s in slots)


@settings(deadline=None)
@given(clips_with_repeats(), st.integers(1, 10))
def test_no_slot_shows_a_picture_twice_where_distinct_frames_suffice(
    clip: tuple[int, int, dict[int, int]], half: int
) -> None:
    n_frames, apex, repeats = clip
    distinct = distinct_frames(n_frames, repeats)
    place = distinct.index(repeats.get(apex, apex))
    slots = sample_clip(
        n_frames, apex, {"method": "phase", "slots": 2 * half + 1, "frames": "distinct"}, repeats
    )
    assert slots[half].frame_index == repeats.get(apex, apex)
    assert (slots[0].frame_index, slots[-1].frame_index) == (0, distinct[-1])
    if half <= place < len(distinct) - half:
        assert len({slot.frame_index for slot in slots}) == len(slots)


def test_moments_between_distinct_frames_skip_the_time_of_a_freeze_evenly() -> None:
    """Frames 2 to 4 repeat frame 1, and the last two repeat frame 6."""
    repeats = {2: 1, 3: 1, 4: 1, 7: 6, 8: 6}
    slots = sample_clip(9, 4, {"method": "tim", "slots": 7, "frames": "distinct"}, repeats)
    assert [slot.position for slot in slots] == [0, 0.5, 1, 3, 5, 5.5, 6]
    assert [slot.frame_index for slot in slots] == [0, 0, 1, 5, 5, 5, 6]
    assert [slot.offset_from_apex for slot in slots] == [-1, -1, 0, 4, 4, 4, 5]
    assert [slot.phase for slot in slots] == [-1, -0.5, 0, 0.4, 0.8, 0.9, 1]


def test_an_offset_that_is_frozen_is_where_the_freeze_began() -> None:
    scheme = {"method": "keyframes", "frames": "distinct"}
    assert [s.frame_index for s in sample_clip(9, 4, scheme, {7: 6, 8: 6})] == [0, 4, 6]
    assert [s.phase for s in sample_clip(9, 8, scheme, {7: 6, 8: 6})] == [-1, 0, 0]


@pytest.mark.parametrize("repeats", [{0: 0}, {2: 3}, {9: 1}, {2: -1}, {2: 1, 3: 2}])
def test_a_frame_can_only_repeat_a_distinct_frame_before_it(repeats: dict[int, int]) -> None:
    with pytest.raises(ValueError, match="is said to repeat frame"):
        sample_clip(9, 4, {"method": "keyframes", "frames": "distinct"}, repeats)


@pytest.mark.parametrize(
    ("frame", "phase"), [(0, -1.0), (5, -0.5), (10, 0.0), (15, 0.25), (20, 0.5), (30, 1.0)]
)
def test_phase_runs_from_onset_over_apex_to_offset(frame: int, phase: float) -> None:
    assert phase_of(frame, 10, 30) == phase


@pytest.mark.parametrize(("position", "phase"), [(2.5, -0.75), (9.5, -0.05), (10.5, 0.025)])
def test_moments_between_frames_have_a_phase(position: float, phase: float) -> None:
    assert phase_of(position, 10, 30) == phase == phase_of(Fraction(position), 10, 30)


def test_an_apex_at_either_end_has_phase_zero() -> None:
    assert phase_of(0, 0, 30) == phase_of(30, 30, 30) == phase_of(0, 0, 0) == 0.0

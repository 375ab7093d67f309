"""Samples follow the design's formula, and the apex is never missed."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmedprep.sampling import Slot, middle_frame, phase_of, sample_clip

LONGEST = 40
ODD = (3, 5, 7, 9, 11, 13, 15)

clips = st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1)))
schemes = st.one_of(
    st.integers(1, 30).map(lambda h: {"method": "phase", "slots": 2 * h + 1}),
    st.builds(
        lambda r, b: {"method": "window", "radius": r, "boundary": b},
        st.integers(0, 30),
        st.sampled_from(["edge", "shrink"]),
    ),
    st.just({"method": "keyframes"}),
)


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
@given(clips, schemes)
def test_every_scheme_keeps_its_promises(clip: tuple[int, int], scheme: dict[str, Any]) -> None:
    n_frames, apex = clip
    slots = sample_clip(n_frames, apex, scheme)
    found = [slot.frame_index for slot in slots]
    assert apex in found
    assert found == sorted(found)
    assert all(0 <= frame < n_frames for frame in found)
    assert all(-1 <= slot.phase <= 1 for slot in slots)
    assert [s.phase for s in slots] == sorted(s.phase for s in slots)
    for before, slot in zip([None, *slots], slots, strict=False):
        assert slot.offset_from_apex == slot.frame_index - apex
        assert (slot.phase == 0) == (slot.frame_index == apex)
        assert slot.repeated == (before is not None and before.frame_index == slot.frame_index)
        assert before is None or before.slot == slot.slot - 1


@given(clips, st.integers(1, 20))
def test_the_middle_slot_is_the_apex_and_the_ends_are_onset_and_offset(
    clip: tuple[int, int], half: int
) -> None:
    n_frames, apex = clip
    slots = sample_clip(n_frames, apex, {"method": "phase", "slots": 2 * half + 1})
    assert len(slots) == 2 * half + 1
    assert slots[half] == Slot(half, apex, 0, 0.0, slots[half].repeated)
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
@pytest.mark.parametrize("method", ["phase", "window", "keyframes"])
def test_an_apex_outside_the_clip_is_refused(n_frames: int, apex: int, method: str) -> None:
    with pytest.raises(ValueError, match=f"apex frame {apex} .* {n_frames} frames"):
        sample_clip(n_frames, apex, {"method": method, "slots": 5, "radius": 2})


@pytest.mark.parametrize(("n_frames", "middle"), [(1, 0), (2, 0), (3, 1), (4, 1), (45, 22)])
def test_the_middle_frame_is_the_earlier_of_two(n_frames: int, middle: int) -> None:
    assert middle_frame(n_frames) == middle


@pytest.mark.parametrize(
    ("frame", "phase"), [(0, -1.0), (5, -0.5), (10, 0.0), (15, 0.25), (20, 0.5), (30, 1.0)]
)
def test_phase_runs_from_onset_over_apex_to_offset(frame: int, phase: float) -> None:
    assert phase_of(frame, 10, 30) == phase


def test_an_apex_at_either_end_has_phase_zero() -> None:
    assert phase_of(0, 0, 30) == phase_of(30, 30, 30) == phase_of(0, 0, 0) == 0.0

"""Choose frames around the apex.

A clip runs from its onset, frame 0, over the apex to its offset, frame n - 1. A *slot* is a
place in the sample; each slot names one frame.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a sample.

    `phase` runs from -1 at the onset over 0 at the apex to 1 at the offset. `repeated` says
    that the slot before names the same frame.
    """

    slot: int
    frame_index: int
    offset_from_apex: int
    phase: float
    repeated: bool


def sample_clip(n_frames: int, apex: int, scheme: Mapping[str, Any]) -> list[Slot]:
    """Return the slots of a clip under a sampling scheme.

    Parameters
    ----------
    n_frames : int
        Number of frames of the clip, at least 1.
    apex : int
        The apex frame, in [0, n_frames - 1].
    scheme : mapping
        An entry of the config's `sampling.schemes`.

    Raises
    ------
    ValueError
        The apex lies outside the clip.
    """
    if not 0 <= apex < n_frames:
        raise ValueError(f"apex frame {apex} lies outside a clip of {n_frames} frames")
    chosen = METHODS[scheme["method"]](n_frames, apex, scheme)
    before = [None, *(frame for _, frame in chosen[:-1])]
    return [
        Slot(slot, frame, frame - apex, phase_of(frame, apex, n_frames - 1), frame == last)
        for (slot, frame), last in zip(chosen, before, strict=True)
    ]


def middle_frame(n_frames: int) -> int:
    """Return the frame in the middle of a clip, the earlier of two."""
    return (n_frames - 1) // 2


def phase_of(frame: int, apex: int, offset: int) -> float:
    """Return where a frame lies: -1 onset, 0 apex, 1 offset, linear in between.

    >>> phase_of(5, 10, 30), phase_of(20, 10, 30)
    (-0.5, 0.5)
    """
    span = apex if frame < apex else offset - apex
    return (frame - apex) / span if span else 0.0


def phase_slots(n_frames: int, apex: int, scheme: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Spread an odd number of slots evenly on either side of the apex.

    With onset o, apex a, offset f and h = (slots - 1) / 2, slot k names frame
    ``o + (a - o) k / h`` up to the apex and ``a + (f - a)(k - h) / h`` after it, rounded half
    to even. The middle slot is the apex, always.

    >>> [frame for _, frame in phase_slots(9, 2, {"slots": 5})]
    [0, 1, 2, 5, 8]
    """
    half = (scheme["slots"] - 1) // 2
    rise = [round(Fraction(apex * k, half)) for k in range(half + 1)]
    fall = [round(apex + Fraction((n_frames - 1 - apex) * k, half)) for k in range(1, half + 1)]
    return list(enumerate(rise + fall))


def window_slots(n_frames: int, apex: int, scheme: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Take the apex and `radius` frames on either side; the apex has slot `radius`.

    Slots beyond the clip repeat its first or last frame (`boundary: edge`) or are left out
    (`shrink`).

    >>> window_slots(4, 1, {"radius": 2, "boundary": "shrink"})
    [(1, 0), (2, 1), (3, 2)]
    """
    radius = scheme["radius"]
    frames = [(slot, apex - radius + slot) for slot in range(2 * radius + 1)]
    if scheme.get("boundary", "edge") == "shrink":
        return [(slot, frame) for slot, frame in frames if 0 <= frame < n_frames]
    return [(slot, min(max(frame, 0), n_frames - 1)) for slot, frame in frames]


def keyframe_slots(n_frames: int, apex: int, scheme: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Take onset, apex and offset.

    >>> keyframe_slots(20, 7, {})
    [(0, 0), (1, 7), (2, 19)]
    """
    return list(enumerate((0, apex, n_frames - 1)))


METHODS: Mapping[str, Callable[[int, int, Mapping[str, Any]], list[tuple[int, int]]]] = {
    "phase": phase_slots,
    "window": window_slots,
    "keyframes": keyframe_slots,
}

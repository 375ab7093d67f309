"""Choose places in a clip: frames, or moments between frames.

A clip runs from its onset, frame 0, over the apex to its offset, frame n - 1. A *slot* is a
place in the sample; each slot names one frame, or a moment between two that is interpolated.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

Place = int | Fraction
"""A place in a clip, in frames from its first; a whole number is a frame."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One place of a sample.

    `position` is the place in frames; for schemes that choose frames it is `frame_index`, for
    `tim` that is the frame nearest to it. `offset_from_apex` is that of `frame_index`. `phase`,
    that of `position`, runs from -1 at the onset over 0 at the apex to 1 at the offset.
    `repeated` says that the slot before has the same position.
    """

    slot: int
    frame_index: int
    position: float
    offset_from_apex: int
    phase: float
    repeated: bool


def sample_clip(
    n_frames: int, apex: int, scheme: Mapping[str, Any], repeats: Mapping[int, int] | None = None
) -> list[Slot]:
    """Return the slots of a clip under a sampling scheme.

    A scheme of `frames: distinct` sees only the distinct frames, as if the others had never
    been recorded: it counts places in their list, and these are then put back into the clip,
    those between two distinct frames linearly. The ends of the clip are then those of the list.
    The onset is frame 0, which repeats nothing. The offset is the last distinct frame, and
    frames after it are not sampled. An apex that repeats a frame becomes that frame; the phase
    and the offset from the apex are counted from there, in frames of the clip.

    Parameters
    ----------
    n_frames : int
        Number of frames of the clip, at least 1.
    apex : int
        The apex frame, in [0, n_frames - 1].
    scheme : mapping
        An entry of the config's `sampling.schemes`.
    repeats : mapping, optional
        For each frame that repeats an earlier one, the distinct frame that it repeats. Only
        `frames: distinct` asks for it.

    Raises
    ------
    ValueError
        The apex lies outside the clip, or a frame repeats one that is not distinct and earlier.

    Examples
    --------
    Frames 2 and 3 repeat frame 1:

    >>> scheme = {"method": "keyframes", "frames": "distinct"}
    >>> [slot.frame_index for slot in sample_clip(6, 3, scheme, repeats={2: 1, 3: 1})]
    [0, 1, 5]
    """
    if not 0 <= apex < n_frames:
        raise ValueError(f"apex frame {apex} lies outside a clip of {n_frames} frames")
    frames: Sequence[int] = range(n_frames)
    if scheme.get("frames", "all") == "distinct":
        frames = distinct_frames(n_frames, repeats or {})
        apex = (repeats or {}).get(apex, apex)
    chosen = METHODS[scheme["method"]](len(frames), frames.index(apex), scheme)
    slots = []
    before: Place | None = None
    for slot, place in chosen:
        frame, position = frames[round(place)], place_in_clip(place, frames)
        phase = phase_of(position, apex, frames[-1])
        repeated = place == before
        slots.append(Slot(slot, frame, float(position), frame - apex, phase, repeated))
        before = place
    return slots


def distinct_frames(n_frames: int, repeats: Mapping[int, int]) -> list[int]:
    """Return the frames of a clip that repeat no earlier one.

    Raises
    ------
    ValueError
        A frame is said to repeat one that is not distinct and earlier, or lies outside the clip.

    Examples
    --------
    >>> distinct_frames(6, {2: 1, 3: 1})
    [0, 1, 4, 5]
    """
    for frame, earlier in repeats.items():
        if not 0 <= earlier < frame < n_frames or earlier in repeats:
            raise ValueError(
                f"frame {frame} of a clip of {n_frames} frames is said to repeat frame {earlier}: "
                "expected an earlier frame of the clip that repeats none itself"
            )
    return [frame for frame in range(n_frames) if frame not in repeats]


def place_in_clip(place: Place, frames: Sequence[int]) -> Place:
    """Return where in the clip a place in a list of its frames lies, linear in between.

    >>> place_in_clip(Fraction(3, 2), [0, 1, 4, 5])
    Fraction(5, 2)
    """
    below = int(place)
    part = place - below
    return frames[below] + part * (frames[below + 1] - frames[below]) if part else frames[below]


def phase_of(position: float | Fraction, apex: int, offset: int) -> float:
    """Return where a position lies: -1 onset, 0 apex, 1 offset, linear in between.

    >>> phase_of(5, 10, 30), phase_of(20, 10, 30), phase_of(Fraction(5, 2), 10, 30)
    (-0.5, 0.5, -0.75)
    """
    span = apex if position < apex else offset - apex
    return float((position - apex) / span) if span else 0.0


def even_places(n_frames: int, slots: int) -> list[Fraction]:
    """Return places spread evenly from onset to offset: slot k has ``(n - 1) k / (slots - 1)``.

    >>> [str(place) for place in even_places(6, 4)]
    ['0', '5/3', '10/3', '5']
    """
    return [Fraction((n_frames - 1) * k, slots - 1) for k in range(slots)]


def phase_places(n_frames: int, apex: int, slots: int) -> list[Fraction]:
    """Return an odd number of places, spread evenly on either side of the apex.

    With onset o = 0, apex a, offset f = n - 1 and h = (slots - 1) / 2, slot k has
    ``o + (a - o) k / h`` up to the apex and ``a + (f - a)(k - h) / h`` after it.

    >>> [str(place) for place in phase_places(9, 3, 5)]
    ['0', '3/2', '3', '11/2', '8']
    """
    half = (slots - 1) // 2
    rise = [Fraction(apex * k, half) for k in range(half + 1)]
    fall = [apex + Fraction((n_frames - 1 - apex) * k, half) for k in range(1, half + 1)]
    return rise + fall


Chosen = Iterable[tuple[int, Place]]
"""Slots, each with its place among the frames; places never fall."""


def phase_slots(n_frames: int, apex: int, scheme: Mapping[str, Any]) -> Chosen:
    """Take the frames at `phase_places`, rounded half to even. The middle slot is the apex.

    >>> [frame for _, frame in phase_slots(9, 2, {"slots": 5})]
    [0, 1, 2, 5, 8]
    """
    return enumerate(round(place) for place in phase_places(n_frames, apex, scheme["slots"]))


def uniform_slots(n_frames: int, _apex: int, scheme: Mapping[str, Any]) -> Chosen:
    """Take the frames at `even_places`, rounded half to even. The apex may be missed.

    >>> [frame for _, frame in uniform_slots(6, 2, {"slots": 4})]
    [0, 2, 3, 5]
    """
    return enumerate(round(place) for place in even_places(n_frames, scheme["slots"]))


def tim_slots(n_frames: int, apex: int, scheme: Mapping[str, Any]) -> Chosen:
    """Take the places themselves, `even_places` or, with `spacing: phase`, `phase_places`.

    The slots are images made by temporal interpolation (see `cmedprep.interpolation`). With
    `spacing: phase` the middle slot is the apex frame.

    >>> [str(place) for _, place in tim_slots(9, 3, {"slots": 5, "spacing": "phase"})]
    ['0', '3/2', '3', '11/2', '8']
    """
    if scheme.get("spacing", "even") == "phase":
        return enumerate(phase_places(n_frames, apex, scheme["slots"]))
    return enumerate(even_places(n_frames, scheme["slots"]))


def window_slots(n_frames: int, apex: int, scheme: Mapping[str, Any]) -> Chosen:
    """Take the apex and `radius` frames on either side; the apex has slot `radius`.

    Slots beyond the clip repeat its first or last frame (`boundary: edge`) or are left out
    (`shrink`).

    >>> window_slots(4, 1, {"radius": 2, "boundary": "shrink"})
    [(1, 0), (2, 1), (3, 2), (4, 3)]
    """
    radius = scheme["radius"]
    frames = [(slot, apex - radius + slot) for slot in range(2 * radius + 1)]
    if scheme.get("boundary", "edge") == "shrink":
        return [(slot, frame) for slot, frame in frames if 0 <= frame < n_frames]
    return [(slot, min(max(frame, 0), n_frames - 1)) for slot, frame in frames]


def keyframe_slots(n_frames: int, apex: int, _scheme: Mapping[str, Any]) -> Chosen:
    """Take onset, apex and offset.

    >>> list(keyframe_slots(20, 7, {}))
    [(0, 0), (1, 7), (2, 19)]
    """
    return enumerate((0, apex, n_frames - 1))


METHODS: Mapping[str, Callable[[int, int, Mapping[str, Any]], Chosen]] = {
    "phase": phase_slots,
    "uniform": uniform_slots,
    "tim": tim_slots,
    "window": window_slots,
    "keyframes": keyframe_slots,
}

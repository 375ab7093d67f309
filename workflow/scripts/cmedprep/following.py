"""Follow one face through a clip, when others come and go."""

from collections.abc import Sequence

import numpy as np

_REACH = 0.6  # of the face's size, that its centre may have moved since it was last seen
_GROWTH = 1.6  # factor by which its size may have changed since
_PATIENCE = 30  # frames after which a face that comes back may be somebody else's


def follow_face(boxes: Sequence[np.ndarray], width: int, height: int) -> list[int | None]:
    """Choose the face that a clip is about, and return which it is in each frame.

    Faces are first joined to tracks: a face continues the track whose last box is nearest,
    if that was seen at most 30 frames ago, the centre has moved by at most 0.6 of the box's
    size, and the size has changed by at most a factor of 1.6. A face that comes back later
    may be another person's and starts a track of its own. Then the track is chosen with the
    greatest sum over its frames of

        sqrt(area / image area) * exp(-d**2),

    d being the distance of the face's centre from the image's in half diagonals: large,
    central and present beats small, aside and passing.

    Parameters
    ----------
    boxes : sequence of ndarray, shape (k, 4)
        For each frame the boxes of its faces: x, y, width, height in pixels. k may be 0.
    width, height : int
        Size of the image in pixels.

    Returns
    -------
    list of int or None
        For each frame the position of the chosen face among the frame's, None if absent.
    """
    tracks: list[dict[int, int]] = []
    last: list[np.ndarray] = []
    for frame, found in enumerate(boxes):
        free = set(range(len(found)))
        pairs = sorted(
            (distance, t, f)
            for t, before in enumerate(last)
            if frame - max(tracks[t]) <= _PATIENCE
            for f in free
            if (distance := _distance(before, found[f])) is not None
        )
        continued: set[int] = set()
        for _, t, f in pairs:
            if t not in continued and f in free:
                continued.add(t)
                free.discard(f)
                tracks[t][frame], last[t] = f, found[f]
        for f in sorted(free):
            tracks.append({frame: f})
            last.append(found[f])
    if not tracks:
        return [None] * len(boxes)
    weights = [_weights(found, width, height) for found in boxes]
    best = max(tracks, key=lambda track: sum(weights[frame][f] for frame, f in track.items()))
    return [best.get(frame) for frame in range(len(boxes))]


def _distance(before: np.ndarray, now: np.ndarray) -> float | None:
    """Return how far a box has moved in units of its size, None if it is another face."""
    sizes = np.sqrt([before[2] * before[3], now[2] * now[3]]) + 1e-9
    moved = np.hypot(*(now[:2] + now[2:] / 2 - before[:2] - before[2:] / 2)) / sizes.max()
    grown = sizes.max() / sizes.min()
    return float(moved) if moved <= _REACH and grown <= _GROWTH else None


def _weights(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    offset = boxes[:, :2] + boxes[:, 2:] / 2 - np.array([width, height]) / 2
    distance = np.hypot(offset[:, 0], offset[:, 1]) / (np.hypot(width, height) / 2)
    sizes = np.sqrt(boxes[:, 2] * boxes[:, 3] / (width * height))
    result: np.ndarray = sizes * np.exp(-(distance**2))
    return result

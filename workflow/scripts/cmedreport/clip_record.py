"""All that a subject's page draws of one clip."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from cmedprep.images import read_images
from cmedprep.tables import to_array
from cmedreport import drawings, pictures
from cmedreport.series import by_frame, column, json_number, rounded, runs, steps

MOST_TILES = 11
"""Frames in the strip, beside onset, apex and offset."""

LEAST_IMAGES = 12
"""Images that mean and standard deviation are taken over: those of the strip, and where these are
fewer, others that lie evenly among all. Decoding images is most of what a report costs."""

_CURVES = (
    *(("yaw", "yaw_deg", 1), ("pitch", "pitch_deg", 1), ("roll", "roll_deg", 1)),
    ("residual", "residual_px", 3),
)
_MOTION = (("motion", "motion_px", 3), ("smooth", "motion_smooth_px", 3))


def record_clip(
    row: Mapping[str, Any],
    faces: pa.Table,
    alignment: pa.Table,
    frames: pa.Table | None,
    expression: pa.Table | None,
    samples: Mapping[str, pa.Table],
    results: Path,
    show_faces: bool,
) -> dict[str, Any]:
    """Return what is drawn of a clip that was decoded, as JSON holds it.

    Parameters
    ----------
    row : mapping
        The clip's row of `schemas.MANIFEST`.
    faces, alignment : pyarrow.Table
        Its rows there.
    frames, expression : pyarrow.Table or None
        Its rows there; None for a clip without images.
    samples : mapping of pyarrow.Table
        Its rows of each sampling scheme that has any.
    results : Path
        The folder that images are relative to.
    show_faces : bool
        The config's `report.faces`.
    """
    count = len(alignment)
    every = steps(count)
    curves = {
        name: rounded(column(alignment, source)[::every], digits)
        for name, source, digits in _CURVES
    }
    if expression is not None:
        for name, source, digits in _MOTION:
            curves[name] = rounded(by_frame(expression, source, count)[::every], digits)
    record = {
        "frames": count,
        "every": every,
        "curves": curves,
        "runs": frame_runs(faces, alignment, frames),
        "slots": {name: rounded(column(table, "position"), 2) for name, table in samples.items()},
        "fps": json_number(row["fps"]),
    }
    if frames is None:
        return record
    chosen = strip_frames(row, count, samples, frames["frame_index"].to_pylist())
    scheme = strip_scheme(samples)
    slots = samples[scheme]["frame_index"].to_pylist() if scheme else []
    record["strip"] = {
        "frames": chosen,
        "scheme": scheme,
        "slots": [[n for n, frame in enumerate(slots) if frame == index] for index in chosen],
        "dots": drawings.pack(_dots(chosen, faces, frames)),
    }
    return record | draw(chosen, frames, results, show_faces)


def frame_runs(
    faces: pa.Table, alignment: pa.Table, frames: pa.Table | None
) -> dict[str, list[tuple[int, int]]]:
    """Return first and last frame of every run of frames that something is to be said of.

    `no_face`: no face was found. `interpolated`: the transform comes from its neighbours.
    `no_image`: nothing was written. `repeats`: the frame repeats an earlier one. `several`: more
    than one face.
    """
    count = len(alignment)
    written = np.zeros(count, bool)
    repeats = np.zeros(count, bool)
    if frames is not None:
        indices = frames["frame_index"].to_numpy()
        written[indices] = True
        repeats[indices] = frames["repeats_frame"].is_valid().to_numpy(zero_copy_only=False)
    flags = {
        "no_face": ~faces["detected"].to_numpy(zero_copy_only=False),
        "interpolated": alignment["interpolated"].to_numpy(zero_copy_only=False),
        "no_image": ~written,
        "repeats": repeats,
        "several": faces["n_faces"].to_numpy() > 1,
    }
    return {name: runs(flag) for name, flag in flags.items() if flag.any()}


def strip_scheme(samples: Mapping[str, pa.Table]) -> str | None:
    """Return the scheme whose slots the strip shows: the one with most that the strip has room for.

    Where all have more, it is the one with fewest.
    """
    sizes = {name: len(table) for name, table in samples.items() if len(table)}
    fitting = [name for name in sizes if sizes[name] <= MOST_TILES]
    if fitting:
        return min(fitting, key=lambda name: (-sizes[name], name))
    return min(sizes, key=lambda name: (sizes[name], name), default=None)


def strip_frames(
    row: Mapping[str, Any], count: int, samples: Mapping[str, pa.Table], written: Sequence[int]
) -> list[int]:
    """Return the frames of the strip: slots, onset, apex, motion apex and offset, in order.

    Without slots they are spread evenly. Frames without an image are left out.
    """
    scheme = strip_scheme(samples)
    if scheme is None:
        inner = np.linspace(0, count - 1, min(MOST_TILES, count)).round().astype(int).tolist()
    else:
        slots = sorted(set(samples[scheme]["frame_index"].to_pylist()))
        inner = [slots[i] for i in spread(len(slots), MOST_TILES)]
    marks = [row["apex_frame"], row["motion_apex_frame"]]
    wanted = {0, count - 1, *inner, *(mark for mark in marks if mark is not None)}
    return sorted(wanted & set(written))


def spread(count: int, most: int) -> list[int]:
    """Return up to `most` of `count` indices, evenly, with the first and the last.

    >>> spread(3, 5), spread(7, 4)
    ([0, 1, 2], [0, 2, 4, 6])
    """
    if count <= most:
        return list(range(count))
    indices: list[int] = np.linspace(0, count - 1, most).round().astype(int).tolist()
    return indices


def draw(
    chosen: Sequence[int], frames: pa.Table, results: Path, show_faces: bool
) -> dict[str, Any]:
    """Return the pictures of a clip: strip, mean, and standard deviation over time."""
    places = {index: place for place, index in enumerate(frames["frame_index"].to_pylist())}
    needed = {places[index] for index in chosen}
    if len(needed) < LEAST_IMAGES:
        needed |= set(spread(len(places), LEAST_IMAGES))
    moments = pictures.Moments()
    tiles = []
    for place, image in _read(frames, results, sorted(needed)):
        moments.add(image)
        if frames["frame_index"][place].as_py() in chosen:
            tiles.append(pictures.shrink(image, show_faces, pictures.TILE))
    mean = pictures.shrink(moments.mean(), show_faces, pictures.PORTRAIT)
    deviation = moments.deviation()
    drawn: dict[str, Any] = {
        "tiles": pictures.to_uri(pictures.join(tiles), show_faces),
        "mean": pictures.to_uri(mean, show_faces),
        "zones": [rounded(zone, 1) for zone in pictures.zones(deviation)],
        "images": moments.count,
    }
    if show_faces:
        portrait = pictures.shrink(pictures.colour(deviation), show_faces, pictures.PORTRAIT)
        drawn["deviation"] = pictures.to_uri(portrait, show_faces)
    return drawn


def _read(
    frames: pa.Table, results: Path, places: Sequence[int]
) -> Iterator[tuple[int, np.ndarray]]:
    return zip(places, read_images(frames, results, places), strict=True)


def _dots(chosen: Sequence[int], faces: pa.Table, frames: pa.Table) -> np.ndarray:
    """Place the dots of some frames in their images, (n, 14, 2) uint16."""
    places = {index: place for place, index in enumerate(frames["frame_index"].to_pylist())}
    at = [places[index] for index in chosen]
    matrices = to_array(frames["matrix"].take(at), (2, 3))
    landmarks = to_array(faces["landmarks"].take(list(chosen)), (-1, 3))
    width = float(frames["width"][0].as_py())
    return np.stack(
        [drawings.place_dots(*pair, width) for pair in zip(landmarks, matrices, strict=True)]
    )

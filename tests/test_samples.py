"""Slots get the images and labels of their frames, or an image that is made for them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cmedprep.apexes import choose_apex, middle_frame, read_apexes
from cmedprep.images import open_store
from cmedprep.samples import interpolate_rows, sample_rows
from cmedprep.schemas import EXPRESSION, FRAMES, SAMPLES, SAMPLES_WITH_IMAGES
from cmedprep.tables import CLIP_KEY_NAMES, write_table

CROP = {"size": 4, "format": "png", "quality": 95}
CLIP = {
    "clip_id": "S1/Happy/a",
    "subject": "S1",
    "emotion": "Happy",
    "filename": "a.mp4",
    "status": "ok",
    "n_frames": 9,
    "apex_frame": 4,
    "apex_source": "annotated",
    "emotion_3class": "positive",
}


def image_of(frame: int) -> np.ndarray:
    return np.full((4, 4, 3), 10 * frame, np.uint8)


def frames_of(
    results: Path,
    written: list[int],
    repeats: dict[int, int] | None = None,
    bridged: tuple[int, ...] = (),
) -> pa.Table:
    """Write images whose grey is ten times their number, and list them."""
    with open_store(results, "images/S1", CROP, "directory") as store:
        kept = [store.keep(f"S1/Happy/a/{frame:06d}", image_of(frame))[0] for frame in written]
    rows = [
        {name: CLIP[name] for name in ("clip_id", "subject", "emotion", "filename")}
        | {
            "frame_index": frame,
            "timestamp_s": frame / 30,
            "width": 4,
            "height": 4,
            "matrix": [1.0, 0, 0, 0, 1, 0],
            "interpolated": frame in bridged,
            "repeats_frame": (repeats or {}).get(frame),
        }
        | {name: image[name] for name in ("image", "sha256", "pixels_sha256")}
        for frame, image in zip(written, kept, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=FRAMES)


# --- the apex --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "motion_apex", "without_apex", "chosen"),
    [
        ({}, 6, "skip", (4, "annotated")),
        ({"apex_source": "clamped"}, 6, "motion", (4, "clamped")),
        ({"apex_frame": None, "apex_source": None}, 6, "middle", (4, "middle")),
        ({"apex_frame": None, "apex_source": None}, 6, "motion", (6, "motion")),
        ({"apex_frame": None, "apex_source": None}, 0, "motion", (0, "motion")),
        ({"apex_frame": None, "apex_source": None}, None, "motion", None),
        ({"apex_frame": None, "apex_source": None}, 6, "skip", None),
        ({"apex_frame": None, "apex_source": "motion"}, 6, "skip", (6, "motion")),
        ({"apex_frame": None, "apex_source": "motion"}, None, "middle", None),
        ({"status": "apex_missing", "apex_frame": None, "apex_source": None}, 6, "motion", None),
    ],
)
def test_a_clip_is_sampled_around_its_apex_or_what_the_config_says(
    changes: dict[str, Any], motion_apex: int | None, without_apex: str, chosen: Any
) -> None:
    assert choose_apex(CLIP | changes, motion_apex, without_apex) == chosen


def test_the_apex_of_the_motion_is_the_frame_that_is_marked(tmp_path: Path) -> None:
    rows = [
        {name: CLIP[name] for name in CLIP_KEY_NAMES}
        | {"clip_id": clip_id, "frame_index": frame, "timestamp_s": 0.0, "motion_apex": marked}
        for clip_id, apex in (("S1/Happy/a", 6), ("S1/Happy/b", None))
        for frame in (5, 6, 8)
        for marked in (frame == apex,)
    ]
    write_table(tmp_path / "S1.parquet", EXPRESSION, rows, {})
    assert read_apexes(tmp_path / "S1.parquet") == {"S1/Happy/a": 6}


@pytest.mark.parametrize(("n_frames", "middle"), [(1, 0), (2, 0), (3, 1), (4, 1), (9, 4)])
def test_the_middle_frame_is_the_earlier_of_two(n_frames: int, middle: int) -> None:
    assert middle_frame(n_frames) == middle


# --- frames ----------------------------------------------------------------------------------


def test_a_slot_has_the_image_of_its_frame(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, list(range(9)))
    scheme = {"name": "p5", "method": "phase", "slots": 5}
    rows = sample_rows(CLIP, frames, (4, "annotated"), scheme)
    table = pa.Table.from_pylist(rows, schema=SAMPLES)
    assert table["frame_index"].to_pylist() == [0, 2, 4, 6, 8]
    assert table["position"].to_pylist() == [0, 2, 4, 6, 8]
    for name in ("image", "sha256", "pixels_sha256", "timestamp_s"):
        assert table[name].to_pylist() == frames[name].to_pylist()[::2]


def test_a_slot_whose_frame_has_no_face_keeps_its_row(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, [0, 1, 8])
    rows = sample_rows(CLIP, frames, (4, "annotated"), {"name": "k", "method": "keyframes"})
    assert [row["image"] is None for row in rows] == [False, True, False]
    assert [row["pixels_sha256"] is None for row in rows] == [False, True, False]


def test_distinct_frames_alone_are_sampled_where_the_scheme_says_so(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, list(range(9)), repeats={1: 0, 2: 0, 5: 4, 8: 7})
    scheme = {"name": "w1", "method": "window", "radius": 1}
    everything = sample_rows(CLIP, frames, (5, "annotated"), scheme)
    assert [row["frame_index"] for row in everything] == [4, 5, 6]
    distinct = sample_rows(CLIP, frames, (5, "annotated"), scheme | {"frames": "distinct"})
    assert [row["frame_index"] for row in distinct] == [3, 4, 6]


# --- images between frames -------------------------------------------------------------------


def interpolate(
    results: Path, frames: pa.Table, container: str = "directory", **scheme: Any
) -> pa.Table:
    scheme = {"name": "tim", "method": "tim", "slots": 5} | scheme
    rows = sample_rows(CLIP, frames, (4, "annotated"), scheme)
    with open_store(results, "interpolated/tim/S1", CROP, container) as store:
        made = interpolate_rows(rows, frames, results, store)
    return pa.Table.from_pylist(
        made, schema=SAMPLES if container == "directory" else SAMPLES_WITH_IMAGES
    )


def greys(table: pa.Table, results: Path) -> list[int]:
    from cmedprep.images import read_images

    return [int(image[0, 0, 0]) for image in read_images(table, results)]


@pytest.mark.parametrize("container", ["directory", "parquet"])
def test_a_slot_on_a_frame_has_its_very_pixels(tmp_path: Path, container: str) -> None:
    frames = frames_of(tmp_path, list(range(9)))
    table = interpolate(tmp_path, frames, container)
    assert table["pixels_sha256"].to_pylist() == frames["pixels_sha256"].to_pylist()[::2]
    assert table["image"][1].as_py() == "interpolated/tim/S1/Happy/a/000001.png"
    assert greys(table, tmp_path) == [0, 20, 40, 60, 80]


def test_a_slot_between_frames_has_the_time_between_them(tmp_path: Path) -> None:
    table = interpolate(tmp_path, frames_of(tmp_path, list(range(9))), slots=4)
    assert np.allclose(table["position"].to_numpy(), [0, 8 / 3, 16 / 3, 8])
    assert np.allclose(table["timestamp_s"].to_numpy(), np.array([0, 8 / 3, 16 / 3, 8]) / 30)
    first, second, third, last = greys(table, tmp_path)
    assert 0 == first < second < third < last == 80


def test_a_frozen_stretch_is_run_through(tmp_path: Path) -> None:
    # Frames 3 to 5 repeat frame 2 in truth; their images are not looked at.
    frames = frames_of(tmp_path, list(range(9)), repeats={3: 2, 4: 2, 5: 2})
    table = interpolate(tmp_path, frames, slots=9)
    middle = greys(table, tmp_path)[2:7]
    assert middle[0] == 20
    assert middle[-1] == 60
    assert middle == sorted(set(middle))


def test_a_gap_that_was_bridged_is_run_through(tmp_path: Path) -> None:
    # The images of frames 3 and 4 show whatever was there instead of the face.
    frames = frames_of(tmp_path, list(range(9)), bridged=(3, 4))
    table = interpolate(tmp_path, frames, slots=17)
    assert table["image"].null_count == 0
    assert table["interpolated"].to_pylist() == [False] * 17
    nodes = [0, 1, 2, 5, 6, 7, 8]
    assert [greys(table, tmp_path)[2 * node] for node in nodes] == [10 * node for node in nodes]
    chosen = sample_rows(
        CLIP, frames, (4, "annotated"), {"name": "p", "method": "phase", "slots": 9}
    )
    assert [row["interpolated"] for row in chosen] == [n in (3, 4) for n in range(9)]


def test_a_slot_among_frames_without_a_face_has_no_image(tmp_path: Path) -> None:
    frames = frames_of(tmp_path, [1, 2, 5, 6, 7], repeats={6: 5, 7: 5})
    table = interpolate(tmp_path, frames, slots=17)
    assert table["position"].to_pylist() == [n / 2 for n in range(17)]
    there = np.flatnonzero(table["image"].is_valid().to_numpy(zero_copy_only=False)) / 2
    assert there.tolist() == [1, 1.5, 2, 5, 5.5, 6, 6.5, 7]
    for name in ("sha256", "pixels_sha256", "timestamp_s"):
        assert table[name].is_valid().equals(table["image"].is_valid())
    shown = table.filter(table["image"].is_valid())
    assert np.allclose(shown["timestamp_s"].to_numpy(), there / 30)
    assert greys(shown, tmp_path)[3:] == [50] * 5


def test_a_freeze_before_a_gap_leads_over_no_gap(tmp_path: Path) -> None:
    """Frame 3 repeats frame 2, frame 4 has no image: from 2 to 5 there is nothing to go by."""
    frames = frames_of(tmp_path, [0, 1, 2, 3, 5, 6, 7, 8], repeats={3: 2})
    table = interpolate(tmp_path, frames, slots=17)
    without = table.filter(table["image"].is_null())["position"].to_pylist()
    assert without == [2.5, 3, 3.5, 4, 4.5]


def test_a_clip_without_images_leaves_its_slots_without(tmp_path: Path) -> None:
    table = interpolate(tmp_path, frames_of(tmp_path, [0]).slice(0, 0))
    assert table.num_rows == 5
    assert table["image"].null_count == 5

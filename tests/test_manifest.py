"""What the manifest makes of a clip's stages."""

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pytest

from cmedprep.images import ImageStore
from cmedprep.manifest import (
    grade_clip,
    sum_up_alignment,
    sum_up_expression,
    sum_up_faces,
    sum_up_frames,
    sum_up_sample,
    summarise_clip,
)
from cmedprep.schemas import (
    ALIGNMENT,
    EXPRESSION,
    FACES,
    FRAMES_WITH_IMAGES,
    SAMPLES,
    SCHEMA_VERSION,
)

CLIP: dict[str, Any] = {
    "clip_id": "S1/Happy/a", "processed": True, "n_frames": 4, "status": "ok", "reason": "",
    "apex_frame": 2, "apex_source": "annotated",
}  # fmt: skip


@pytest.mark.parametrize(
    ("written", "with_face", "status"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3], "ok"),
        ([0, 1, 2, 3], [0, 1, 3], "apex_without_face"),  # bridged: an image, and no face in it
        ([0, 1], [0, 1], "apex_without_face"),
        ([], [], "no_face"),
    ],
)
def test_an_apex_frame_needs_a_face_and_not_only_an_image(
    written: list[int], with_face: list[int], status: str
) -> None:
    stage: dict[str, Any] = {
        "frames": written, "with_face": with_face, "n_stabilised": len(with_face),
        "residual_jitter_px": 0.1, "residual_drift_px": 0.1,
    }  # fmt: skip
    row = summarise_clip(CLIP, [{"S1/Happy/a": stage}], {}, {})
    assert (row["status"], row["n_written"]) == (status, len(written))
    assert row["grade"] == grade_clip(row)
    assert row["schema_version"] == SCHEMA_VERSION
    assert not {"frames", "with_face"} & row.keys()


@pytest.mark.parametrize(
    ("written", "stabilised", "jitter", "drift", "grade"),
    [
        (100, 95, 0.25, 0.75, "A"),
        (99, 99, 0.1, 0.1, "B"),
        (100, 94, 0.1, 0.1, "B"),
        (100, 100, 0.2501, 0.1, "B"),
        (100, 100, 0.1, 0.7501, "B"),
        (90, 68, 0.6, 1.5, "B"),
        (89, 89, 0.1, 0.1, "C"),
        (100, 74, 0.1, 0.1, "C"),
        (100, 100, 0.6001, 0.1, "C"),
        (100, 100, 0.1, 1.5001, "C"),
        (100, 100, None, 0.1, "C"),
        (100, 100, 0.1, None, "C"),
        (0, 0, 0.1, 0.1, None),
    ],
)
def test_a_grade_ends_where_the_documentation_says(
    written: int, stabilised: int, jitter: float | None, drift: float | None, grade: str | None
) -> None:
    row = {
        "n_frames": 100, "n_written": written, "n_stabilised": stabilised,
        "residual_jitter_px": jitter, "residual_drift_px": drift,
    }  # fmt: skip
    assert grade_clip(row) == grade


@pytest.mark.parametrize(
    ("written", "gap"),
    [([0, 1, 2, 3], 0), ([1, 2, 3], 1), ([0, 1], 2), ([0, 3], 2), ([2], 2), ([], 4)],
)
def test_the_longest_gap_may_lie_at_either_end(written: list[int], gap: int) -> None:
    stage: dict[str, Any] = {
        "frames": written, "with_face": written, "n_stabilised": 0,
        "residual_jitter_px": None, "residual_drift_px": None,
    }  # fmt: skip
    assert summarise_clip(CLIP, [{CLIP["clip_id"]: stage}], {}, {})["longest_gap"] == gap


@pytest.mark.parametrize(
    ("change", "distance"),
    [
        ({}, -2),
        ({"apex_source": "clamped"}, None),  # no label to be checked
        ({"apex_frame": None, "apex_source": "motion"}, None),
    ],
)
def test_the_distance_to_the_motions_apex_checks_annotations_alone(
    change: dict[str, Any], distance: int | None
) -> None:
    stage: dict[str, Any] = {
        "frames": [0, 1, 2, 3], "with_face": [0, 1, 2, 3], "n_stabilised": 4,
        "residual_jitter_px": 0.1, "residual_drift_px": 0.1, "motion_apex_frame": 0,
    }  # fmt: skip
    row = summarise_clip(CLIP | change, [{CLIP["clip_id"]: stage}], {}, {})
    assert row.get("motion_apex_distance") == distance


def test_what_is_not_processed_has_neither_frames_nor_a_grade() -> None:
    clip = CLIP | {"processed": False, "status": "truncated_video", "n_frames": None}
    row = summarise_clip(clip, [{}], {"window5": {}, "phase11": {}}, {"tvl1": {}, "dis": {}})
    assert (row["status"], "grade" in row, "n_written" in row) == ("truncated_video", False, False)
    nothing = {"n_slots": 0, "n_without_image": 0}
    assert row["samples"] == [{"scheme": name} | nothing for name in ("phase11", "window5")]
    assert row["motion"] == [{"method": "dis"}, {"method": "tvl1"}]


# --- sums over a clip's rows -----------------------------------------------------------------

KEYS = {"clip_id": "S1/Happy/a", "subject": "S1", "emotion": "Happy", "filename": "a.mp4"}


def frame_rows(schema: pa.Schema, rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows of frames, counted from 0 where they do not say which they are."""
    keys = ({"frame_index": i, "timestamp_s": i / 30} for i in range(len(rows)))
    return pa.Table.from_pylist(
        [KEYS | key | row for key, row in zip(keys, rows, strict=True)], schema=schema
    )


def test_faces_are_counted_and_their_size_is_the_median() -> None:
    def face(inter_ocular: float | None, n_faces: int) -> dict[str, Any]:
        landmarks = np.zeros((478, 3))
        landmarks[[362, 263], 0] = inter_ocular or 0
        found = None if inter_ocular is None else landmarks.ravel().tolist()
        return {"detected": found is not None, "n_faces": n_faces, "landmarks": found}

    faces = [face(50, 1), face(None, 0), face(52, 2), face(90, 3)]
    sums = sum_up_faces(frame_rows(FACES, faces), {})
    assert (sums["n_detected"], sums["n_several_faces"], sums["inter_ocular_px"]) == (3, 2, 52)
    nobody = sum_up_faces(frame_rows(FACES, [face(None, 0)]), {})
    assert (nobody["n_detected"], nobody["inter_ocular_px"]) == (0, None)


def test_alignment_is_counted_by_method() -> None:
    methods = ["stabilised", "landmarks", "interpolated", None, "stabilised", "stabilised"]
    rows = [
        {"method": method, "interpolated": method == "interpolated", "residual_jitter_px": jitter}
        for method, jitter in zip(methods, [None, 0.2, 0.2, None, 0.2, 0.2], strict=True)
    ]
    sums = sum_up_alignment(frame_rows(ALIGNMENT, rows))
    assert (sums["n_stabilised"], sums["n_interpolated"]) == (3, 1)
    assert (sums["residual_jitter_px"], sums["residual_drift_px"]) == (0.2, None)
    nowhere = sum_up_alignment(frame_rows(ALIGNMENT, [{"interpolated": False}]))
    assert (nowhere["n_stabilised"], nowhere["n_interpolated"]) == (0, 0)


def written_frames() -> list[dict[str, Any]]:
    """Return rows of `FRAMES_WITH_IMAGES` of which four repeat an earlier one, and 3 is missing."""
    store = ImageStore("images/S1", {"format": "png", "quality": 90}, None)
    written, repeats = [0, 1, 2, 4, 5, 6, 7], [None, 0, 0, None, 4, None, 6]
    return [
        store.keep(f"S1/Happy/a/{frame:06d}", np.full((8, 8, 3), frame, np.uint8))[0]
        | {"frame_index": frame, "width": 8, "height": 8, "matrix": [1.0, 0, 0, 0, 1, 0]}
        | {"interpolated": frame == 4, "repeats_frame": earlier, "difference": 0.0}
        for frame, earlier in zip(written, repeats, strict=True)
    ]


def test_written_frames_and_those_that_repeat_are_counted() -> None:
    sums = sum_up_frames(frame_rows(FRAMES_WITH_IMAGES, written_frames()), Path("nowhere"))
    assert sums["frames"] == [0, 1, 2, 4, 5, 6, 7]
    assert sums["with_face"] == [0, 1, 2, 5, 6, 7]
    assert (sums["n_repeats"], sums["longest_freeze"], sums["crop_px"]) == (4, 2, 8)
    assert [one["frame_index"] for one in sums["fingerprints"]] == sums["frames"]


def test_the_digest_of_frames_is_of_their_pixels_and_not_of_an_encoders_bytes() -> None:
    def digest(rows: list[dict[str, Any]]) -> str:
        table = frame_rows(FRAMES_WITH_IMAGES, rows)
        return str(sum_up_frames(table, Path("nowhere"))["frames_sha256"])

    rows, others = written_frames(), written_frames()
    data = cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8), [cv2.IMWRITE_PNG_COMPRESSION, 0])[1]
    assert data.tobytes() != others[0]["encoded"]["bytes"]
    others[0]["encoded"] = {"bytes": data.tobytes(), "path": others[0]["image"]}
    others[0]["sha256"] = hashlib.sha256(data.tobytes()).hexdigest()
    assert digest(others) == digest(rows)
    assert digest([*rows[:-1], rows[-1] | {"repeats_frame": None}]) != digest(rows)


def test_an_expression_without_an_apex_has_none() -> None:
    def rows(apex: int | None) -> pa.Table:
        measured = {"motion_peak_px": 1.5, "motion_snr": None}
        return frame_rows(
            EXPRESSION,
            [{"motion_apex": i == apex, "frame_index": 3 + i} | measured for i in (0, 1, 2)],
        )

    assert sum_up_expression(rows(2))["motion_apex_frame"] == 5
    nothing = sum_up_expression(rows(None))
    assert (nothing["motion_apex_frame"], nothing["motion_peak_px"]) == (None, 1.5)


def test_slots_without_an_image_are_counted() -> None:
    slot = KEYS | {"scheme": "onset_apex", "slot": 0, "frame_index": 0, "position": 0.0}
    slot |= {"offset_from_apex": 0, "phase": 0.0, "apex_source": "annotated", "repeated": False}
    rows = [slot, slot | {"slot": 1, "image": "images/S1/Happy/a/000000.png"}]
    sums = sum_up_sample(pa.Table.from_pylist(rows, schema=SAMPLES))
    assert (sums["n_slots"], sums["n_without_image"]) == (2, 1)


@pytest.mark.parametrize(
    ("spotted", "status"), [(1, "ok"), (2, "apex_without_face"), (None, "apex_not_found")]
)
def test_an_apex_of_the_motion_needs_to_be_found_and_to_have_a_face(
    spotted: int | None, status: str
) -> None:
    clip = CLIP | {"apex_frame": None, "apex_source": "motion"}
    stage: dict[str, Any] = {
        "frames": [0, 1, 2, 3], "with_face": [0, 1, 3], "n_stabilised": 3,
        "residual_jitter_px": 0.1, "residual_drift_px": 0.1, "motion_apex_frame": spotted,
    }  # fmt: skip
    row = summarise_clip(clip, [{"S1/Happy/a": stage}], {}, {})
    assert row["status"] == status
    assert "motion_apex_distance" not in row  # it is no check of itself
    # Of a clip without expression it is only asked where its centre lies.
    centred = clip | {"apex_source": None}
    assert summarise_clip(centred, [{"S1/Happy/a": stage}], {}, {})["status"] == "ok"

"""Every clip's status is the first fault that is found, with a reason, and never a guess."""

import errno
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmedplan.metadata import MetadataRow
from cmedplan.plan import PROCESSABLE, PlannedClip
from cmedplan.scan import VideoFile
from cmedprep.decoding import VideoFacts
from cmedprep.ledger import assess_clip, clip_keys, list_unprocessed, probe_clip
from cmedprep.probing import Limits, Prober
from cmedprep.schemas import INDEX, VIDEOS

N_FRAMES = 20
LABELS = {
    "three_class": {"Happy": "positive", "Sad": "negative", "No_Emotion": None},
    "without_expression": "No_Emotion",
}
FILE = VideoFile("FinalFullVideos_subjects/Happy/S1/a.mp4", "Happy", "S1", "a.mp4", 9, 9)
FACTS: dict[str, Any] = {
    "path": FILE.path,
    "sha256": "0" * 64,
    "size_bytes": 9,
    "codec": "h264",
    "width": 64,
    "height": 48,
    "rotation_deg": 0,
    "fps": 30.0,
    "n_frames": N_FRAMES,
    "duration_s": 0.6,
    "processed": True,
    "video_status": "ok",
    "video_reason": "",
}


def planned(
    apex: str = "12", emotion: str = "Happy", status: str = "ok", **changes: Any
) -> PlannedClip:
    fields: dict[str, Any] = {
        "clip_id": f"S1/{emotion}/a",
        "subject": "S1",
        "emotion": emotion,
        "filename": "a.mp4",
        "status": status,
        "reason": "" if status == "ok" else f"the reason of {status}",
        "row": MetadataRow(7, "s 1", "A", emotion.lower(), apex),
        "video": FILE,
    }
    return PlannedClip(**(fields | changes))


def assess(
    apex: str = "12",
    emotion: str = "Happy",
    out_of_range: str = "exclude",
    missing: str = "exclude",
    facts: dict[str, Any] = FACTS,
    **changes: Any,
) -> dict[str, Any]:
    rules = {"missing": missing, "out_of_range": out_of_range}
    row = assess_clip(planned(apex, emotion, **changes), facts, rules, LABELS)
    pa.Table.from_pylist([row], schema=INDEX).validate(full=True)
    assert set(row) == set(INDEX.names)
    assert bool(row["reason"]) or row["status"] == "ok"
    assert (row["apex_frame"] is None) == (row["apex_source"] in (None, "motion"))
    return row


# --- the apex --------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["12", "12.0", " 12 ", "12.", "+12", "012"])
def test_a_whole_number_is_the_apex_however_it_is_written(cell: str) -> None:
    row = assess(cell)
    assert (row["status"], row["reason"]) == ("ok", "")
    assert (row["apex_frame"], row["apex_source"]) == (12, "annotated")
    assert row["metadata_apex_frame"] == cell


@pytest.mark.parametrize("cell", ["abc", "12.5", "12,0", "12 13", "1e1", "-"])
@pytest.mark.parametrize("emotion", ["Happy", "No_Emotion"])
def test_what_is_no_whole_number_is_an_error_of_the_row(cell: str, emotion: str) -> None:
    row = assess(cell, emotion)
    assert (row["status"], row["apex_frame"]) == ("apex_invalid", None)
    assert cell in row["reason"]


@pytest.mark.parametrize("cell", ["", "  ", "NaN", "N/A", "none"])
def test_a_blank_apex_is_missing_in_an_expression_and_normal_without_one(cell: str) -> None:
    assert assess(cell, "Happy")["status"] == "apex_missing"
    row = assess(cell, "No_Emotion")
    assert (row["status"], row["reason"], row["apex_frame"]) == ("ok", "", None)


@pytest.mark.parametrize("cell", ["0", str(N_FRAMES - 1)])
def test_the_first_and_the_last_frame_may_be_the_apex(cell: str) -> None:
    assert assess(cell)["status"] == "ok"
    assert assess(cell, out_of_range="clamp")["apex_source"] == "annotated"


@pytest.mark.parametrize(
    ("cell", "clamped"),
    [("-1", 0), (str(N_FRAMES), N_FRAMES - 1), ("-1.0", 0), ("999999999", N_FRAMES - 1)],
)
def test_an_apex_outside_the_video_is_excluded_or_clamped_and_recorded_as_such(
    cell: str, clamped: int
) -> None:
    excluded = assess(cell)
    assert (excluded["status"], excluded["apex_frame"]) == ("apex_out_of_range", None)
    assert f"0 to {N_FRAMES - 1}" in excluded["reason"]
    kept = assess(cell, out_of_range="clamp")
    assert (kept["status"], kept["apex_frame"], kept["apex_source"]) == ("ok", clamped, "clamped")
    assert f"clamped to {clamped}" in kept["reason"]


@pytest.mark.parametrize(
    ("cell", "rule"), [("", "missing"), ("n/a", "missing"), ("-1", "out_of_range")]
)
def test_an_apex_that_cannot_be_used_is_left_to_the_motion_where_the_config_says_so(
    cell: str, rule: str
) -> None:
    row = assess(cell, **{rule: "motion"})
    assert (row["status"], row["apex_frame"], row["apex_source"]) == ("ok", None, "motion")
    assert row["reason"].endswith("that of the motion is taken")
    (other,) = {"missing", "out_of_range"} - {rule}
    assert assess(cell, **{other: "motion"})["status"] != "ok"


def test_what_is_left_to_the_motion_changes_no_other_apex() -> None:
    left = {"missing": "motion", "out_of_range": "motion"}
    assert assess("12", **left)["apex_source"] == "annotated"
    assert assess("x", **left)["status"] == "apex_invalid"
    assert assess("", "No_Emotion", **left)["apex_source"] is None


def test_an_apex_too_large_for_the_table_is_out_of_range_and_not_invalid() -> None:
    assert assess("123456789012")["status"] == "apex_out_of_range"


@pytest.mark.parametrize("cell", ["3", "0", "99", "-1"])
@pytest.mark.parametrize("out_of_range", ["exclude", "clamp"])
def test_an_apex_without_an_expression_is_unexpected(cell: str, out_of_range: str) -> None:
    row = assess(cell, "No_Emotion", out_of_range)
    assert (row["status"], row["apex_frame"]) == ("unexpected_apex", None)
    assert cell in row["reason"]


@given(st.integers(-50, 50), st.integers(1, 40), st.sampled_from(["exclude", "clamp"]))
def test_an_apex_that_is_given_out_lies_inside_the_video(
    apex: int, n_frames: int, out_of_range: str
) -> None:
    row = assess(str(apex), out_of_range=out_of_range, facts=FACTS | {"n_frames": n_frames})
    if row["apex_frame"] is not None:
        assert 0 <= row["apex_frame"] < n_frames
    assert (row["apex_source"] == "annotated") == (0 <= apex < n_frames)


def test_contradicting_rows_leave_no_apex() -> None:
    row = assess("12", status="conflicting_apex")
    assert (row["status"], row["apex_frame"]) == ("conflicting_apex", None)
    assert row["processed"]


@pytest.mark.parametrize("cell", ["", "abc", "99"])
def test_a_clip_whose_only_fault_is_its_apex_is_processed(cell: str) -> None:
    assert assess(cell)["processed"]


# --- the video -------------------------------------------------------------------------------

BROKEN = dict.fromkeys(FACTS) | {
    "path": FILE.path,
    "processed": False,
    "video_status": "unreadable_video",
    "video_reason": "not a video",
}


@pytest.mark.parametrize("status", sorted(PROCESSABLE))
@pytest.mark.parametrize("cell", ["12", "", "abc", "99"])
def test_an_unreadable_video_comes_before_any_fault_of_the_apex(status: str, cell: str) -> None:
    row = assess(cell, facts=BROKEN, status=status)
    assert (row["status"], row["reason"]) == ("unreadable_video", "not a video")
    assert (row["apex_frame"], row["n_frames"], row["processed"]) == (None, None, False)


@pytest.mark.parametrize(
    "status", ["missing_video", "ambiguous_video", "duplicate", "invalid_name", "unknown_emotion"]
)
def test_a_fault_of_the_plan_stays(status: str) -> None:
    nothing = dict.fromkeys(FACTS) | {"processed": False}
    row = assess("12", status=status, video=None, facts=nothing)
    assert (row["status"], row["reason"]) == (status, f"the reason of {status}")
    assert (row["apex_frame"], row["processed"]) == (None, False)


@pytest.mark.parametrize(
    ("cell", "out_of_range", "reason"),
    [
        ("12", "exclude", "no timestamps"),
        (
            "99",
            "clamp",
            "apex frame 99 lies outside the video's frames 0 to 19; clamped to 19; no t",
        ),
        ("", "exclude", "the apex frame is blank"),
    ],
)
def test_what_is_unusual_about_a_good_video_is_said_where_no_fault_is(
    cell: str, out_of_range: str, reason: str
) -> None:
    row = assess(cell, out_of_range=out_of_range, facts=FACTS | {"video_reason": "no timestamps"})
    assert row["reason"].startswith(reason)


def test_a_stray_has_no_cells_and_no_apex() -> None:
    row = assess(status="stray_video", row=None, facts=FACTS | {"processed": False})
    assert (row["status"], row["apex_frame"]) == ("stray_video", None)
    assert row["metadata_subject"] is row["metadata_apex_frame"] is None
    assert row["n_frames"] == N_FRAMES


def test_cells_are_kept_as_they_were_written() -> None:
    row = assess(" 12.0 ")
    assert (row["metadata_subject"], row["metadata_filename"]) == ("s 1", "A")
    assert (row["metadata_emotion"], row["metadata_apex_frame"]) == ("happy", " 12.0 ")


@pytest.mark.parametrize(
    ("emotion", "label"), [("Happy", "positive"), ("No_Emotion", None), ("Bored", None)]
)
def test_the_three_class_label_is_the_configs(emotion: str, label: str | None) -> None:
    assert assess("", emotion)["emotion_3class"] == label


# --- probing ---------------------------------------------------------------------------------


def make_video(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 32, 16
        for _ in range(5):
            frame = av.VideoFrame.from_ndarray(np.zeros((16, 32, 3), np.uint8), format="rgb24")
            file.mux(stream.encode(frame.reformat(format="yuv420p")))
        file.mux(stream.encode(None))


def probe(clip: PlannedClip, root: Path) -> dict[str, Any]:
    with Prober(Limits()) as prober:
        row = probe_clip(clip, root, prober)
    pa.Table.from_pylist([row], schema=VIDEOS).validate(full=True)
    assert set(row) == set(VIDEOS.names)
    return row


def test_a_video_is_probed_digested_and_processed(tmp_path: Path) -> None:
    make_video(tmp_path / FILE.path)
    row = probe(planned(), tmp_path)
    assert (row["video_status"], row["processed"]) == ("ok", True)
    assert (row["emotion"], row["path"]) == ("Happy", FILE.path)
    assert (row["width"], row["height"], row["n_frames"], row["fps"]) == (32, 16, 5, 25.0)
    assert row["size_bytes"] == (tmp_path / FILE.path).stat().st_size
    assert len(row["sha256"]) == 64


def test_a_stray_is_probed_and_not_processed(tmp_path: Path) -> None:
    make_video(tmp_path / FILE.path)
    row = probe(planned(status="stray_video", row=None), tmp_path)
    assert (row["n_frames"], row["processed"]) == (5, False)


@pytest.mark.parametrize("content", [b"", b"no video"])
def test_a_file_that_is_no_video_keeps_its_digest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE.path).parent.mkdir(parents=True)
    (tmp_path / FILE.path).write_bytes(content)
    row = probe(planned(), tmp_path)
    assert (row["video_status"], row["processed"]) == ("unreadable_video", False)
    assert row["size_bytes"] == len(content)
    assert row["sha256"]
    assert (row["n_frames"], row["path"]) == (None, FILE.path)
    assert assess(facts=row)["status"] == "unreadable_video"


class NoProber(Prober):
    """Opens no video."""

    def __init__(self, error: Exception) -> None:
        super().__init__(Limits())
        self.error = error

    def probe(self, path: Path) -> VideoFacts:
        raise self.error


def test_a_file_without_the_right_to_be_read_is_a_row_and_other_trouble_is_none(
    tmp_path: Path,
) -> None:
    make_video(tmp_path / FILE.path)
    denied = NoProber(PermissionError(errno.EACCES, "Permission denied"))
    row = probe_clip(planned(), tmp_path, denied)
    assert (row["video_status"], row["processed"]) == ("unreadable_video", False)
    assert (row["video_reason"], row["path"]) == ("Permission denied", FILE.path)
    with pytest.raises(OSError, match="stale"):
        probe_clip(planned(), tmp_path, NoProber(OSError(errno.ESTALE, "stale")))


@pytest.mark.parametrize(
    ("status", "processed"), [("ok", True), ("conflicting_apex", True), ("stray_video", False)]
)
def test_a_video_that_is_known_is_not_opened(status: str, processed: bool) -> None:
    # A row of an earlier probe, whose clip may have been of another use.
    earlier = FACTS | {"clip_id": "S1/Happy/old", "processed": not processed}
    never = NoProber(AssertionError("it is opened"))
    row = probe_clip(planned(status=status), Path("nowhere"), never, {FILE.path: earlier})
    assert row == FACTS | clip_keys(planned(status=status)) | {"processed": processed}


def test_a_clip_without_a_file_has_no_facts(tmp_path: Path) -> None:
    row = probe(planned(status="missing_video", video=None), tmp_path)
    assert row["path"] is row["sha256"] is row["video_status"] is None
    assert not row["processed"]


# --- what no job looked at -------------------------------------------------------------------


def test_the_clip_of_a_subject_that_is_not_selected_says_so() -> None:
    row = list_unprocessed(planned(), Path("nowhere"), LABELS, Prober(Limits()))
    assert (row["status"], row["path"], row["processed"]) == ("not_selected", FILE.path, False)
    assert "S1" in row["reason"]
    pa.Table.from_pylist([row], schema=INDEX).validate(full=True)


def test_a_row_without_subject_keeps_its_fault() -> None:
    row = list_unprocessed(
        planned(status="invalid_name", subject=None, video=None),
        Path("nowhere"),
        LABELS,
        Prober(Limits()),
    )
    assert (row["status"], row["reason"]) == ("invalid_name", "the reason of invalid_name")
    pa.Table.from_pylist([row], schema=INDEX).validate(full=True)

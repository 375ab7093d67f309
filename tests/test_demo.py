"""The demo data set through the whole workflow: known defects, known truth."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmedprep.tables import iterate_clips, to_array
from tests.conftest import Project
from tests.makers.make_demo import load_truth
from tests.makers.synthetic_face import kept_amplitude, score_alignment

DEFECTS = {
    "missing_video": "missing_video",
    "apex_out_of_range": "apex_out_of_range",
    "apex_missing": "apex_missing",
    "stray_video": "stray_video",
    "same_filename": "ok",
    "spelling": "ok",
}


@pytest.fixture(scope="module")
def clips(demo_run: Project) -> pd.DataFrame:
    return pd.read_parquet(demo_run.results / "clips.parquet")


@pytest.fixture(scope="module")
def manifests(demo_run: Project) -> pd.DataFrame:
    return pd.read_parquet(demo_run.results / "manifests")


@pytest.fixture(scope="module")
def truth(demo: Path) -> pd.DataFrame:
    return pd.read_parquet(demo / "truth" / "clips.parquet")


def test_every_row_and_every_video_is_accounted_for(demo: Path, clips: pd.DataFrame) -> None:
    with open(demo / "video_emotion_metadata.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    listed = clips.dropna(subset=["metadata_row"]).sort_values("metadata_row")
    assert list(listed["metadata_row"]) == list(range(1, len(rows) + 1))
    for column in ("subject", "filename", "emotion", "apex_frame"):
        assert list(listed[f"metadata_{column}"]) == [row[column] for row in rows]
    videos = {p.relative_to(demo).as_posix() for p in demo.rglob("*.mp4")}
    assert sorted(clips["path"].dropna()) == sorted(videos)


def test_planted_defects_get_their_status(clips: pd.DataFrame, truth: pd.DataFrame) -> None:
    key = ["subject", "emotion", "filename"]
    both = truth.merge(clips, on=key, how="left", validate="one_to_one")
    assert set(DEFECTS) <= set(both["defect"].dropna())
    for row in both.itertuples():
        assert row.status == DEFECTS.get(row.defect, "ok"), row
    faulty = both[both["status"] != "ok"]
    assert (faulty["reason"].str.len() > 10).all()
    assert (both[both["status"] == "ok"]["reason"] == "").all()


def test_apex_slot_is_the_annotated_apex(demo_run: Project, clips: pd.DataFrame) -> None:
    phase = pd.read_parquet(demo_run.results / "samples" / "phase11")
    apex = clips.set_index("clip_id")["apex_frame"]
    middle = phase[(phase["slot"] == 5) & (phase["apex_source"] == "annotated")]
    assert len(middle) == (clips["status"].eq("ok") & clips["apex_frame"].notna()).sum()
    assert (middle["frame_index"] == middle["clip_id"].map(apex)).all()
    assert (middle["offset_from_apex"] == 0).all()
    assert middle["image"].notna().all()


def test_clips_without_expression_are_sampled_around_their_middle(
    demo_run: Project, clips: pd.DataFrame
) -> None:
    phase = pd.read_parquet(demo_run.results / "samples" / "phase11")
    calm = phase[phase["emotion"] == "No_Emotion"]
    assert set(calm["apex_source"]) == {"middle"}
    assert calm["emotion_3class"].isna().all()
    expected = clips[(clips["emotion"] == "No_Emotion") & (clips["status"] == "ok")]
    assert set(calm["clip_id"]) == set(expected["clip_id"])


def test_a_clip_with_a_faulty_apex_is_extracted_and_not_sampled(
    demo_run: Project, manifests: pd.DataFrame
) -> None:
    faulty = manifests[manifests["status"].isin(["apex_out_of_range", "apex_missing"])]
    assert len(faulty) == 2
    assert (faulty["n_written"] == faulty["n_frames"]).all()
    for scheme in ("phase11", "window5", "keyframes"):
        samples = pd.read_parquet(demo_run.results / "samples" / scheme)
        assert not set(samples["clip_id"]) & set(faulty["clip_id"])


def test_every_frame_of_every_clip_is_written(manifests: pd.DataFrame) -> None:
    processed = manifests[manifests["processed"]]
    assert (processed["n_detected"] == processed["n_frames"]).all()
    assert (processed["n_written"] == processed["n_frames"]).all()
    assert len(processed) >= 16


def alignments(project: Project) -> dict[tuple[str, str, str], np.ndarray]:
    """Return the matrices of every clip, source to crop pixel."""
    found = {}
    for path in sorted((project.results / "alignment").glob("*.parquet")):
        for _, rows in iterate_clips(path):
            key = tuple(rows[name][0].as_py() for name in ("subject", "emotion", "filename"))
            found[key] = to_array(rows["matrix"], (2, 3))
    return found


def test_alignment_removes_head_motion(demo: Path, demo_run: Project) -> None:
    truth = load_truth(demo)
    scores = np.array(
        [score_alignment(matrix, truth[key]) for key, matrix in alignments(demo_run).items()]
    )
    unaligned = np.repeat(np.eye(2, 3)[None], 60, axis=0)
    moved = [score_alignment(unaligned[: truth[k].n_frames], truth[k])[0] for k in truth]
    assert np.median(scores[:, 0]) < 0.2 * np.median(moved)
    assert scores[:, 0].max() < 1.5  # drift, px
    assert scores[:, 1].max() < 0.8  # jitter, px


def test_alignment_keeps_the_expression(demo: Path, demo_run: Project) -> None:
    truth = load_truth(demo)
    kept = [
        kept_amplitude(matrix, truth[key])
        for key, matrix in alignments(demo_run).items()
        if truth[key].expression is not None
    ]
    assert abs(np.median(kept) - 1) < 0.2

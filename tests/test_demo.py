"""The demo data set through the whole workflow: known defects, known truth."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmedprep.tables import iterate_clips, to_array
from tests.conftest import Project
from tests.makers.alignment_scores import best_similarity, kept_amplitude, score_alignment
from tests.makers.make_demo import load_truth

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


@pytest.fixture(scope="module")
def scored(demo: Path, demo_run: Project) -> pd.DataFrame:
    """What truth says of each clip's alignment, beside the best that any similarity can do."""
    truth = load_truth(demo)
    rows = []
    for key, matrix in alignments(demo_run).items():
        best = best_similarity(truth[key])
        expressive = truth[key].expression is not None
        rows.append(
            (
                *key,
                *score_alignment(matrix, truth[key]),
                *score_alignment(best, truth[key]),
                kept_amplitude(matrix, truth[key]) if expressive else np.nan,
            )
        )
    columns = ["subject", "emotion", "filename", "drift", "jitter", "best_drift", "best_jitter"]
    return pd.DataFrame(rows, columns=[*columns, "kept"])


def test_alignment_is_nearly_the_best_similarity_there_is(scored: pd.DataFrame) -> None:
    assert len(scored) >= 16
    assert (scored["drift"] <= 1.15 * scored["best_drift"] + 0.05).all()
    assert (scored["jitter"] <= 1.15 * scored["best_jitter"] + 0.05).all()


def test_alignment_keeps_the_expression(scored: pd.DataFrame) -> None:
    # On average; a single clip's ratio also holds what error of the alignment lies along its
    # expression, which on a turning head is up to a third of a pixel at the mouth.
    assert abs(scored["kept"].mean() - 1) < 0.05
    assert scored["kept"].dropna().between(0.65, 1.35).all()


def test_manifests_certify_the_alignment(manifests: pd.DataFrame, scored: pd.DataFrame) -> None:
    aligned = manifests[manifests["processed"]]
    assert (aligned["n_stabilised"] == aligned["n_written"]).all()
    assert set(aligned["grade"]) <= {"A", "B"}
    known = aligned.merge(scored, on=["subject", "emotion", "filename"])
    assert len(known) == len(scored)
    for name in ("drift", "jitter"):
        told, true = known[f"residual_{name}_px"], known[name]
        assert (told - true).abs().mean() < 0.2 * true.mean()
        assert told.between(0.75 * true - 0.02, 1.25 * true + 0.04).all()
    deserved = (known["drift"] < 0.7) & (known["jitter"] < 0.22)
    assert deserved.sum() > 6
    assert (known.loc[deserved, "grade"] == "A").all()
    assert (aligned["residual_jitter_px"] < 0.6 * aligned["landmark_jitter_px"]).all()
    assert manifests[~manifests["processed"]]["grade"].isna().all()


def test_the_apex_of_the_motion_is_the_true_one(manifests: pd.DataFrame, demo: Path) -> None:
    truth = pd.read_parquet(demo / "truth" / "clips.parquet").dropna(subset=["apex_frame"])
    keys = ["subject", "emotion", "filename"]
    processed = manifests[manifests["processed"]]  # all but the stray one
    spotted = truth.merge(processed, on=keys, suffixes=("_true", ""))
    distance = (spotted["motion_apex_frame"] - spotted["apex_frame_true"]).abs()
    assert len(distance) == 14
    assert (distance <= 1).mean() >= 0.95
    assert distance.mean() < 0.75
    # The label check: the annotation less the truth is nothing, so this is the same.
    annotated = spotted[spotted["apex_source"] == "annotated"]
    assert annotated["motion_apex_distance"].abs().max() <= 1


def test_clips_without_expression_have_no_sure_apex(manifests: pd.DataFrame) -> None:
    calm = manifests[manifests["processed"] & (manifests["emotion"] == "No_Emotion")]
    assert len(calm) >= 3
    assert (calm["motion_snr"].fillna(0) < 8).all()


def test_no_frame_of_the_demo_is_taken_for_a_repeat(manifests: pd.DataFrame) -> None:
    assert (manifests.loc[manifests["processed"], "n_repeats"] == 0).all()

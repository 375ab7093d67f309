"""Images inside tables are the same images; and what is off by default works together."""

import shutil
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from cmedprep.images import decode
from cmedprep.tables import read_provenance
from tests.conftest import Project

METADATA = "video_emotion_metadata.csv"
SCHEMES = [
    {"name": "uniform4", "method": "uniform", "slots": 4, "frames": "distinct"},
    {"name": "tim5", "method": "tim", "slots": 5, "spacing": "phase"},
]
BLANK = "Subject_01/Happy/vid1"


def read(project: Project, table: str) -> pd.DataFrame:
    return pd.read_parquet(project.results / table)


@pytest.fixture(scope="module")
def outside(
    finished_tiny: Project, tiny_set: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """A finished run with all that is off by default; one clip has no annotated apex."""
    folder = tmp_path_factory.mktemp("outside")
    shutil.copytree(finished_tiny.folder, folder, dirs_exist_ok=True)
    path = folder / "CMED" / METADATA
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    first = (table["subject"] == "Subject_01") & (table["filename"] == "vid1.mp4")
    table.loc[first, "apex_frame"] = ""
    table.to_csv(path, index=False)
    config: dict[str, Any] = {
        "dataset": {"root": "CMED"},
        "apex": {"missing": "motion"},
        "sampling": {"schemes": SCHEMES, "without_apex": "motion"},
        "motion": {"methods": ["dis", "farneback"]},
        "splits": {"folds": 2, "seeds": [3, 1]},
    }
    project = Project(folder, config)
    project.succeed()
    return project


@pytest.fixture(scope="module")
def inside(outside: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same results after images have moved into the tables."""
    folder = tmp_path_factory.mktemp("inside")
    shutil.copytree(outside.folder, folder, dirs_exist_ok=True)
    project = Project(folder, outside.config | {"images": "parquet"})
    run = project.succeed()
    assert run.jobs["extract_frames Subject_01"] == 1
    assert not run.jobs["align_faces Subject_01"]
    assert project.succeed().idle
    return project


# --- images inside tables --------------------------------------------------------------------


def test_no_image_file_is_left(outside: Project, inside: Project) -> None:
    assert [path for path in outside.digests() if path.endswith(".png")]
    assert {Path(path).suffix for path in inside.digests()} == {".parquet", ".html"}


@pytest.mark.parametrize("table", ["frames", "samples/tim5"])
def test_bytes_and_pixels_are_the_same(outside: Project, inside: Project, table: str) -> None:
    before, after = read(outside, table), read(inside, table)
    assert "encoded" not in before
    assert before.equals(after.drop(columns="encoded"))
    for place, encoded in zip(before["image"], after["encoded"], strict=True):
        assert encoded["path"] == place
        assert encoded["bytes"] == (outside.results / place).read_bytes()


def test_manifests_are_the_same(outside: Project, inside: Project) -> None:
    for subject in ("Subject_01", "Subject_02"):
        before, after = (
            pq.read_table(project.results / "manifests" / f"{subject}.parquet")
            for project in (outside, inside)
        )
        assert before.equals(after)


def test_hugging_face_decodes_them_by_itself(
    inside: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    files = [str(path) for path in sorted((inside.results / "frames").glob("*.parquet"))]
    loaded = datasets.load_dataset(
        "parquet", data_files=files, split="train", cache_dir=str(tmp_path)
    )
    assert isinstance(loaded.features["encoded"], datasets.Image)
    frames = read(inside, "frames")
    for row in (0, len(frames) - 1):
        expected = decode(frames["encoded"][row]["bytes"])
        assert np.array_equal(np.asarray(loaded[row]["encoded"]), expected)


def test_a_subject_whose_images_are_inside_is_recomputed_and_identical(inside: Project) -> None:
    inside.succeed("--", "results/verify/Subject_01.verified")
    verified = read(inside, "verify/Subject_01.parquet")
    assert set(verified["verdict"]) == {"identical"}
    assert set(verified["motion"]) == set(verified["expression"]) == {"identical"}


# --- apexes from motion ----------------------------------------------------------------------


def test_a_clip_without_annotation_is_sampled_around_its_motion(outside: Project) -> None:
    manifest = read(outside, "manifests").set_index("clip_id").loc[BLANK]
    assert (manifest["status"], manifest["apex_source"]) == ("ok", "motion")
    assert np.isnan(manifest["apex_frame"])
    samples = read(outside, "samples/tim5").query(f"clip_id == '{BLANK}'")
    assert set(samples["apex_source"]) == {"motion"}
    assert samples.set_index("slot").loc[2, "frame_index"] == manifest["motion_apex_frame"]


def test_the_distance_to_the_annotation_is_in_the_manifest(outside: Project) -> None:
    manifests = read(outside, "manifests")
    annotated = manifests[manifests["apex_source"] == "annotated"]
    expected = annotated["motion_apex_frame"] - annotated["apex_frame"]
    assert len(annotated) == 1
    assert annotated["motion_apex_distance"].equals(expected.astype("float64"))
    others = manifests[manifests["apex_source"] != "annotated"]
    assert others["motion_apex_distance"].isna().all()


def test_the_motion_apex_is_where_the_curve_is_greatest(outside: Project) -> None:
    expression = read(outside, "expression")
    for _, rows in expression.groupby("clip_id"):
        apex = rows[rows["motion_apex"]]
        assert len(apex) <= 1
        if not len(apex):
            assert rows["motion_peak_px"].isna().all()
            continue
        assert apex["motion_smooth_px"].item() == rows["motion_smooth_px"].max()


# --- motion ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["dis", "farneback"])
def test_flow_is_an_array_in_one_line(outside: Project, method: str) -> None:
    motion = read(outside, f"motion/{method}")
    flow = np.stack(motion["flow"]).reshape(-1, *motion["shape"][0])
    strain = np.stack(motion["strain"]).reshape(-1, *motion["shape"][0][:2])
    assert flow.shape == (4, 224, 224, 2)
    assert strain.shape == (4, 224, 224)
    assert flow.dtype == strain.dtype == np.float16
    length = np.linalg.norm(flow.astype(float), axis=-1)
    # The greatest in the face, and so in the part around its middle, and at most in the crop.
    assert (length[:, 60:180, 70:154].max(axis=(1, 2)) <= motion["max_px"] * 1.01).all()
    assert (motion["max_px"] <= length.max(axis=(1, 2)) * 1.01).all()
    assert (motion["mean_px"] > 0).all()
    assert set(motion["reason"]) == {""}


def test_the_metadata_says_what_strain_is(outside: Project) -> None:
    made = read_provenance(outside.results / "motion" / "dis" / "Subject_01.parquet")
    assert "sqrt" in made["strain"]
    assert made["parameters"]["motion"] == {"method": "dis", "without_apex": "motion"}


# --- splits ----------------------------------------------------------------------------------


def test_splits_have_every_seed_and_no_subject_on_both_sides(outside: Project) -> None:
    split = read(outside, "splits/repeated_emotion.parquet")
    assert set(split["seed"]) == {1, 3}
    assert set(read(outside, "splits/kfold_emotion.parquet")["seed"]) == {3}
    assert (split.groupby(["seed", "subject"])["fold"].nunique() == 1).all()
    made = read_provenance(outside.results / "splits" / "kfold_emotion.parquet")
    assert made["split"]["folds_made"] == 2
    alone = read(outside, "splits/loso_emotion.parquet")
    assert alone.groupby("fold")["subject"].nunique().tolist() == [1, 1]

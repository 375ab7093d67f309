"""The workflow on real clips, where they are at hand beside the repository."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmedprep.geometry import Template, apply
from cmedprep.landmarks import eye_centres
from cmedprep.tables import iterate_clips, to_array
from tests.conftest import REAL_VIDEOS, Project

pytestmark = pytest.mark.skipif(
    not REAL_VIDEOS.is_dir(), reason="the folder of real clips is not beside the repository"
)

# Too long for every test run: mpf_new_face_video-90.mp4, 511 frames of three people.
STATUS = {
    "empty_0bytes.mp4": "unreadable_video",
    "grid_bbaf2n.mpg": "ok",
    "grid_lbax4n.mpg": "ok",
    "grid_swiz3n_av1.mp4": "ok",
    "intel_sister.mkv": "ok",
    "mpf_video_01.mp4": "ok",  # its faces are too small for the mesh alone
    "not_a_video.mp4": "unreadable_video",
    "pyfeat_face_noface.mov": "ok",
    "pyfeat_no_face.mp4": "no_face",
    "pyfeat_single_face.mp4": "ok",
    "pyfeat_single_face_1frame.mp4": "apex_out_of_range",
    "pyfeat_single_face_rot270meta.mp4": "ok",
    "pyfeat_single_face_truncated60pct_faststart.mp4": "truncated_video",
    "pyfeat_single_face_vfr.mp4": "ok",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run on a tree of the real clips, each a row with apex 10."""
    folder = tmp_path_factory.mktemp("real")
    rows = []
    for number, name in enumerate(STATUS):
        subject = f"Subject_{number % 3 + 1:02d}"
        target = folder / "CMED" / "FinalFullVideos_subjects" / "Happy" / subject
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(REAL_VIDEOS / name, target)
        rows.append((subject, name, "Happy", 10))
    with open(folder / "CMED" / "video_emotion_metadata.csv", "w", newline="") as file:
        csv.writer(file).writerows([("Subject", "Filename", "Emotion", "Apex Frame"), *rows])
    project = Project(folder, {"dataset": {"root": "CMED"}})
    project.succeed()
    return project


def test_every_clip_is_whole_or_has_its_reason(run: Project) -> None:
    manifests = pd.read_parquet(run.results / "manifests").set_index("filename")
    assert manifests["status"].to_dict() == STATUS
    assert (manifests.loc[manifests["status"] != "ok", "reason"].str.len() > 10).all()
    whole = manifests[manifests["processed"] & (manifests["status"] != "no_face")]
    for name, clip in whole.iterrows():
        images = run.results / "images" / clip["clip_id"]
        assert len(list(images.iterdir())) == clip["n_written"], name
        expected = 72 if name == "pyfeat_face_noface.mov" else clip["n_frames"]
        assert clip["n_written"] >= 0.95 * expected, name


def test_decoded_frames_are_counted_whatever_the_header_says(run: Project) -> None:
    clips = pd.read_parquet(run.results / "clips.parquet").set_index("filename")["n_frames"]
    assert clips["grid_swiz3n_av1.mp4"] == 75
    assert clips["pyfeat_no_face.mp4"] == 95
    assert clips["intel_sister.mkv"] == 87


def test_eyes_of_every_frame_lie_on_the_template(run: Project) -> None:
    template = Template()
    seen = 0
    for path in sorted((run.results / "faces").glob("*.parquet")):
        aligned = dict(iterate_clips(Path(str(path).replace("/faces/", "/alignment/"))))
        for clip_id, faces in iterate_clips(path):
            landmarks = to_array(faces["landmarks"], (-1, 3))
            matrix = to_array(aligned[clip_id]["matrix"], (2, 3))
            offset = apply(matrix, eye_centres(landmarks)) - template.eyes
            known = ~np.isnan(offset[:, 0, 0])
            seen += known.sum()
            if not known.any():
                continue
            assert np.abs(offset[known].mean(axis=(0, 1))).max() < 3, clip_id
            assert np.abs(offset[known]).max() < 15, clip_id
    assert seen > 500

"""Head pose agrees with the motion that made the clip."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cmedprep.pose import head_pose
from tests.conftest import Project


def turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return landmarks (478, 3) of an upright frontal face, turned by angles in degrees."""
    points = np.random.default_rng(0).normal(0, 40, (478, 3))
    for right, left in ((33, 263), (127, 356), (234, 454), (93, 323)):
        points[right] = [-(points[right, 0] ** 2) / 40 - 20, points[right, 1], points[right, 2]]
        points[left] = points[right] * [-1, 1, 1]
    points[10], points[152] = [0, -90, 0], [0, 90, 0]
    (cy, sy), (cp, sp), (cr, sr) = ((np.cos(a), np.sin(a)) for a in np.radians([yaw, pitch, roll]))
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return points @ (about_z @ about_y @ about_x).T + [320, 240, 0]


@pytest.mark.parametrize(
    "angles", [(0, 0, 0), (12, 0, 0), (0, -9, 0), (0, 0, 20), (-15, 7, -4), (5, 5, 5)]
)
def test_known_angles_are_found(angles: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(head_pose(turned(*angles)), angles, atol=1e-9)


def test_a_face_turned_to_the_images_right_has_positive_yaw() -> None:
    face = turned(10, 0, 0)
    assert face[263, 2] > face[33, 2]  # its left eye, on the right, is farther away


def test_no_landmarks_no_pose() -> None:
    assert np.isnan(head_pose(np.full((2, 478, 3), np.nan))).all()


def test_changes_follow_the_truth_of_the_demo(demo: Path, demo_run: Project) -> None:
    key = ["subject", "emotion", "filename", "frame_index"]
    truth = pd.read_parquet(demo / "truth" / "frames.parquet")
    found = pd.read_parquet(demo_run.results / "alignment").merge(truth, on=key)
    assert len(found) > 300
    # Truth counts pitch upwards.
    for measured, true, sign in (
        ("yaw_deg", "yaw", 1),
        ("pitch_deg", "pitch", -1),
        ("roll_deg", "roll", 1),
    ):
        means = found.groupby("clip_id")[[measured, true]].transform("mean")
        steady = found[[measured, true]] - means
        correlation = np.corrcoef(steady[measured], steady[true])[0, 1]
        assert sign * correlation > 0.8, (measured, correlation)

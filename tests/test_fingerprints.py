"""Fingerprints tell how far results are apart, in little room and without a face."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmedprep.fingerprints import (
    N_FRAMES,
    _signs,
    displacement,
    fingerprint_frames,
    landmark_distance,
    project,
    psnr,
)
from cmedprep.schemas import FINGERPRINT, MANIFEST
from tests.conftest import Project

SHAPE = (224, 224, 3)
PROJECTIONS = [1386, -694, -832, -1780]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300, unique=True).map(sorted))
def test_frames_are_few_ordered_and_hold_both_ends(written: list[int]) -> None:
    chosen = fingerprint_frames(written)
    assert len(chosen) == min(len(written), N_FRAMES)
    assert chosen == sorted(set(chosen))
    assert chosen[0] == written[0]
    if len(written) > 1:
        assert chosen[-1] == written[-1]


def test_no_frame_has_no_fingerprint() -> None:
    assert fingerprint_frames([]) == []


def test_projections_are_the_same_for_ever() -> None:
    # Whoever changes these makes all published manifests incomparable.
    image = (np.arange(8 * 8 * 3) % 251).astype(np.uint8).reshape(8, 8, 3)
    assert project(image)[:4].tolist() == PROJECTIONS
    assert project(np.zeros(SHAPE, np.uint8)).tolist() == [0] * 32


@pytest.mark.parametrize("size", [5, 224, 400])
def test_projections_are_exact(size: int) -> None:
    image = np.random.default_rng(size).integers(200, 256, (size, size, 3)).astype(np.uint8)
    image[0] = 255
    signs = _signs(image.size).astype(np.int64) * 2 - 1
    assert project(image).tolist() == (signs @ image.ravel().astype(np.int64)).tolist()


def test_projections_fit_their_column() -> None:
    assert np.abs(project(np.full((2048, 2048, 3), 255, np.uint8))).max() < 2**31


@pytest.mark.parametrize("sigma", [0.05, 1.0, 5.0])
def test_psnr_is_that_of_the_images(sigma: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(40, 210, SHAPE).astype(np.uint8)
    other = np.round(image + rng.normal(0, sigma, SHAPE)).astype(np.uint8)
    if sigma < 0.1:  # twenty values of 150,000 differ by one, as with another CPU
        other = image.copy()
        other.reshape(-1)[rng.choice(image.size, 20, replace=False)] += 1
    truth = 10 * np.log10(255**2 / np.square(image.astype(float) - other).mean())
    estimate = psnr(project(image).tolist(), project(other).tolist(), image.size)
    assert estimate == pytest.approx(truth, abs=3)


def test_equal_images_have_no_difference() -> None:
    image = np.random.default_rng(0).integers(0, 255, SHAPE).astype(np.uint8)
    assert psnr(project(image).tolist(), project(image).tolist(), image.size) == float("inf")


def test_displacement_is_that_of_the_crops_corners() -> None:
    one = {"matrix": [2.0, 0.0, -50.0, 0.0, 2.0, -30.0]}
    shifted = {"matrix": [2.0, 0.0, -49.7, 0.0, 2.0, -30.4]}
    assert displacement(one, shifted, 224) == pytest.approx(0.5)
    assert displacement(one, one, 224) == 0
    larger = {"matrix": [2.002, 0.0, -50.0, 0.0, 2.002, -30.0]}
    assert displacement(one, larger, 224) == pytest.approx(np.hypot(273, 253) * 0.001)


def test_landmark_distance_is_the_largest() -> None:
    points = np.zeros(16)
    moved = points.copy()
    moved[4:6] = 0.3, 0.4
    assert landmark_distance({"landmarks": points}, {"landmarks": moved}) == pytest.approx(0.5)
    assert np.isnan(landmark_distance({"landmarks": None}, {"landmarks": moved}))
    assert landmark_distance({"landmarks": None}, {"landmarks": None}) == 0


def test_fingerprints_of_a_clip_take_less_than_two_kilobytes() -> None:
    one = {
        "frame_index": 1,
        "landmarks": [1.0] * 16,
        "matrix": [1.0] * 6,
        "projections": [1] * 32,
    }
    assert pa.array([one] * N_FRAMES, FINGERPRINT).nbytes < 2000


def test_every_processed_clip_has_them_in_its_manifest(finished_tiny: Project) -> None:
    for path in (finished_tiny.results / "manifests").glob("*.parquet"):
        for row in pq.read_table(path, schema=MANIFEST).to_pylist():
            assert row["crop_px"] == 224
            assert [f["frame_index"] for f in row["fingerprints"]] == list(range(6))
            assert all(f["landmarks"] for f in row["fingerprints"])

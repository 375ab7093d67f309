"""Flow follows skin by fractions of a pixel, strain is that of the formula, tables keep both."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cmedprep.flow import (
    METHODS,
    face_mask,
    flow_between,
    optical_strain,
    remove_rigid,
    template_of_crop,
)
from cmedprep.geometry import Template, apply, from_complex, resize
from cmedprep.tables import digest_rows, fixed_list, to_array
from tests.makers.flow_pairs import Pair, end_point_error, landmarks_in_crop, make_pair
from tests.makers.synthetic_face import PULLS, Portrait, make_portrait

SIZE = 224
PIXELS = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), axis=-1).astype(float)
TEMPLATE = Template()

# Of a smile of 1 px: 0.15, 0.13 and 0.12 px, and 0.80, 0.87 and 0.83 of the motion are found.
MOST_ERROR_PX = {"tvl1": 0.2, "farneback": 0.18, "dis": 0.16}
LEAST_KEPT = {"tvl1": 0.75, "farneback": 0.8, "dis": 0.78}


@pytest.fixture(scope="module")
def portrait() -> Portrait:
    return make_portrait()


@pytest.fixture(scope="module")
def smile(portrait: Portrait) -> Pair:
    """A smile of 1 px in the noise of a webcam."""
    return make_pair(portrait, "Happy", 1.0, noise_sigma=1.5)


@pytest.fixture(scope="module")
def mesh(smile: Pair) -> np.ndarray:
    """A face's landmarks in its crop."""
    return smile.landmarks


def texture(points: np.ndarray) -> np.ndarray:
    """Evaluate a picture of waves of 6 to 60 px at any points (..., 2), RGB uint8."""
    rng = np.random.default_rng(0)
    grey = np.full(points.shape[:-1], 128.0)
    for length in np.geomspace(6, 60, 40):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        way = points @ np.array([np.cos(angle), np.sin(angle)])
        grey += 9 * np.sin(2 * np.pi * way / length + phase)
    return np.repeat(np.clip(np.rint(grey), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


# --- flow -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [(0.3, 0.0), (-0.2, 0.5), (2.0, -1.5)])
def test_a_shift_is_found_to_a_fraction_of_a_pixel(method: str, shift: tuple[float, float]) -> None:
    """What was at p in the onset is at p + shift in the apex: right and down are positive."""
    flow = flow_between(texture(PIXELS), texture(PIXELS - shift), method)
    assert flow.shape == (SIZE, SIZE, 2)
    assert flow.dtype == np.float32
    inside = flow[20:-20, 20:-20]
    assert np.hypot(*(inside - shift).reshape(-1, 2).T).mean() < 0.06
    assert np.abs(np.median(inside, axis=(0, 1)) - shift).max() < 0.02


@pytest.mark.parametrize("method", METHODS)
def test_a_smile_of_a_pixel_is_found(method: str, smile: Pair) -> None:
    flow = flow_between(smile.onset, smile.apex, method)
    true, moved = smile.expression, smile.moved
    kept = (flow * true)[moved].sum() / np.square(true[moved]).sum()
    assert end_point_error(flow, smile.flow, moved) < MOST_ERROR_PX[method]
    assert kept > LEAST_KEPT[method]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("light", [{"gain": 0.8}, {"offset": 20.0}])
def test_a_change_of_light_is_no_motion(
    method: str, light: dict[str, float], portrait: Portrait, smile: Pair
) -> None:
    pair = make_pair(portrait, "Happy", 1.0, noise_sigma=1.5, **light)
    steady = flow_between(smile.onset, smile.apex, method)
    changed = flow_between(pair.onset, pair.apex, method)
    assert end_point_error(changed, steady, pair.face) < 0.08


@pytest.mark.parametrize("method", METHODS)
def test_equal_crops_have_no_flow(method: str, smile: Pair) -> None:
    """OpenCV's Farneback finds 0.5 px where the crop ends."""
    assert np.abs(flow_between(smile.onset, smile.onset, method)).max() < 1e-4
    black = np.zeros((64, 64, 3), np.uint8)
    assert not flow_between(black, black, method).any()


@pytest.mark.parametrize("method", METHODS)
def test_flow_is_the_same_each_time_and_with_any_number_of_threads(
    method: str, smile: Pair
) -> None:
    before = cv2.getNumThreads()
    found = []
    try:
        for threads in (1, 4, 1):
            cv2.setNumThreads(threads)
            found.append(flow_between(smile.onset, smile.apex, method).tobytes())
    finally:
        cv2.setNumThreads(before)
    assert len(set(found)) == 1


@pytest.mark.parametrize("method", METHODS)
def test_the_smallest_crop_that_the_config_allows_has_a_flow(method: str) -> None:
    small = PIXELS[:32, :32]
    assert np.isfinite(flow_between(texture(small), texture(small - 0.5), method)).all()


def test_what_cannot_be_measured_is_named() -> None:
    crop = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(ValueError, match="'raft', expected one of tvl1, farneback, dis"):
        flow_between(crop, crop, "raft")
    with pytest.raises(ValueError, match="expected two crops of one size"):
        flow_between(crop, crop[:16], "dis")


# --- the motion of the head -------------------------------------------------------------------


def similarity(shift: complex, degrees: float, scale: float) -> np.ndarray:
    """Return the similarity that turns and scales about the crop's centre and then shifts."""
    a, centre = scale * np.exp(1j * np.radians(degrees)), complex(SIZE / 2, SIZE / 2)
    return from_complex(np.array(a), np.array(centre - a * centre + shift))


@pytest.mark.parametrize("with_landmarks", [True, False])
@given(
    shift=st.complex_numbers(max_magnitude=3),
    degrees=st.floats(-2, 2),
    scale=st.floats(0.97, 1.03),
)
@settings(max_examples=10, deadline=None)
def test_a_similarity_is_removed(
    mesh: np.ndarray, with_landmarks: bool, shift: complex, degrees: float, scale: float
) -> None:
    flow = apply(similarity(shift, degrees, scale), PIXELS) - PIXELS
    left = remove_rigid(flow, mesh if with_landmarks else None, TEMPLATE)
    assert left.dtype == np.float32
    assert np.abs(left).max() < 1e-4


@pytest.mark.parametrize("with_landmarks", [True, False])
def test_a_wrong_alignment_is_removed_and_the_expression_stays(
    portrait: Portrait, with_landmarks: bool
) -> None:
    """On the true flow, so that nothing but the removal can be wrong."""
    wrong = similarity(0.4 - 0.3j, 0.3, 1.004)
    pair = make_pair(portrait, "Surprise", 2.0, misalignment=wrong)
    assert end_point_error(pair.flow, pair.expression, pair.face) > 0.5
    left = remove_rigid(pair.flow, pair.landmarks if with_landmarks else None, TEMPLATE)
    assert end_point_error(left, pair.expression, pair.face) < 0.06


@pytest.mark.parametrize("pose", [(3.0, 0.0, 0.0), (0.0, -3.0, 0.0), (2.0, 2.0, 1.0)])
def test_the_parallax_of_a_turning_head_is_removed_and_the_expression_stays(
    portrait: Portrait, pose: tuple[float, float, float]
) -> None:
    """The alignment, a similarity, leaves a pixel of it, which no similarity can take out."""
    pair = make_pair(portrait, "Happy", 1.5, pose=pose)
    left = remove_rigid(pair.flow, pair.landmarks, TEMPLATE)
    assert end_point_error(pair.flow, pair.expression, pair.face) > 0.9
    assert end_point_error(left, pair.expression, pair.face) < 0.2
    kept = (left * pair.expression)[pair.moved].sum() / np.square(pair.expression[pair.moved]).sum()
    assert 0.85 < kept < 1.15


@pytest.mark.parametrize("emotion", sorted(PULLS))
def test_no_expression_passes_for_the_head(portrait: Portrait, emotion: str) -> None:
    pair = make_pair(portrait, emotion, 3.0, closure=0.3)
    left = remove_rigid(pair.flow, pair.landmarks, TEMPLATE)
    assert end_point_error(left, pair.expression, pair.face) < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_a_head_that_turns_is_removed_from_a_measured_flow(method: str, portrait: Portrait) -> None:
    pair = make_pair(portrait, None, noise_sigma=1.0, pose=(2.0, 1.0, 0.0))
    left = remove_rigid(flow_between(pair.onset, pair.apex, method), pair.landmarks, TEMPLATE)
    assert end_point_error(pair.flow, pair.expression, pair.face) > 0.8
    assert end_point_error(left, pair.expression, pair.face) < 0.25


def test_a_crop_of_another_size_has_its_own_template(portrait: Portrait) -> None:
    pair = make_pair(portrait, "Happy", 1.5, pose=(2.0, 0.0, 0.0))
    left = remove_rigid(pair.flow, pair.landmarks, TEMPLATE)
    half = template_of_crop(TEMPLATE, 112)
    assert (half.size, half.inter_ocular, half.eye_midpoint) == (112, 45.0, (55.75, 44.75))
    # A pixel of the half is the mean of four.
    flow = cv2.resize(pair.flow, (112, 112), interpolation=cv2.INTER_AREA) / 2
    mesh = landmarks_in_crop(pair.landmarks, resize(224, 112))
    assert np.allclose(mesh[:, 2], pair.landmarks[:, 2] / 2)
    small = remove_rigid(flow, mesh, half)
    face = pair.face[::2, ::2]
    large = cv2.resize(left, (112, 112), interpolation=cv2.INTER_AREA) / 2
    assert end_point_error(small, large, face) < 0.05


def test_a_mesh_outside_the_crop_counts_as_none(mesh: np.ndarray) -> None:
    flow = apply(similarity(0.5 + 0.2j, 0.2, 1.0), PIXELS) - PIXELS
    away = mesh + np.array([2000.0, 0.0, 0.0])
    expected = remove_rigid(flow, None, TEMPLATE)
    assert np.array_equal(remove_rigid(flow, away, TEMPLATE), expected)


def test_the_face_is_marked_with_landmarks_and_without(smile: Pair) -> None:
    found = face_mask(smile.landmarks, TEMPLATE)
    typical = face_mask(None, TEMPLATE)
    for mask in (found, typical):
        assert mask.shape == (SIZE, SIZE)
        assert (mask & smile.face).sum() > 0.8 * (mask | smile.face).sum()


# --- strain -----------------------------------------------------------------------------------


@given(
    gradient=arrays.arrays(float, (2, 2), elements=st.floats(-0.1, 0.1)),
    shift=arrays.arrays(float, 2, elements=st.floats(-5, 5)),
)
@settings(max_examples=50, deadline=None)
def test_a_linear_deformation_has_the_strain_of_the_formula(
    gradient: np.ndarray, shift: np.ndarray
) -> None:
    """With flow G p + t it is the Frobenius norm of (G + G^T) / 2, up to the very edge."""
    for smoothing_px in (0.0, 3.0):
        strain = optical_strain(PIXELS[:40, :60] @ gradient.T + shift, smoothing_px)
        assert strain.shape == (40, 60)
        assert strain.dtype == np.float32
        assert np.allclose(strain, np.linalg.norm((gradient + gradient.T) / 2), atol=1e-6)


def test_stretch_shear_shift_and_turn() -> None:
    x, y = np.moveaxis(PIXELS, -1, 0)
    zero = np.zeros_like(x)
    flows = {
        "stretch": (0.02 * x, zero, 0.02),
        "both ways": (0.03 * x, 0.04 * y, 0.05),
        "shear": (0.02 * y, zero, 0.02 / np.sqrt(2)),
        "shift": (zero + 3.0, zero - 2.0, 0.0),
        "turn": (-0.01 * y, 0.01 * x, 0.0),
    }
    for name, (u, v, expected) in flows.items():
        strain = optical_strain(np.stack([u, v], axis=-1))
        assert np.allclose(strain, expected, atol=1e-6), name


@pytest.mark.parametrize("method", METHODS)
def test_strain_lies_where_the_skin_deforms_in_spite_of_noise(method: str, smile: Pair) -> None:
    """Without smoothing it is below 0.35 for all methods, and 0 for TV-L1."""
    found = optical_strain(flow_between(smile.onset, smile.apex, method))[smile.face]
    true = optical_strain(smile.flow)[smile.face]
    assert np.corrcoef(found, true)[0, 1] > (0.3 if method == "tvl1" else 0.45)


# --- how tables hold them ---------------------------------------------------------------------

H, W = 12, 10
FLOWS = np.random.default_rng(0).normal(size=(4, H, W, 2)).astype(np.float16)
PRESENT = np.array([True, False, True, True])


@pytest.fixture
def motion_table(tmp_path: Path) -> Path:
    """A table with four flows, of which the second could not be measured."""
    column = fixed_list(FLOWS, PRESENT, pa.list_(pa.float16(), H * W * 2))
    path = tmp_path / "motion.parquet"
    pq.write_table(pa.table({"clip_id": list("abcd"), "flow": column}), path, compression="zstd")
    return path


def by_pyarrow(path: Path) -> np.ndarray:
    return to_array(pq.read_table(path)["flow"], (H, W, 2))


def by_pandas(path: Path) -> np.ndarray:
    import pandas as pd

    flow = pd.read_parquet(path)["flow"]
    assert flow.isna().tolist() == [False, True, False, False]
    return np.stack(flow.dropna()).reshape(-1, H, W, 2)


def by_polars(path: Path) -> np.ndarray:
    import polars as pl

    flow = pl.read_parquet(path)["flow"]
    assert flow.is_null().to_list() == [False, True, False, False]
    return flow.drop_nulls().to_numpy().reshape(-1, H, W, 2)


def by_duckdb(path: Path) -> np.ndarray:
    import duckdb

    rows = duckdb.sql(f"select flow from '{path}' where flow is not null").fetchall()
    return np.array(rows, np.float16).reshape(-1, H, W, 2)


def by_datasets(path: Path) -> np.ndarray:
    os.environ["HF_HUB_OFFLINE"] = "1"
    import datasets

    table = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(path.parent / "cache")
    )
    flows = [row["flow"] for row in table]
    assert [flow is None for flow in flows] == [False, True, False, False]
    return np.array([flow for flow in flows if flow], np.float16).reshape(-1, H, W, 2)


@pytest.mark.parametrize("read", [by_pyarrow, by_pandas, by_polars, by_duckdb, by_datasets])
def test_every_reader_gets_the_same_flow_from_a_table(
    read: Callable[[Path], np.ndarray], motion_table: Path
) -> None:
    """As a fixed-size list of float16; null where there is none."""
    found: Any = read(motion_table)
    if len(found) == 4:
        assert np.isnan(found[1]).all()
        found = found[PRESENT]
    assert found.dtype == np.float16
    assert np.array_equal(found, FLOWS[PRESENT])


def test_a_tensor_column_goes_through_parquet_unchanged(tmp_path: Path) -> None:
    """Arrow's own tensor type: not what tables use, as `datasets` refuses to read it."""
    storage = pa.FixedSizeListArray.from_arrays(pa.array(FLOWS.reshape(-1)), H * W * 2)
    tensor = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float16(), (H, W, 2)), storage)
    path = tmp_path / "tensor.parquet"
    pq.write_table(pa.table({"flow": tensor}), path)
    found = pq.read_table(path)["flow"].combine_chunks().to_numpy_ndarray()
    assert np.array_equal(found, FLOWS)


def test_flows_have_a_digest(motion_table: Path) -> None:
    table = pq.read_table(motion_table)
    changed = FLOWS.copy()
    changed[3, 0, 0, 0] += 1
    column = fixed_list(changed, PRESENT, table["flow"].type)
    assert digest_rows(table) == digest_rows(pq.read_table(motion_table))
    assert digest_rows(table) != digest_rows(table.set_column(1, "flow", column))

"""A clip's row of motion: what lies between two of its images, or why nothing does."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cmedprep.apex_motion import measure_clip, motion_schema
from cmedprep.flow import face_mask, flow_between, optical_strain, remove_rigid
from cmedprep.geometry import Template
from cmedprep.images import open_store
from cmedprep.schemas import FACES, FRAMES
from tests.makers.flow_pairs import Pair, make_pair
from tests.makers.synthetic_face import make_portrait

KEYS = {"clip_id": "S1/Happy/a", "subject": "S1", "emotion": "Happy", "filename": "a.mp4"}
CROP = {"size": 224, "format": "png", "quality": 95}
SCALE = 2.0  # source pixels to image pixels


@pytest.fixture(scope="module")
def smile() -> Pair:
    return make_pair(make_portrait(), "Happy", 1.5, noise_sigma=1.0, pose=(2.0, 0.0, 0.0))


@pytest.fixture(scope="module")
def measure(smile: Pair, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Measure a clip of six frames, of which the third has the apex's picture, the others onset's.

    The fourth was bridged, the fifth has no image. From frame to frame the mesh and its place in
    the image move away.
    """
    results = tmp_path_factory.mktemp("results")
    pictures = {0: smile.onset, 1: smile.onset, 2: smile.apex, 3: smile.onset, 5: smile.onset}
    with open_store(results, "images/S1", CROP, "directory") as store:
        kept = {n: store.keep(f"S1/Happy/a/{n:06d}", image)[0] for n, image in pictures.items()}
    frames = [
        {**KEYS, "frame_index": n, "timestamp_s": n / 30, "width": 224, "height": 224}
        | {"matrix": [SCALE, 0, 9 * n, 0, SCALE, 0], "interpolated": n == 3}
        | {name: image[name] for name in ("image", "sha256", "pixels_sha256")}
        for n, image in kept.items()
    ]
    faces = [
        {**KEYS, "frame_index": n, "timestamp_s": n / 30, "detected": True, "n_faces": 1}
        | {"landmarks": None if n in (3, 4) else (smile.landmarks / SCALE + 20 * n).ravel()}
        for n in range(6)
    ]

    def measured(apex: int) -> dict[str, Any]:
        clip = {**KEYS, "emotion_3class": "positive"}
        tables = pa.Table.from_pylist(frames, FRAMES), pa.Table.from_pylist(faces, FACES)
        row = measure_clip(clip, (apex, "annotated"), *tables, results, Template(), "dis")
        [back] = pa.Table.from_pylist([row], motion_schema(224)).to_pylist()
        return dict(back)

    return measured


def test_flow_and_strain_are_those_of_the_face_from_onset_to_apex(
    measure: Any, smile: Pair
) -> None:
    row = measure(2)
    flow = flow_between(smile.onset, smile.apex, "dis")
    flow = remove_rigid(flow, smile.landmarks.astype(np.float32), Template())
    strain, face = optical_strain(flow), face_mask(smile.landmarks, Template())
    length = np.hypot(*np.moveaxis(flow, -1, 0))
    assert row["shape"] == [224, 224, 2]
    assert np.allclose(np.reshape(row["flow"], row["shape"]), flow, rtol=1e-3, atol=1e-4)
    assert np.allclose(np.reshape(row["strain"], row["shape"][:2]), strain, rtol=1e-3, atol=1e-6)
    assert row["mean_px"] == pytest.approx(length[face].mean(), rel=1e-4)
    assert row["max_px"] == pytest.approx(length[face].max(), rel=1e-4)
    assert row["mean_strain"] == pytest.approx(strain[face].mean(), rel=1e-4)
    assert (row["onset_frame"], row["apex_frame"], row["reason"]) == (0, 2, "")


def test_from_the_onset_to_itself_nothing_moves(measure: Any) -> None:
    row = measure(0)
    assert (row["max_px"], row["mean_strain"], row["reason"]) == (0.0, 0.0, "")


@pytest.mark.parametrize("apex", [3, 4])
def test_without_a_face_at_the_apex_there_is_a_reason_and_no_number(
    measure: Any, apex: int
) -> None:
    row = measure(apex)
    assert row["reason"] == f"the apex frame {apex} has no face"
    numbers = ("mean_px", "max_px", "mean_strain", "shape", "flow", "strain")
    assert {row[name] for name in numbers} == {None}

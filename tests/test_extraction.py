"""Frames are kept whatever there is to measure in them, and measured as they can be read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cmedprep.alignment import ClipFaces, align_by_first_frame, alignment_rows
from cmedprep.expression import crop_landmarks, spot_clip
from cmedprep.extraction import extract_clip
from cmedprep.geometry import Template
from cmedprep.images import ImageStore, open_store, read_images
from cmedprep.schemas import FACES
from cmedprep.tables import FRAME_KEY_NAMES, fixed_list, frame_keys, to_array
from cmedprep.video import Frame
from tests.makers import synthetic_face as maker

TEMPLATE, N, APEX = Template(), 16, 8
CLIP = {"clip_id": "S1/Happy/a", "subject": "S1", "emotion": "Happy", "filename": "a.mp4"}


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    """A face on the template that smiles."""
    portrait = maker.make_portrait(width=TEMPLATE.size, height=TEMPLATE.size)
    motion = maker.Motion.wander(N, seed=3, yaw=1.0, pitch=1.0, roll=0.1, scale=0.001, shift=0.1)
    truth = maker.ClipTruth(portrait.face, motion, maker.Expression("Happy", 1.5, APEX), None)
    images = maker.render_clip(portrait, truth, maker.Capture(noise_sigma=1.5))
    return [Frame(i, i / 30, image) for i, image in enumerate(images)]


@pytest.fixture(scope="module")
def mesh() -> np.ndarray:
    return maker.make_portrait(width=TEMPLATE.size, height=TEMPLATE.size).face.mesh


def tables(landmarks: np.ndarray) -> tuple[pa.Table, pa.Table]:
    """Return the clip's rows of `alignment` and `faces`."""
    seen = ~np.isnan(landmarks[:, 0, 0])
    columns = frame_keys(CLIP, np.arange(N), [i / 30 for i in range(N)]) | {
        "detected": seen,
        "n_faces": seen.astype(int),
        "detector": ["direct"] * N,
        "score": [1.0] * N,
        "box": fixed_list(np.ones((N, 4), np.float32), seen, FACES.field("box").type),
        "landmarks": fixed_list(landmarks, seen, FACES.field("landmarks").type),
    }
    faces = pa.table(columns, schema=FACES)

    def no_frames() -> Iterator[np.ndarray]:
        raise AssertionError("this method looks at no image")

    clip = ClipFaces(landmarks, no_frames)
    return alignment_rows(faces, clip, align_by_first_frame(clip, TEMPLATE)), faces


def crop_of(kind: str) -> dict[str, Any]:
    return {"size": TEMPLATE.size, "format": kind, "quality": 60}


@pytest.mark.parametrize("container", ["directory", "parquet"])
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_the_expression_is_that_of_the_images_as_they_are_read(
    frames: list[Frame], mesh: np.ndarray, kind: str, container: str, tmp_path: Path
) -> None:
    alignment, faces = tables(np.repeat(mesh[None], N, axis=0))
    crop = crop_of(kind)
    with open_store(tmp_path, "images/S1", crop, container) as store:
        written, spotted = extract_clip(
            alignment, faces, iter(frames), TEMPLATE, crop["size"], store
        )
    landmarks = crop_landmarks(
        to_array(faces["landmarks"], (-1, 3)), to_array(written["matrix"], (2, 3))
    )
    again = spot_clip(
        read_images(written, tmp_path), landmarks, written.select(FRAME_KEY_NAMES), TEMPLATE
    )
    assert spotted.equals(again)
    assert abs(spotted["motion_apex"].to_pylist().index(True) - APEX) <= 1


def test_frames_with_nothing_to_measure_are_kept_to_the_last(
    frames: list[Frame], mesh: np.ndarray
) -> None:
    landmarks = np.repeat(mesh[None], N, axis=0)
    alignment, _ = tables(landmarks)
    _, faces = tables(np.full_like(landmarks, np.nan))
    left = iter(frames)
    store = ImageStore("images/S1", crop_of("png"), None)
    written, spotted = extract_clip(alignment, faces, left, TEMPLATE, TEMPLATE.size, store)
    assert written["frame_index"].to_pylist() == spotted["frame_index"].to_pylist() == [*range(N)]
    assert spotted["motion_px"].null_count == N
    assert next(left, None) is None


def test_a_clip_without_any_face_is_read_to_its_end_and_has_no_rows(
    frames: list[Frame], mesh: np.ndarray
) -> None:
    left = iter(frames)
    nowhere = np.full((N, *mesh.shape), np.nan, np.float32)
    store = ImageStore("images/S1", crop_of("png"), None)
    written, spotted = extract_clip(*tables(nowhere), left, TEMPLATE, TEMPLATE.size, store)
    assert (written.num_rows, spotted.num_rows) == (0, 0)
    assert next(left, None) is None

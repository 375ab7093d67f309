"""MediaPipe behind its one module: where, how many, how sure, and no memory."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from cmedprep.faces import DistantFaces, FaceMesh, _points
from tests.makers.synthetic_face import ClipTruth, Motion, make_portrait, render_frame


@pytest.fixture(scope="module")
def finder() -> Iterator[FaceMesh]:
    with FaceMesh(min_confidence=0.5, max_faces=3) as finder:
        yield finder


def test_a_face_is_found_with_its_score_and_box(finder: FaceMesh, picture: np.ndarray) -> None:
    (face,) = finder.find(picture)
    assert face.landmarks.shape == (478, 3)
    assert face.landmarks.dtype == face.box.dtype == np.float32
    assert (face.detector, face.turns) == ("direct", 0)
    assert 0.5 < face.score <= 1
    x, y, width, height = face.box
    assert 0 < x < x + width < 320
    assert 0 < y < y + height < 320
    assert (face.landmarks[:, 0] >= x).all()


def test_points_lie_where_the_truth_has_them(finder: FaceMesh) -> None:
    portrait = make_portrait()
    truth = ClipTruth(portrait.face, Motion.still(1))
    (face,) = finder.find(render_frame(portrait, truth, 0))
    offset = face.landmarks[:468, :2] - portrait.face.mesh[:468, :2]
    assert np.abs(offset.mean(axis=0)).max() < 1.0


def test_pixel_centres_lie_at_whole_numbers(finder: FaceMesh, picture: np.ndarray) -> None:
    # Over shifts by a pixel the mesh's own roughness averages out.
    shifts = []
    for x in range(6):
        small = cv2.GaussianBlur(
            np.ascontiguousarray(picture[x : x + 300, x : x + 300]), (0, 0), 0.8
        )
        large = cv2.resize(small, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
        (of_small,), (of_large,) = finder.find(small), finder.find(large)
        shifts.append((of_large.landmarks - 4 * of_small.landmarks)[:468, :2].mean(axis=0))
    assert np.mean(shifts) == pytest.approx(1.5, abs=0.75)  # 0 if edges were at whole numbers


def test_two_faces_are_two(finder: FaceMesh, picture: np.ndarray) -> None:
    faces = finder.find(np.hstack([picture, picture[:, ::-1]]))
    assert len(faces) == 2
    assert sorted(face.box[0] > 320 for face in faces) == [False, True]


@pytest.mark.parametrize(
    "image", [np.zeros((240, 320, 3), np.uint8), np.full((8, 8, 3), 200, np.uint8)]
)
def test_no_face_is_none(finder: FaceMesh, image: np.ndarray) -> None:
    assert finder.find(image) == []


def test_no_image_leaves_a_trace_in_the_next(finder: FaceMesh, picture: np.ndarray) -> None:
    (first,) = finder.find(picture)
    finder.find(np.roll(picture, 40, axis=1))
    finder.find(np.zeros((240, 320, 3), np.uint8))
    (again,) = finder.find(picture)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)
    with FaceMesh(min_confidence=0.5, max_faces=3) as another:
        (fresh,) = another.find(picture)
    np.testing.assert_array_equal(first.landmarks, fresh.landmarks)


def test_distant_faces_are_boxed_best_first(picture: np.ndarray) -> None:
    small = cv2.resize(picture, None, fx=0.4, fy=0.4, interpolation=cv2.INTER_AREA)
    frame = np.full((360, 640, 3), 128, np.uint8)
    frame[60:188, 80:208] = small
    frame[100:228, 420:548] = cv2.GaussianBlur(small, (0, 0), 2)
    with DistantFaces(0.5) as distant:
        (sharp, best), (blurred, less) = distant.find(frame)
        assert distant.find(np.zeros((240, 320, 3), np.uint8)) == []
    assert 0.5 <= less <= best <= 1
    for box, left, top in ((sharp, 80, 60), (blurred, 420, 100)):
        x, y, width, height = box
        assert left < x < x + width < left + 128
        assert top < y < y + height < top + 128


def test_points_read_from_a_message_are_those_that_it_gives() -> None:
    from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmarkList

    values = np.random.default_rng(0).normal(size=(478, 3)).astype(np.float32)
    values[:3] = 0.0
    for more in ({}, {"visibility": 0.5}):  # the second looks otherwise than MediaPipe's meshes
        mesh = NormalizedLandmarkList()
        for x, y, z in values.tolist():
            mesh.landmark.add(x=x, y=y, z=z, **more)
        assert np.array_equal(_points(mesh), values)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="the system has no /proc")
def test_a_graph_works_in_one_thread(picture: np.ndarray) -> None:
    tasks = Path("/proc/self/task")
    before = set(tasks.iterdir())
    with FaceMesh(min_confidence=0.5, max_faces=3) as mesh:
        mesh.find(picture)
        names = [(task / "comm").read_text() for task in set(tasks.iterdir()) - before]
    assert sum(name.startswith("mediapipe") for name in names) == 1

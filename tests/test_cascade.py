"""Faces that one look misses are found by others, and what only resembles one is not."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from cmedprep.cascade import STEPS, FaceFinder, _cut, same_face, turn_back
from cmedprep.faces import Face, FaceMesh
from cmedprep.landmarks import inter_ocular_distance
from tests.makers import lookalikes


@pytest.fixture(scope="module")
def truth(picture: np.ndarray) -> np.ndarray:
    """The landmarks of the picture, from an enlargement of it."""
    with FaceMesh(0.5, 1) as mesh:
        (face,) = mesh.find(cv2.resize(picture, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC))
    landmarks = face.landmarks / 2
    landmarks[:, :2] -= 0.25
    return landmarks


def error(face: Face, truth: np.ndarray) -> float:
    """Return the landmarks' RMS distance from the truth in inter-ocular distances."""
    apart = np.linalg.norm((face.landmarks - truth)[:468, :2], axis=1)
    return float(np.sqrt(np.mean(apart**2)) / inter_ocular_distance(truth[None])[0])


def test_a_large_face_is_found_directly(
    finder: FaceFinder, picture: np.ndarray, truth: np.ndarray
) -> None:
    (face,) = finder.find(picture)
    assert (face.detector, face.turns) == ("direct", 0)
    assert error(face, truth) < 0.05


@pytest.mark.parametrize("width", [60, 45, 35])
def test_small_faces_are_found_where_the_mesh_alone_misses_them(
    finder: FaceFinder, picture: np.ndarray, truth: np.ndarray, width: int
) -> None:
    frame, moved = lookalikes.shrink(picture, truth, width)
    (face,) = finder.find(frame)
    assert error(face, moved) < 0.06
    if width < 50:
        assert face.detector == "full_range"
        with FaceFinder(0.5, 3, steps=["direct"]) as direct:
            assert direct.find(frame) == []


def test_a_closer_look_makes_the_landmarks_of_a_small_face_precise(
    finder: FaceFinder, picture: np.ndarray, truth: np.ndarray
) -> None:
    frame, moved = lookalikes.shrink(picture, truth, 75)
    with FaceMesh(0.5, 1) as mesh:
        (rough,) = mesh.find(frame)
    (face,) = finder.find(frame)
    assert face.detector == "direct"
    assert error(face, moved) < 0.7 * error(rough, moved)


def test_a_clip_that_is_cropped_to_the_face_has_one(
    finder: FaceFinder, picture: np.ndarray, truth: np.ndarray
) -> None:
    frame, moved = lookalikes.tighten(picture, truth, 0.15)
    with FaceFinder(0.5, 3, steps=["direct"]) as direct:
        assert direct.find(frame) == []
    (face,) = finder.find(frame)
    assert face.detector == "padded"
    assert error(face, moved) < 0.15


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("width", [None, 60])
def test_a_turned_face_has_its_landmarks_where_the_upright_one_has(
    finder: FaceFinder, picture: np.ndarray, truth: np.ndarray, turns: int, width: int | None
) -> None:
    image, landmarks = lookalikes.shrink(picture, truth, width) if width else (picture, truth)
    frame, moved = lookalikes.turn(image, landmarks, turns)
    (face,) = finder.find(frame)
    assert error(face, moved) < 0.06
    # Turned back by as much, counter-clockwise, it is upright.
    assert face.turns == 4 - turns
    assert face.detector == f"rotated_{360 - 90 * turns}"


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_landmarks_turn_back_with_the_image(truth: np.ndarray, turns: int) -> None:
    image = np.zeros((320, 400, 3), np.uint8)
    _, moved = lookalikes.turn(image, truth, turns)
    back = turn_back(Face(moved, 1.0), turns, image.shape)
    np.testing.assert_allclose(back.landmarks, truth, atol=1e-3)
    assert back.turns == turns


class Looks(FaceFinder):
    """Sees what it is told to through each window; a face of 100 px and 40 px between its eyes."""

    def __init__(self, **seen: Face) -> None:
        self.seen = seen
        self.looks: list[tuple[float, int]] = []

    def _through_window(
        self, image: np.ndarray, points: np.ndarray, window: float, turns: int
    ) -> list[Face]:
        self.looks.append((window, turns))
        name = "near" if window == 1.5 else "far"
        face = self.seen.get(f"{name}{turns}")
        return [face] if face else []


def mesh_at(shift: float = 0.0, score: float = 0.9, turns: int = 0) -> Face:
    """Return a mesh that stands upright in an image turned by so many quarters."""
    points = np.random.default_rng(0).uniform(0, 100, (478, 3)).astype(np.float32)
    points[[0, 1], :2] = [[0, 0], [100, 100]]
    points[[33, 133, 362, 263], :2] = [[25, 40], [35, 40], [65, 40], [75, 40]]
    points[:, :2] += shift
    face = Face(points, score)
    return turn_back(face, turns, (101, 101, 3))


FOUND = mesh_at(score=0.6)
IMAGE = np.zeros((101, 101, 3), np.uint8)


def test_a_closer_look_that_is_sure_is_enough() -> None:
    finder = Looks(near0=mesh_at(score=0.75))
    assert finder._closer(IMAGE, FOUND) is not None
    assert finder.looks == [(1.5, 0)]


@pytest.mark.parametrize(("apart", "same"), [(0.19, True), (0.21, False)])
def test_two_looks_that_are_not_sure_have_to_agree(apart: float, same: bool) -> None:
    # In each coordinate, so by sqrt(2) as much.
    finder = Looks(near0=mesh_at(score=0.74), far0=mesh_at(40 * apart / np.sqrt(2), score=0.74))
    found = finder._closer(IMAGE, FOUND)
    assert (found is not None) is same
    assert finder.looks == [*((1.5, turns) for turns in range(4)), (3.5, 0)]


def test_a_face_that_only_one_window_shows_is_none() -> None:
    assert Looks(near0=mesh_at(score=0.74))._closer(IMAGE, FOUND) is None
    assert Looks(far0=mesh_at())._closer(IMAGE, FOUND) is None


@pytest.mark.parametrize(("shift", "same"), [(34.0, True), (37.0, False)])
def test_another_face_in_the_window_does_not_confirm_the_first(shift: float, same: bool) -> None:
    found = Looks(near0=mesh_at(shift))._closer(IMAGE, FOUND)
    assert (found is not None) is same


def test_of_unsure_looks_the_upright_one_counts_and_then_the_better() -> None:
    on_its_side = replace(mesh_at(score=0.74, turns=1), turns=0)
    finder = Looks(near0=on_its_side, near2=mesh_at(score=0.7, turns=2), far2=mesh_at(turns=2))
    found = finder._closer(IMAGE, FOUND)
    assert found is not None
    assert (found.turns, found.detector, found.score) == (2, "rotated_180", 0.7)
    finder = Looks(near0=mesh_at(score=0.7), near2=mesh_at(score=0.74, turns=2))
    assert finder._closer(IMAGE, FOUND) is None  # no window of the other size shows it so
    assert finder.looks[-1] == (3.5, 2)


@pytest.mark.parametrize("side", [100.0, 192.0, 250.0, 400.0, 433.0, 700.0])
@pytest.mark.parametrize("corner", [(150.0, 120.0), (133.3, 101.7)])
def test_a_window_shows_each_place_where_it_says(side: float, corner: tuple[float, float]) -> None:
    x, y = np.meshgrid(np.arange(900.0), np.arange(850.0))
    place = np.stack([x, y, x + y], axis=-1).astype(np.float32)  # each pixel holds where it is
    window = _cut(place, np.array(corner), side)
    steps = (np.arange(192) + 0.5) * side / 192 - 0.5
    apart = np.stack([window[96, :, 0] - steps, window[:, 96, 1] - steps]) - np.array([corner]).T
    inside = apart[:, 4:-4]  # the outermost pixels are mixed with black
    np.testing.assert_allclose(inside.mean(axis=1), 0, atol=0.05)
    assert np.abs(inside).max() < 0.1 * max(side / 192, 1)


@pytest.mark.parametrize("corner", [(-40.0, -40.0), (60.0, 60.0)])
def test_a_window_is_black_beyond_the_image(corner: tuple[float, float]) -> None:
    window = _cut(np.full((100, 100, 3), 200, np.uint8), np.array(corner), 80.0)
    inside = window.any(axis=-1)
    assert inside.mean() == pytest.approx(0.25, abs=0.02)
    assert inside[-1, -1] == (corner[0] < 0)


def test_size_of_the_image_makes_no_difference(
    finder: FaceFinder, picture: np.ndarray, truth: np.ndarray
) -> None:
    # Of a face of 1,500 pixels that is not found at once, windows are not copied whole.
    large, moved = lookalikes.turn(
        cv2.resize(picture, None, fx=12, fy=12, interpolation=cv2.INTER_LINEAR),
        np.concatenate([truth[:, :2] * 12 + 5.5, truth[:, 2:] * 12], axis=1),
        2,
    )
    (face,) = finder.find(large)
    assert error(face, moved) < 0.06


@pytest.mark.parametrize("step", STEPS)
def test_only_the_steps_that_are_asked_for_are_tried(
    picture: np.ndarray, truth: np.ndarray, step: str
) -> None:
    frames = {
        "direct": picture,
        "padded": lookalikes.tighten(picture, truth, 0.15)[0],
        "full_range": lookalikes.shrink(picture, truth, 40)[0],
        "rotated": lookalikes.turn(lookalikes.shrink(picture, truth, 40)[0], truth, 1)[0],
    }
    others = [other for other in STEPS if other != step]
    with FaceFinder(0.5, 3, steps=others) as finder:
        assert all(face.detector != step for face in finder.find(frames[step]))
    if step != "rotated":
        with FaceFinder(0.5, 3, steps=[step]) as finder:
            assert [face.detector for face in finder.find(frames[step])] == [step]


def test_a_face_that_the_direct_look_misses_is_found_where_it_was(
    finder: FaceFinder, picture: np.ndarray, truth: np.ndarray
) -> None:
    # The parent is found at once, and hides that the child's small face is there as well.
    small, _ = lookalikes.shrink(picture, truth, 40)
    child = small[80:400, 160:480]
    both = np.hstack([child, picture[:, ::-1]])
    (alone,) = finder.find(np.hstack([child, np.zeros_like(picture)]))
    assert [face.detector for face in finder.find(both)] == ["direct"]
    parent, followed = finder.find(both, [alone])
    assert (parent.detector, followed.detector) == ("direct", "followed")
    assert same_face(followed, alone)
    assert not same_face(followed, parent)


def test_a_face_that_has_left_is_not_found_where_it_was(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    (face,) = finder.find(picture)
    assert finder.find(np.full_like(picture, 90), [face]) == []
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, picture.shape, np.uint8)
    assert finder.find(noise, [face]) == []


def test_a_face_that_is_expected_and_found_is_not_found_twice(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    (face,) = finder.find(picture)
    (again,) = finder.find(picture, [face])
    np.testing.assert_array_equal(again.landmarks, face.landmarks)


def test_drawings_of_faces_are_none(finder: FaceFinder) -> None:
    assert [name for name, image in lookalikes.drawings() if finder.find(image)] == []


def test_pictures_without_a_face_have_none(finder: FaceFinder) -> None:
    images = list(lookalikes.cut_pictures(pieces=2, seed=0))
    found = [name for name, image in images if finder.find(image)]
    assert len(images) > 60
    assert len(found) <= 1, found


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (3, 900), (900, 3), (480, 640)])
def test_an_image_of_any_size_may_have_none(finder: FaceFinder, shape: tuple[int, int]) -> None:
    assert finder.find(np.full((*shape, 3), 120, np.uint8)) == []


def test_no_image_leaves_a_trace_in_the_next(
    finder: FaceFinder, picture: np.ndarray, truth: np.ndarray
) -> None:
    frame, _ = lookalikes.shrink(picture, truth, 45)
    (first,) = finder.find(frame)
    finder.find(lookalikes.turn(picture, truth, 2)[0])
    finder.find(np.zeros((240, 320, 3), np.uint8))
    (again,) = finder.find(frame)
    np.testing.assert_array_equal(first.landmarks, again.landmarks)

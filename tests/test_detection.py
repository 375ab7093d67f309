"""A clip's face keeps its identity, whoever else appears and whichever look finds it."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from cmedprep.cascade import FaceFinder
from cmedprep.detection import detect_clip
from cmedprep.faces import Face
from cmedprep.schemas import FACES
from cmedprep.tables import to_array
from cmedprep.video import Frame, read_images
from tests.conftest import REAL_VIDEOS
from tests.makers import lookalikes

N_FRAMES = 16


def detect(images: list[np.ndarray], finder: FaceFinder) -> pa.Table:
    height, width = images[0].shape[:2]
    clip = {
        "clip_id": "S/Happy/clip", "subject": "S", "emotion": "Happy", "filename": "clip.mp4",
        "width": width, "height": height,
    }  # fmt: skip
    frames = (Frame(i, i / 30, image) for i, image in enumerate(images))
    table = detect_clip(clip, frames, finder)
    assert table.schema.equals(FACES)
    assert table.num_rows == len(images)
    return table


def centres(table: pa.Table) -> np.ndarray:
    """Return the centre of the followed face in each frame, NaN where there is none."""
    boxes = to_array(table["box"], (4,))
    return boxes[:, :2] + boxes[:, 2:] / 2


def beside(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.hstack([left, right]))


def test_a_face_in_every_frame_is_detected_in_every_frame(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    table = detect([np.roll(picture, shift, axis=1) for shift in range(5)], finder)
    assert table["detected"].to_pylist() == [True] * 5
    assert table["detector"].to_pylist() == ["direct"] * 5
    np.testing.assert_allclose(np.diff(centres(table)[:, 0]), 1, atol=0.5)


def test_frames_without_a_face_have_null_and_none_is_invented(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    empty = np.full_like(picture, 100)
    table = detect([picture, empty, empty, picture, lookalikes.draw_skull(320)], finder)
    assert table["detected"].to_pylist() == [True, False, False, True, False]
    assert table["n_faces"].to_pylist() == [1, 0, 0, 1, 0]
    for column in ("detector", "score", "box", "landmarks"):
        assert table[column].null_count == 3


def test_a_larger_face_that_enters_later_is_not_followed(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    small = cv2.resize(picture, (240, 240), interpolation=cv2.INTER_AREA)
    child = np.full_like(picture, 90)
    child[60:300, 40:280] = small
    parent = picture[:, ::-1]
    nobody = np.full_like(picture, 90)
    images = [beside(child, parent if i >= 10 else nobody) for i in range(N_FRAMES)]
    table = detect(images, finder)
    assert table["n_faces"].to_pylist() == [1] * 10 + [2] * 6
    assert (centres(table)[:, 0] < 320).all()


def test_a_small_face_is_kept_when_a_large_one_appears(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    # A face of 45 px is found by the full-range detector, which is asked only where nothing
    # else has found a face: without being looked for in its place it would be lost.
    with FaceFinder(0.5, 1, steps=["direct"]) as direct:
        (face,) = direct.find(picture)
    child = lookalikes.shrink(picture, face.landmarks, 45)[0][80:400, 160:480]
    nobody = np.full_like(picture, 90)
    images = [beside(child, picture if i >= 11 else nobody) for i in range(N_FRAMES)]
    table = detect(images, finder)
    assert table["detected"].to_pylist() == [True] * N_FRAMES
    assert (centres(table)[:, 0] < 320).all()
    assert set(table["detector"].to_pylist()) == {"full_range", "followed"}


def test_a_hand_over_the_face_does_not_hand_the_clip_to_another(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    covered = picture.copy()
    covered[40:260, 60:270] = (200, 160, 140)
    parent = cv2.resize(picture[:, ::-1], (200, 200), interpolation=cv2.INTER_AREA)
    parent = cv2.copyMakeBorder(parent, 60, 60, 60, 60, cv2.BORDER_CONSTANT, value=(90, 90, 90))
    images = [beside(covered if 6 <= i < 10 else picture, parent) for i in range(N_FRAMES)]
    table = detect(images, finder)
    seen = np.array(table["detected"].to_pylist())
    assert seen.tolist() == [True] * 6 + [False] * 4 + [True] * 6
    assert (centres(table)[seen][:, 0] < 320).all()


def test_a_clip_on_its_side_is_the_upright_clip_turned(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    upright = [np.roll(picture, shift, axis=0) for shift in range(4)]
    table = detect([np.ascontiguousarray(np.rot90(image)) for image in upright], finder)
    assert table["detector"].to_pylist() == ["rotated_270"] * 4
    landmarks = to_array(table["landmarks"], (-1, 3))
    expected = to_array(detect(upright, finder)["landmarks"], (-1, 3))
    across, down = landmarks[..., 0], landmarks[..., 1]
    apart = np.hypot(expected[..., 0] - (319 - down), expected[..., 1] - across)
    assert apart.mean() < 1.5


def test_a_clip_that_is_upright_is_not_looked_at_turned(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    # A small face on its head is found only by turning the image, or where it was.
    (face,) = finder.find(picture)
    small = lookalikes.shrink(picture, face.landmarks, 40)[0]
    on_its_head = np.ascontiguousarray(np.rot90(small, 2))
    table = detect([on_its_head, *[picture] * 4, on_its_head], finder)
    assert table["n_faces"].to_pylist() == [1, *[1] * 4, 0]
    x, y = np.rint(centres(detect([small], finder))[0] - centres(detect([on_its_head], finder))[0])
    in_its_place = np.roll(on_its_head, (int(y), int(x)), axis=(0, 1))
    assert detect([*[small] * 4, in_its_place], finder)["n_faces"].to_pylist() == [1] * 5


class Script(FaceFinder):
    """Finds what it is told to, and keeps what it was asked."""

    def __init__(self, *found: list[Face]) -> None:
        self.found = iter(found)
        self.expected: list[list[Face]] = []
        self.upright: list[bool] = []

    def find(
        self, image: np.ndarray, expected: Iterable[Face] = (), *, upright: bool = False
    ) -> list[Face]:
        self.expected.append(list(expected))
        self.upright.append(upright)
        return next(self.found)


def face_at(x: float, turns: int = 0) -> Face:
    square = np.array([[x, 10, 0], [x + 40, 50, 0]], np.float32)
    return Face(np.resize(square, (478, 3)), 0.9, turns=turns)


def test_a_face_that_is_gone_is_looked_for_in_three_frames() -> None:
    child, parent = face_at(20), face_at(200)
    moved = face_at(25)
    finder = Script([child, parent], [moved], [moved], *[[]] * 5)
    detect([np.zeros((100, 300, 3), np.uint8)] * 8, finder)
    expected = [[], [child, parent], [moved, parent], [moved, parent], [moved], [moved], [], []]
    # The parent was last seen in frame 0, and the child in frame 2.
    assert [[id(face) for face in faces] for faces in finder.expected] == [
        [id(face) for face in faces] for faces in expected
    ]


def test_a_clip_is_upright_when_three_more_frames_say_so_than_not() -> None:
    upright, turned = [face_at(20)], [face_at(20, turns=1)]
    finder = Script(upright, turned, upright, [], upright, upright, turned, upright, upright)
    detect([np.zeros((100, 300, 3), np.uint8)] * 9, finder)
    assert np.flatnonzero(finder.upright).tolist() == [6, 8]


def test_which_clip_came_before_makes_no_difference(
    finder: FaceFinder, picture: np.ndarray
) -> None:
    images = [np.roll(picture, shift, axis=1) for shift in range(3)]
    first = detect(images, finder)
    detect([beside(picture, picture[:, ::-1])] * 2, finder)
    assert detect(images, finder).equals(first)


@pytest.mark.skipif(
    not REAL_VIDEOS.is_dir(), reason="the folder of real clips is not beside the repository"
)
@pytest.mark.parametrize("order", [1, -1])
def test_of_two_real_people_the_one_who_is_there_throughout_is_followed(
    finder: FaceFinder, order: int
) -> None:
    def film(name: str) -> list[np.ndarray]:
        return [image[:288, :360] for image in read_images(Path(REAL_VIDEOS / name))][:75]

    child, parent = film("grid_bbaf2n.mpg"), film("grid_lbax4n.mpg")
    images = []
    for i, (one, other) in enumerate(zip(child, parent, strict=True)):
        # The other comes in from the side, larger, passes closely and goes.
        larger = cv2.resize(other, None, fx=1.25, fy=1.25, interpolation=cv2.INTER_LINEAR)
        frame = np.zeros((400, 800, 3), np.uint8)
        frame[60:348, 20:380] = one
        x = 800 - 12 * max(i - 20, 0)
        if 370 < x < 800:
            part = larger[20:, 60 : 60 + 800 - x]
            frame[20 : 20 + part.shape[0], x : x + part.shape[1]] = part
        images.append(np.ascontiguousarray(frame[:, ::order]))
    table = detect(images, finder)
    assert table["detected"].to_pylist() == [True] * 75
    assert max(table["n_faces"].to_pylist()) == 2
    x = centres(table)[:, 0] if order == 1 else 799 - centres(table)[:, 0]
    assert (x < 380).all()

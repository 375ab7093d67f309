"""Find faces in an image by several ways of looking, and tell them from what resembles them.

The ways are tried in turn until one finds a face:

==============  =====================================================================
``direct``      the image as it is
``followed``    where a face was in the frames before, if the direct look has missed it
``padded``      with a black margin: clips that are already cropped to the face
``full_range``  where MediaPipe's full-range detector says: small faces
``rotated``     all of these with the image turned by 90, 180 and 270 degrees, unless it is
                known to be upright
==============  =====================================================================

What a look has found is looked at again, closer, through a square window of 1.5 times the
face's size, resized to 192 pixels. That does three things. It tells faces from patterns: over a
pattern, MediaPipe's mesh does not sit still, and through another window it comes to lie
elsewhere or is gone. So a face counts when the closer look is sure of it (a score of 0.75 or
more), or when another, through a window of 3.5 times the size, finds the same mesh: the two may
differ by at most 0.2 of the distance between the eyes (root mean square over all points). It
makes the landmarks of small faces several times more precise than the ones from the whole
image. And it tells which way is up: of a face on its head MediaPipe finds an upright mesh that
is wrong; so, unless it is sure, the window is also turned, and the upright mesh with the best
score is taken. Such a face's detector is ``rotated_90``, ``rotated_180`` or ``rotated_270``,
the angle by which the image has to be turned counter-clockwise.

Only a face that the direct look finds upright, with a score of 0.85 or more, and no smaller
than a fifth of the image's longer side, needs no closer look. `benchmarks/detection.py` shows
how scores and meshes of faces and of patterns lie apart.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Self

import cv2
import numpy as np

from cmedprep.faces import DistantFaces, Face, FaceMesh
from cmedprep.landmarks import eye_centres, inter_ocular_distance

STEPS = ("direct", "padded", "full_range", "rotated")
"""The ways of looking, in the order in which they are tried."""

_SURE_AT_ONCE = 0.85  # of the direct look
_SURE = 0.75  # of the first closer look
_LARGE = 0.2  # of the image's longer side
_PADDING = 0.25  # of the image's sides, on each side
_TURNED_SCORE = 0.8  # of a face that only the turned image shows
_WINDOW_PX = 192
_WINDOWS = (1.5, 3.5)  # of the face's size
_AGREEMENT = 0.2  # of the distance between the eyes
_NEAR = 0.5  # of a face's size: two meshes so near are of the same face


class FaceFinder:
    """Finds faces in images.

    Parameters
    ----------
    min_confidence : float
        Lowest score at which a face counts, of each detector and of the mesh.
    max_faces : int
        Most faces that one look finds.
    steps : sequence of str
        Which of `STEPS` to try.
    """

    def __init__(self, min_confidence: float, max_faces: int, steps: Sequence[str] = STEPS) -> None:
        self._steps = frozenset(steps)
        self._max_faces = max_faces
        self._open = ExitStack()
        self._mesh = self._open.enter_context(FaceMesh(min_confidence, max_faces))
        self._distant = self._open.enter_context(DistantFaces(min_confidence))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def find(
        self, image: np.ndarray, expected: Iterable[Face] = (), *, upright: bool = False
    ) -> list[Face]:
        """Return the faces in an image.

        Parameters
        ----------
        image : ndarray, shape (height, width, 3), uint8
            RGB.
        expected : iterable of Face
            Faces that were here in the frames before. What the direct look misses of them is
            looked for in its place, by closer looks as for any other face; its `detector` is
            ``followed``.
        upright : bool
            The image is known not to lie on its side or on its head: it is not turned.
        """
        faces = self._look(image, "direct") if "direct" in self._steps else []
        for face in expected:
            if not any(same_face(face, found) for found in faces):
                again = self._closer(image, face)
                faces = add_face(faces, again and replace(again, detector="followed"))
        for step in ("padded", "full_range"):
            if not faces and step in self._steps:
                faces = self._look(image, step)
        if not faces and "rotated" in self._steps and not upright:
            faces = self._look_turned(image)
        return faces

    def _look(self, image: np.ndarray, step: str) -> list[Face]:
        """Return the faces that one way of looking finds."""
        faces: list[Face] = []
        for face in self._candidates(image, step):
            sure = _is_upright(face) and face.score >= _SURE_AT_ONCE
            enough = step == "direct" and sure and _is_large(face, image)
            faces = add_face(faces, face if enough else self._closer(image, face))
        return faces

    def _candidates(self, image: np.ndarray, step: str) -> list[Face]:
        """Return what may be faces."""
        if step == "direct":
            return self._mesh.find(image)
        if step == "padded":
            y, x = (round(_PADDING * side) for side in image.shape[:2])
            padded = cv2.copyMakeBorder(image, y, y, x, x, cv2.BORDER_CONSTANT)
            return [
                replace(
                    face, landmarks=face.landmarks - np.array([x, y, 0], np.float32), detector=step
                )
                for face in self._mesh.find(padded)
            ]
        faces = []
        for (x, y, width, height), score in self._distant.find(image)[: 2 * self._max_faces]:
            # The detector's box is a little larger than the mesh in it.
            corners = np.array([[x, y, 0], [x + width, y + height, 0]], np.float32)
            faces += [
                Face(found.landmarks, score, step)
                for found in self._through_window(image, corners, 2.0, 0)
            ]
        return faces

    def _look_turned(self, image: np.ndarray) -> list[Face]:
        """Return the faces of the turned image that shows the best one."""
        best: list[Face] = []
        for turns in (1, 2, 3):
            turned = np.ascontiguousarray(np.rot90(image, turns))
            faces: list[Face] = []
            for step in ("direct", "padded", "full_range"):
                if not faces and step in self._steps:
                    faces = self._look(turned, step)
            faces = [face for face in faces if face.turns == 0 and face.score >= _TURNED_SCORE]
            if _best_score(faces) > _best_score(best):
                best = [turn_back(face, turns, image.shape) for face in faces]
        return best

    def _closer(self, image: np.ndarray, face: Face) -> Face | None:
        """Return the face as closer looks see it, or None if they do not agree."""
        first = self._upright_look(image, face)
        if first is None:
            return None
        if _is_sure(first):
            return _as_found(first, face.detector)
        second = self._look_near(image, first, _WINDOWS[1], first.turns)
        if second is None:
            return None
        apart = (first.landmarks - second.landmarks)[:, :2]
        difference = np.sqrt(np.mean(np.sum(apart**2, axis=1)))
        if difference > _AGREEMENT * inter_ocular_distance(first.landmarks[None])[0]:
            return None
        return _as_found(first, face.detector)

    def _upright_look(self, image: np.ndarray, face: Face) -> Face | None:
        """Return the face as the first window sees it, turned so that it sees it best.

        Of a face that stands on its head MediaPipe finds an upright mesh that is wrong, and
        one that is less sure than that of the turned image; of a face that lies on its side a
        mesh that is less precise.
        """
        first = self._look_near(image, face, _WINDOWS[0], face.turns)
        if first is not None and _is_sure(first):
            return first
        others = [turns for turns in range(4) if turns != face.turns]
        looks = [first, *(self._look_near(image, face, _WINDOWS[0], turns) for turns in others)]
        return max(
            (look for look in looks if look is not None),
            key=lambda look: (_is_upright(look), look.score),
            default=None,
        )

    def _look_near(self, image: np.ndarray, face: Face, window: float, turns: int) -> Face | None:
        """Return the face that a window around one shows in its place."""
        among = self._through_window(image, face.landmarks, window, turns)
        near = [other for other in among if same_face(face, other)]
        return min(near, key=lambda other: _distance(face, other), default=None)

    def _through_window(
        self, image: np.ndarray, points: np.ndarray, window: float, turns: int
    ) -> list[Face]:
        """Return the faces in a square window around points, in the image's pixels."""
        low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
        side = max(8.0, window * float((high - low).max()))
        corner = (low + high) / 2 - (side - 1) / 2
        scale = side / _WINDOW_PX
        view = np.rot90(_cut(image, corner, side), turns)
        faces = []
        for face in self._mesh.find(view):
            seen = turn_back(face, turns, (_WINDOW_PX, _WINDOW_PX))
            landmarks = seen.landmarks * np.float32(scale)
            landmarks[:, :2] += np.float32((scale - 1) / 2) + corner.astype(np.float32)
            faces.append(replace(seen, landmarks=landmarks))
        return faces


def _as_found(look: Face, detector: str) -> Face:
    """Return a closer look at a face with the way in which it was found."""
    return look if look.turns else replace(look, detector=detector)


def add_face(faces: list[Face], face: Face | None) -> list[Face]:
    """Return faces with one more, unless it is None or one of them."""
    if face is None or any(same_face(face, other) for other in faces):
        return faces
    return [*faces, face]


def same_face(one: Face, other: Face) -> bool:
    """Tell whether two meshes of an image lie over the same face."""
    return _distance(one, other) <= _NEAR


def turn_back(face: Face, turns: int, shape: tuple[int, ...]) -> Face:
    """Return a face found in ``np.rot90(image, turns)`` in the pixels of the image.

    Parameters
    ----------
    face : Face
        In pixels of the turned image.
    turns : int
        Quarter turns, counter-clockwise, by which the image was turned.
    shape : tuple of int
        Height and width of the image before it was turned.
    """
    if turns == 0:
        return face
    x, y, z = face.landmarks.T
    height, width = np.float32(shape[0]), np.float32(shape[1])
    x, y = {1: (width - 1 - y, x), 2: (width - 1 - x, height - 1 - y), 3: (y, height - 1 - x)}[
        turns
    ]
    detector = f"rotated_{90 * turns}"
    return replace(face, landmarks=np.stack([x, y, z], 1), detector=detector, turns=turns)


def _is_large(face: Face, image: np.ndarray) -> bool:
    """Tell whether a face fills enough of an image for its mesh to be precise."""
    return bool(face.box[2:].max() >= _LARGE * max(image.shape[:2]))


def _is_sure(face: Face) -> bool:
    """Tell whether a look through the first window needs no other to confirm it."""
    return _is_upright(face) and face.score >= _SURE


def _is_upright(face: Face) -> bool:
    """Tell whether the line of the eyes is within 45 degrees of level, in the turned image."""
    right, left = eye_centres(face.landmarks)
    line = complex(*(left - right)) * (-1j) ** face.turns
    return line.real >= abs(line.imag)


def _best_score(faces: Iterable[Face]) -> float:
    return max((face.score for face in faces), default=0.0)


def _distance(one: Face, other: Face) -> float:
    """Return the distance of two faces' centres in units of the larger one's size."""
    a, b = one.box, other.box
    moved = np.hypot(*(a[:2] + a[2:] / 2 - b[:2] - b[2:] / 2))
    return float(moved / max(a[2:].max(), b[2:].max(), 1e-6))


def _cut(image: np.ndarray, corner: np.ndarray, side: float) -> np.ndarray:
    """Return a square of an image, resized to the window, black where it reaches out.

    `corner` is the centre of its first pixel, x and y in pixels.
    """
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(corner).astype(int) - 2, 0, [width - 1, height - 1])
    right, bottom = np.clip(np.ceil(corner + side).astype(int) + 2, 1, [width, height])
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    # Whole steps by averaging and the rest by interpolation: no detail folds back.
    shrink = max(1, round(side / _WINDOW_PX))
    if shrink > 1:
        size = [-(-part.shape[1] // shrink), -(-part.shape[0] // shrink)]
        edge = (0, size[1] * shrink - part.shape[0], 0, size[0] * shrink - part.shape[1])
        part = cv2.copyMakeBorder(part, *edge, cv2.BORDER_REPLICATE)
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    scale = side / _WINDOW_PX / shrink
    start = (corner - [left, top] + (side / _WINDOW_PX - 1) / 2 + 0.5) / shrink - 0.5
    matrix = np.array([[scale, 0, start[0]], [0, scale, start[1]]])
    flags = cv2.WARP_INVERSE_MAP | (cv2.INTER_CUBIC if scale < 1 else cv2.INTER_LINEAR)
    return cv2.warpAffine(part, matrix, (_WINDOW_PX, _WINDOW_PX), flags=flags)

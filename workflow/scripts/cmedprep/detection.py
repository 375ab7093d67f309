"""Find the face that a clip is about, in every frame of it."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from cmedprep.cascade import FaceFinder, same_face
from cmedprep.faces import Face
from cmedprep.following import follow_face
from cmedprep.schemas import FACES, LANDMARKS
from cmedprep.tables import fixed_list, frame_keys
from cmedprep.video import Frame

_MEMORY = 3  # frames for which a face that is gone is looked for where it was
_UPRIGHT = 3  # frames with an upright face, less those with a turned one, that tell of the rest


def detect_clip(clip: Mapping[str, Any], frames: Iterable[Frame], finder: FaceFinder) -> pa.Table:
    """Return a clip's rows of `schemas.FACES`, one for each decoded frame.

    Parameters
    ----------
    clip : mapping
        The clip's row of `schemas.VIDEOS`.
    frames : iterable of Frame
        All frames of the clip; each is let go before the next is asked for.
    finder : FaceFinder
        Finds the faces of a frame.
    """
    times: list[float] = []
    found: list[list[Face]] = []
    lately: list[tuple[int, Face]] = []
    upright = 0
    for frame in frames:
        expected = [face for _, face in lately]
        faces = finder.find(frame.image, expected, upright=upright >= _UPRIGHT)
        if faces:
            upright += 1 if any(face.turns == 0 for face in faces) else -1
        gone = [
            (seen, face)
            for seen, face in lately
            if frame.index - seen < _MEMORY and not any(same_face(face, other) for other in faces)
        ]
        lately = [(frame.index, face) for face in faces] + gone
        times.append(frame.time)
        found.append(faces)
    boxes = [np.array([face.box for face in faces], np.float32).reshape(-1, 4) for faces in found]
    chosen = follow_face(boxes, clip["width"], clip["height"])
    followed = [among[i] if i is not None else None for among, i in zip(found, chosen, strict=True)]
    return _table(clip, times, found, followed)


def _table(
    clip: Mapping[str, Any],
    times: list[float],
    found: list[list[Face]],
    faces: list[Face | None],
) -> pa.Table:
    detected = np.array([face is not None for face in faces], bool)
    landmarks = np.zeros((len(faces), LANDMARKS, 3), np.float32)
    boxes = np.zeros((len(faces), 4), np.float32)
    for i, face in enumerate(faces):
        if face is not None:
            landmarks[i], boxes[i] = face.landmarks, face.box
    columns = frame_keys(clip, np.arange(len(faces)), times) | {
        "detected": detected,
        "n_faces": [len(among) for among in found],
        "detector": [face.detector if face else None for face in faces],
        "score": [face.score if face else None for face in faces],
        "box": fixed_list(boxes, detected, FACES.field("box").type),
        "landmarks": fixed_list(landmarks, detected, FACES.field("landmarks").type),
    }
    return pa.table(columns, schema=FACES)

"""Everything of MediaPipe: its face mesh and its detector of distant faces.

MediaPipe is pinned to 0.10.21, the last release that opens no socket. All use of it is in
this module, so that another release or another detector means another file and no more.

Both are stateless: nothing is carried from one image to the next. MediaPipe's tracking would
move landmarks by pixels depending on which clip was seen before. Both work in one thread, where
MediaPipe by itself starts one for each core; the landmarks are the same.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any, Self

import numpy as np

# MediaPipe's packages import all that they have, and matplotlib with it: three quarters of the
# time. Packages that are not executed find the modules that are needed. What else this process
# wants of MediaPipe, it has to import by its full name.
for _name in ("mediapipe", "mediapipe.python.solutions"):
    if _name not in sys.modules and (_package := find_spec(_name)):
        sys.modules[_name] = module_from_spec(_package)

# An option whose definition is not imported is lost from a graph, without a word.
from mediapipe.calculators.tensor import tensors_to_floats_calculator_pb2  # noqa: E402, F401
from mediapipe.framework import calculator_pb2, thread_pool_executor_pb2  # noqa: E402, F401
from mediapipe.framework.tool import switch_container_pb2  # noqa: E402, F401
from mediapipe.python.solutions import face_detection, face_mesh  # noqa: E402, F401

_PACKAGES = Path(face_mesh.__file__).parents[3]
_MESH_GRAPH = "mediapipe/modules/face_landmark/face_landmark_front_cpu.binarypb"
_MESH_DETECTOR_THRESHOLD = (
    "facedetectionshortrangecpu__facedetectionshortrange__facedetection__"
    "TensorsToDetectionsCalculator.min_score_thresh"
)
_DISTANT_GRAPH = "mediapipe/modules/face_detection/face_detection_full_range_cpu.binarypb"
_DISTANT_THRESHOLD = (
    "facedetectionfullrange__facedetection__TensorsToDetectionsCalculator.min_score_thresh"
)

# A landmark in Protocol Buffers' encoding: it is the list's first field and 15 bytes long, its x is
# a float and its own first field, and so on.
_LANDMARK = np.dtype(
    [("x_tag", "u1", 3), ("x", "<f4"), ("y_tag", "u1"), ("y", "<f4"), ("z_tag", "u1"), ("z", "<f4")]
)
_TAGS = {"x": (0x0A, 15, 0x0D), "y": 0x15, "z": 0x1D}


@dataclass(frozen=True, slots=True)
class Face:
    """A face in an image.

    Attributes
    ----------
    landmarks : ndarray, shape (478, 3), float32
        Points of MediaPipe's mesh with irises, x and y in image pixels, z in the same unit,
        smaller towards the camera. MediaPipe's coordinates times the image's width put pixel
        centres at whole numbers as they are: of an image resized by a factor f, whose pixels
        lie at ``f x + (f - 1) / 2``, it finds points that are shifted by just that.
    score : float
        The detector's score in [0, 1].
    detector : str
        Which way of looking has found the face; see `cascade`.
    turns : int
        Quarter turns, counter-clockwise, after which the image shows the face upright.
    box : ndarray, shape (4,), float32
        The landmarks' bounding box: x, y, width, height in pixels.
    """

    landmarks: np.ndarray
    score: float
    detector: str = "direct"
    turns: int = 0
    box: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        low, high = self.landmarks[:, :2].min(axis=0), self.landmarks[:, :2].max(axis=0)
        object.__setattr__(self, "box", np.concatenate([low, high - low]))


class _Graph:
    """A graph of MediaPipe's calculators, closed at the end of a `with` block."""

    def __init__(self, path: str, outputs: list[str], **options: Mapping[str, Any]) -> None:
        graph = calculator_pb2.CalculatorGraphConfig()
        graph.ParseFromString((_PACKAGES / path).read_bytes())
        graph.num_threads = 1
        self._graph = face_mesh.SolutionBase(graph_config=graph, outputs=outputs, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._graph.close()


class FaceMesh(_Graph):
    """Finds faces that fill a good part of an image, and their landmarks.

    Parameters
    ----------
    min_confidence : float
        Lowest score at which a face counts, of the detector and of the mesh.
    max_faces : int
        Most faces to look for in an image.
    """

    def __init__(self, min_confidence: float, max_faces: int) -> None:
        # FaceMesh itself keeps the detections to itself; the graph behind it gives both.
        super().__init__(
            _MESH_GRAPH,
            ["multi_face_landmarks", "face_detections"],
            side_inputs={
                "num_faces": max_faces,
                "with_attention": True,
                "use_prev_landmarks": False,
            },
            calculator_params={
                _MESH_DETECTOR_THRESHOLD: min_confidence,
                "facelandmarkcpu__ThresholdingCalculator.threshold": min_confidence,
            },
        )

    def find(self, image: np.ndarray) -> list[Face]:
        """Return the faces in an image.

        Parameters
        ----------
        image : ndarray, shape (height, width, 3), uint8
            RGB.
        """
        result = self._graph.process(np.ascontiguousarray(image))
        scale = np.array([image.shape[1], image.shape[0], image.shape[1]], np.float32)
        detections = result.face_detections or []
        boxes = _boxes(detections, image)
        centres = boxes[:, :2] + boxes[:, 2:] / 2
        faces = []
        for mesh in result.multi_face_landmarks or []:
            points = _points(mesh) * scale
            distance = np.hypot(*(centres - points[:, :2].mean(axis=0)).T)
            faces.append(Face(points, float(detections[int(distance.argmin())].score[0])))
        return faces


class DistantFaces(_Graph):
    """MediaPipe's full-range detector: boxes of faces, also of small ones.

    Parameters
    ----------
    min_confidence : float
        Lowest score at which a face counts.
    """

    def __init__(self, min_confidence: float) -> None:
        super().__init__(
            _DISTANT_GRAPH,
            ["detections"],
            calculator_params={_DISTANT_THRESHOLD: min_confidence},
        )

    def find(self, image: np.ndarray) -> list[tuple[np.ndarray, float]]:
        """Return boxes (x, y, width, height in pixels) and scores, best first.

        Parameters
        ----------
        image : ndarray, shape (height, width, 3), uint8
            RGB.
        """
        detections = self._graph.process(np.ascontiguousarray(image)).detections or []
        scores = [float(detection.score[0]) for detection in detections]
        order = sorted(range(len(scores)), key=lambda i: -scores[i])
        boxes = _boxes(detections, image)
        return [(boxes[i], scores[i]) for i in order]


def _points(mesh: Any) -> np.ndarray:
    """Return the x, y and z of a list of landmarks, shape (n, 3), float32.

    They are read from the message's bytes, in a tenth of the time that asking for each takes.
    Messages that look otherwise than expected are asked.
    """
    encoded, count = mesh.SerializeToString(), len(mesh.landmark)
    if len(encoded) == count * _LANDMARK.itemsize:
        read = np.frombuffer(encoded, _LANDMARK)
        if all((read[f"{axis}_tag"] == tag).all() for axis, tag in _TAGS.items()):
            return np.stack([read[axis] for axis in _TAGS], axis=-1).astype(np.float32)
    return np.array([[p.x, p.y, p.z] for p in mesh.landmark], np.float32)


def _boxes(detections: Any, image: np.ndarray) -> np.ndarray:
    """Return detections' boxes, shape (k, 4): x, y, width, height in pixels."""
    boxes = [detection.location_data.relative_bounding_box for detection in detections]
    relative = np.array([[b.xmin, b.ymin, b.width, b.height] for b in boxes], float)
    height, width = image.shape[:2]
    return relative.reshape(-1, 4) * [width, height, width, height]

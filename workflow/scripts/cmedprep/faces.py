"""Everything of MediaPipe: find faces in a still image.

MediaPipe is pinned to 0.10.21, the last release that opens no socket. All use of it is in
this module, so that another release or another detector means another file and no more.
"""

from dataclasses import dataclass
from types import TracebackType

import numpy as np
from mediapipe.python.solution_base import SolutionBase

DETECTOR_DIRECT = "direct"
"""Name of the one way in which faces are found: the whole frame, as it is."""

_GRAPH = "mediapipe/modules/face_landmark/face_landmark_front_cpu.binarypb"
_DETECTOR_THRESHOLD = (
    "facedetectionshortrangecpu__facedetectionshortrange__facedetection__"
    "TensorsToDetectionsCalculator.min_score_thresh"
)


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
    score : float or None
        The detector's score in [0, 1], where it gives one.
    detector : str
        Which way of looking has found the face.
    """

    landmarks: np.ndarray
    score: float | None
    detector: str

    @property
    def box(self) -> np.ndarray:
        """The landmarks' bounding box: x, y, width, height in pixels, float32."""
        low, high = self.landmarks[:, :2].min(axis=0), self.landmarks[:, :2].max(axis=0)
        return np.concatenate([low, high - low])


class FaceFinder:
    """Finds faces in images, each image by itself.

    Nothing is carried from one image to the next: MediaPipe's tracking would move landmarks
    by pixels depending on which clip was seen before.

    Parameters
    ----------
    min_confidence : float
        Lowest score at which a face counts, of the detector and of the mesh.
    max_faces : int
        Most faces to look for in an image.
    """

    def __init__(self, min_confidence: float, max_faces: int) -> None:
        # FaceMesh itself keeps the detections to itself; the graph behind it gives both.
        self._graph = SolutionBase(
            binary_graph_path=_GRAPH,
            side_inputs={
                "num_faces": max_faces,
                "with_attention": True,
                "use_prev_landmarks": False,
            },
            calculator_params={
                _DETECTOR_THRESHOLD: min_confidence,
                "facelandmarkcpu__ThresholdingCalculator.threshold": min_confidence,
            },
            outputs=["multi_face_landmarks", "face_detections"],
        )

    def __enter__(self) -> "FaceFinder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._graph.close()

    def find(self, image: np.ndarray) -> list[Face]:
        """Return the faces in an image.

        Parameters
        ----------
        image : ndarray, shape (height, width, 3), uint8
            RGB, upright.
        """
        height, width = image.shape[:2]
        result = self._graph.process(image)
        scale = np.array([width, height, width], np.float32)
        detections = [
            (detection.location_data.relative_bounding_box, detection.score[0])
            for detection in result.face_detections or []
        ]
        boxes = np.array(
            [
                [(b.xmin + b.width / 2) * width, (b.ymin + b.height / 2) * height]
                for b, _ in detections
            ]
        )
        faces = []
        for mesh in result.multi_face_landmarks or []:
            points = np.array([[p.x, p.y, p.z] for p in mesh.landmark], np.float32) * scale
            score = None
            if len(boxes):
                distance = np.hypot(*(boxes - points[:, :2].mean(axis=0)).T)
                score = float(detections[int(distance.argmin())][1])
            faces.append(Face(points, score, DETECTOR_DIRECT))
        return faces

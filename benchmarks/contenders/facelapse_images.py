"""facelapse, which aligns folders of images by landmarks: `facelapse_images.py LIST OUT`.

Its images come from the videos first, as uncompressed files, the cheapest that it reads.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import cv2
from facelapse.config import PipelineConfig
from facelapse.pipeline import run_pipeline


def main(clips, out):
    """Write the face of every frame."""
    frames = written = 0
    for number, clip in enumerate(clips):
        images, aligned = Path(out, f"{number:04d}.images"), Path(out, f"{number:04d}")
        os.makedirs(images)
        capture = cv2.VideoCapture(clip)
        while True:
            read, image = capture.read()
            if not read:
                break
            cv2.imwrite(str(images / f"{frames:06d}.bmp"), image)
            frames += 1
        capture.release()
        config = PipelineConfig(
            input_dir=images,
            output_dir=aligned,
            output_width=224,
            output_height=224,
            skip_video=True,
            save_aligned_images=True,
        )
        with contextlib.suppress(ValueError):  # no face in any image of the folder
            written += run_pipeline(config).aligned_images
    print(json.dumps({"frames": frames, "written": written}))


if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        main(file.read().splitlines(), sys.argv[2])

"""The floor: decode, FaceMesh, one warp, encode, and nothing else: `bare_loop.py LIST OUT`."""

import json
import sys
from pathlib import Path

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from mediapipe.python.solutions.face_mesh import FaceMesh

TEMPLATE = 67 + 90j, 157 + 90j  # of the outer eye corners


def main(clips: list[str], out: Path) -> None:
    """Write the face of every frame, its outer eye corners in place."""
    cv2.setNumThreads(1)
    out.mkdir(parents=True)
    reformatter = VideoReformatter()
    frames = written = 0
    with FaceMesh(static_image_mode=True, max_num_faces=1, refine_landmarks=True) as mesh:
        for number, clip in enumerate(clips):
            with av.open(clip) as container:
                container.streams.video[0].codec_context.thread_count = 1
                for index, frame in enumerate(container.decode(video=0)):
                    frames += 1
                    image = reformatter.reformat(frame, format="rgb24").to_ndarray()
                    found = mesh.process(image).multi_face_landmarks
                    if not found:
                        continue
                    height, width = image.shape[:2]
                    corners = [found[0].landmark[i] for i in (33, 263)]
                    eyes = [complex(point.x * width, point.y * height) for point in corners]
                    arm = (TEMPLATE[1] - TEMPLATE[0]) / (eyes[1] - eyes[0])
                    shift = TEMPLATE[0] - arm * eyes[0]
                    matrix = [[arm.real, -arm.imag, shift.real], [arm.imag, arm.real, shift.imag]]
                    face = cv2.warpAffine(image, np.array(matrix), (224, 224))
                    face = cv2.cvtColor(face, cv2.COLOR_RGB2BGR)
                    cv2.imwrite(str(out / f"{number:04d}_{index:06d}.png"), face)
                    written += 1
    print(json.dumps({"frames": frames, "written": written}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).read_text().splitlines(), Path(sys.argv[2]))

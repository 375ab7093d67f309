"""How many faces each way of looking finds, how precisely, and what it takes for a face.

    make benchmark-detection

compares MediaPipe's face mesh alone with the workflow's cascade on faces that were made small,
cropped tightly or turned, on whole clips, and on pictures that show no face. Writes
docs/detection-benchmark.md. Without the folder of real clips it has one face only.
"""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from skimage.data import astronaut

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "workflow" / "scripts")]

from cmedprep.cascade import FaceFinder  # noqa: E402
from cmedprep.decoding import VideoError  # noqa: E402
from cmedprep.detection import detect_clip  # noqa: E402
from cmedprep.faces import Face, FaceMesh  # noqa: E402
from cmedprep.landmarks import inter_ocular_distance  # noqa: E402
from cmedprep.video import read_frames, read_images  # noqa: E402
from tests.makers import lookalikes  # noqa: E402

CLIPS = (
    ("pyfeat_single_face.mp4", (0, 40)),
    ("grid_bbaf2n.mpg", (0, 30)),
    ("grid_lbax4n.mpg", (10, 50)),
    ("intel_sister.mkv", (0, 60)),
    ("mpf_new_face_video-90.mp4", (60, 84, 120, 204, 240, 252, 300)),
)
"""Clips and the frames of them whose face is put into other situations."""

WHOLE = (
    *(name for name, _ in CLIPS),
    "mpf_video_01.mp4",
    "pyfeat_face_noface.mov",
    "pyfeat_no_face.mp4",
)
NEAR = 0.15  # inter-ocular distances: a mesh farther off has not found the face
PIECES = 20


@dataclass(frozen=True)
class Sample:
    """An image and the landmarks of its face, (478, 3)."""

    image: np.ndarray
    landmarks: np.ndarray


def reference_faces(videos: Path) -> list[Sample]:
    """Return faces that fill a good part of their image, with their landmarks there."""
    images = [np.ascontiguousarray(astronaut()[:320, 60:380])]
    for name, wanted in CLIPS:
        if (videos / name).is_file():
            images += [image for i, image in enumerate(read_images(videos / name)) if i in wanted]
    # Looked at closely, so that small ones have precise landmarks, too.
    with FaceFinder(0.5, 1) as finder:
        return [Sample(image, finder.find(image)[0].landmarks) for image in images]


def situations(faces: list[Sample]) -> Iterator[tuple[str, list[Sample]]]:
    """Yield the same faces in situations that get harder."""

    def made(change: Callable[..., tuple[np.ndarray, np.ndarray]], *how: Any) -> list[Sample]:
        return [Sample(*change(face.image, face.landmarks, *how)) for face in faces]

    yield "as filmed", faces
    for cut in (0.0, 0.1, 0.15):
        yield f"cropped to the face less {cut:.0%}", made(lookalikes.tighten, cut)
    for width in (80, 60, 45, 35, 25):
        yield f"{width} px wide in 640 x 480", made(lookalikes.shrink, width)
    for turns in (1, 2, 3):
        yield f"turned by {90 * turns} degrees", made(lookalikes.turn, turns)


def score(find: Callable[[np.ndarray], list[Face]], samples: list[Sample]) -> tuple[Any, ...]:
    """Return the share of faces found, of false meshes, the median error and the detectors."""
    errors, false, ways = [], 0, Counter[str]()
    for sample in samples:
        scale = inter_ocular_distance(sample.landmarks[None])[0]
        near = None
        for face in find(sample.image):
            apart = np.linalg.norm((face.landmarks - sample.landmarks)[:468, :2], axis=1)
            error = float(np.sqrt(np.mean(apart**2)) / scale)
            if error < NEAR:
                near = error
                ways[face.detector] += 1
            else:
                false += 1
        errors += [near] if near is not None else []
    return len(errors) / len(samples), false, float(np.median(errors or [np.nan])), ways


def describe(ways: Counter[str]) -> str:
    """Return which ways of looking have found how many, most first."""
    return ", ".join(f"{way} {count}" for way, count in ways.most_common()) or "-"


def compare_situations(faces: list[Sample]) -> Iterator[str]:
    """Yield the lines of the table of situations."""
    yield "| situation | mesh alone: found | false | error | cascade: found | false | error | by |"
    yield "|---|---|---|---|---|---|---|---|"
    with FaceMesh(0.5, 3) as mesh, FaceFinder(0.5, 3) as finder:
        for title, samples in situations(faces):
            cells = [title]
            for find in (mesh.find, finder.find):
                found, false, error, ways = score(find, samples)
                cells += [f"{found:.0%}", str(false), f"{error:.3f}" if found else "-"]
            yield f"| {' | '.join([*cells, describe(ways)])} |"


def compare_clips(videos: Path) -> Iterator[str]:
    """Yield the lines of the table of whole clips."""
    yield "| clip | frames | mesh alone | cascade | by | time per frame, cascade / mesh alone |"
    yield "|---|---|---|---|---|---|"
    with FaceMesh(0.5, 3) as mesh, FaceFinder(0.5, 3) as finder:
        for name in WHOLE:
            if not (videos / name).is_file():
                continue
            try:
                frames = list(read_frames(videos / name))
            except VideoError as error:
                yield f"| {name} | {error} | | | | |"
                continue
            height, width = frames[0].image.shape[:2]
            clip = {
                "clip_id": name, "subject": "", "emotion": "", "filename": name,
                "width": width, "height": height,
            }  # fmt: skip
            started = time.process_time()
            alone = sum(bool(mesh.find(frame.image)) for frame in frames)
            between = time.process_time()
            ways = Counter(detect_clip(clip, frames, finder)["detector"].to_pylist())
            ratio = (time.process_time() - between) / (between - started)
            del ways[None]
            found = sum(ways.values())
            yield (
                f"| {name} | {len(frames)} | {alone} | {found} | {describe(ways)} | {ratio:.1f} |"
            )


def compare_pictures() -> Iterator[str]:
    """Yield the lines of the table of false alarms."""
    pictures = [*lookalikes.cut_pictures(PIECES, seed=0), *lookalikes.drawings()]
    yield f"| pictures without a face ({len(pictures)}) | with a mesh on them | by |"
    yield "|---|---|---|"
    with FaceMesh(0.5, 3) as mesh:
        found = [faces[0].detector for _, image in pictures if (faces := mesh.find(image))]
        yield f"| mesh alone | {len(found)} | |"
    for steps in (["direct"], ["direct", "padded"], ["direct", "padded", "full_range"], None):
        with FaceFinder(0.5, 3, **({"steps": steps} if steps else {})) as finder:
            found = [faces[0].detector for _, image in pictures if (faces := finder.find(image))]
        title = "cascade, " + (" + ".join(steps) if steps else "all steps")
        yield f"| {title} | {len(found)} | {describe(Counter(found))} |"


def main() -> None:
    """Write all tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=Path, default=REPOSITORY.parent / "shared" / "videos")
    parser.add_argument(
        "--output", type=Path, default=REPOSITORY / "docs" / "detection-benchmark.md"
    )
    options = parser.parse_args()
    faces = reference_faces(options.videos)
    lines = [
        "# Benchmark of face detection",
        "",
        "Made by `make benchmark-detection`. *Mesh alone* is MediaPipe's face mesh on each frame",
        f"as it is. *Found*: a mesh within {NEAR} inter-ocular distances (RMS) of the truth;",
        "*error*: its median distance; *false*: other meshes.",
        f"{len(faces)} faces in each situation.",
        "",
        *compare_situations(faces),
        "",
        "Frames of whole clips with a face. The cascade follows one person, the mesh alone takes",
        "any: `mpf_new_face_video-90.mp4` shows three people in turn.",
        "",
        *compare_clips(options.videos),
        "",
        *compare_pictures(),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    options.output.write_text(text)


if __name__ == "__main__":
    main()

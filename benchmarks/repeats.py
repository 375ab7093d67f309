"""How many repeated frames are found after re-encoding, and how many others are taken for one.

    python benchmarks/repeats.py

plants freezes of 1 to 10 frames in rendered clips and in the real clips of a folder, encodes
them with x264 in several ways, and prints a table (Markdown) that docs/sampling.md quotes.
Takes about five minutes.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "workflow" / "scripts")]

from cmedprep.geometry import Template, cut_seen, to_crop  # noqa: E402
from cmedprep.repeats import RepeatFinder  # noqa: E402
from cmedprep.video import read_images  # noqa: E402
from tests.makers.alignment_scores import template_similarity  # noqa: E402
from tests.makers.synthetic_face import (  # noqa: E402
    Capture,
    ClipTruth,
    Expression,
    Motion,
    detect_mesh,
    make_portrait,
    render_clip,
)

FRAMES = 90
SIZE = 224
CALM = {"yaw": 0.5, "pitch": 0.4, "roll": 0.3, "scale": 0.002, "shift": 0.7}
REAL = {
    "pyfeat_single_face.mp4": (0, 90),
    "grid_bbaf2n.mpg": (0, 90),
    "grid_lbax4n.mpg": (0, 60),
    "intel_sister.mkv": (0, 90),
    "mpf_new_face_video-90.mp4": (60, 150),
}
"""Real clips and which of their frames; the mesh of the 21st of them says where the face is."""

HELD = {"grid_bbaf2n.mpg": (57,), "mpf_new_face_video-90.mp4": (72, 107, 108)}
"""Frames that repeat the one before in the file itself: the face's pixels differ by 0.2 levels in
the mean, and by more than 1 or 10 to either side. They are taken out."""

ENCODINGS: dict[str, Mapping[str, str]] = {
    **{
        f"crf {crf}, GOP {gop}": {"crf": str(crf), "g": str(gop), "preset": "medium"}
        for crf in (18, 23, 28, 32, 36)
        for gop in (15, 250)
    },
    "150 kbit/s": {"b": "150000", "g": "60", "preset": "medium"},
    "crf 28, real time": {"crf": "28", "g": "60", "preset": "veryfast", "tune": "zerolatency"},
}


@dataclass(frozen=True)
class Source:
    """A clip before freezes are planted: its kind, frames and source-to-crop matrix (2, 3)."""

    kind: str
    images: list[np.ndarray]
    matrix: np.ndarray


@dataclass
class Score:
    """Counts of frames: repeats and those found, others, those wrongly found, and the same."""

    repeats: int = 0
    found: int = 0
    distinct: int = 0
    wrong: int = 0
    same: int = 0

    def __str__(self) -> str:
        found = f"{100 * self.found / self.repeats:.1f}" if self.repeats else "-"
        wrong, same = (100 * n / max(self.distinct, 1) for n in (self.wrong, self.same))
        return f"{found} / {wrong:.1f} / {same:.0f}"


def rendered_sources() -> Iterator[Source]:
    """Yield clips of a head that moves as a seated person's does, hardly, or not at all."""
    portrait = make_portrait()
    matrix = crop_matrix(portrait.face.mesh)
    motions = {
        "seated": lambda seed: Motion.wander(FRAMES, seed=seed),
        "calm": lambda seed: Motion.wander(FRAMES, seed=seed, **CALM),
        "still": lambda seed: Motion.still(FRAMES),
    }
    for kind, motion in motions.items():
        for seed, noise in enumerate((0.5, 1.5, 3.0)):
            emotion = ("Happy", "Sad", "Surprise")[seed]
            truth = ClipTruth(portrait.face, motion(seed), Expression(emotion, 1.0, 40))
            yield Source(
                kind, list(render_clip(portrait, truth, Capture(noise_sigma=noise))), matrix
            )


def real_sources(videos: Path) -> Iterator[Source]:
    """Yield what there is of the real clips."""
    for name, (start, stop) in REAL.items():
        if (videos / name).exists():
            frames = list(enumerate(read_images(videos / name)))[start:stop]
            images = [image for i, image in frames if i not in HELD.get(name, ())]
            yield Source("real", images, crop_matrix(detect_mesh(images[20])))


def crop_matrix(mesh: np.ndarray) -> np.ndarray:
    """Return the transform of a mesh's frame to its crop."""
    return to_crop(template_similarity(mesh), Template(), SIZE)


def plant(n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Return which frame is shown when: now and then one is held while others are lost."""
    shown: list[int] = []
    frame = 0
    while frame < n_frames:
        shown.append(frame)
        frame += 1
        if 3 < frame < n_frames - 2 and rng.random() < 0.12:
            held = int(rng.integers(1, 11))
            shown += [shown[-1]] * held
            frame += held if rng.random() < 0.7 else 0
    return np.array(shown)


def encode(path: Path, images: Sequence[np.ndarray], options: Mapping[str, str]) -> None:
    """Write images (height, width, 3) as H.264, yuv420p."""
    settings: dict[str, Any] = dict(options)
    rate, gop = settings.pop("b", None), settings.pop("g")
    with av.open(str(path), "w") as file:
        stream: Any = file.add_stream("libx264", rate=30, options=settings)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.thread_count, stream.gop_size = "yuv420p", 1, int(gop)
        if rate:
            stream.bit_rate = int(rate)
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 30)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def judge(
    images: Sequence[np.ndarray], matrix: np.ndarray, shown: np.ndarray, score: Score
) -> None:
    """Add to a score what the finder says of a clip."""
    finder = RepeatFinder()
    for i, image in enumerate(images):
        finder.add(i, image, matrix, SIZE)
    says = np.array([frame is not None for frame in finder.result()[0]])
    truth = np.concatenate([[False], np.diff(shown) == 0])
    faces = [cut_seen(image, matrix, SIZE, 0)[0] for image in images]
    same = [False] + [looks_the_same(*pair) for pair in pairwise(faces)]
    score.repeats += int(truth.sum())
    score.found += int((says & truth).sum())
    score.distinct += int((~truth).sum())
    score.wrong += int((says & ~truth).sum())
    score.same += int((~truth & np.array(same)).sum())


def looks_the_same(a: np.ndarray, b: np.ndarray) -> bool:
    """Say whether the encoder has left of a change no more than two levels in 1 % of pixels."""
    changed = cv2.absdiff(a, b).max(axis=-1) > 2
    return bool(changed.mean() < 0.01)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--videos", type=Path, default=REPOSITORY.parent / "shared" / "videos")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    scores: dict[str, dict[str, Score]] = defaultdict(lambda: defaultdict(Score))
    kinds: list[str] = []
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        for number, source in enumerate((*real_sources(options.videos), *rendered_sources())):
            kinds += [] if source.kind in kinds else [source.kind]
            everything = np.arange(len(source.images))
            judge(source.images, source.matrix, everything, scores["as it is"][source.kind])
            shown = plant(len(source.images), np.random.default_rng(number))
            planted = [source.images[i] for i in shown]
            judge(planted, source.matrix, shown, scores["frozen, not encoded"][source.kind])
            for name, encoding in ENCODINGS.items():
                encode(path, planted, encoding)
                images = list(read_images(path))
                judge(images, source.matrix, shown, scores[name][source.kind])
            print(source.kind, number, f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    print("| encoding |", " | ".join(kinds), "|")
    print("|---" * (len(kinds) + 1) + "|")
    for name, row in scores.items():
        print(f"| {name} |", " | ".join(str(row[kind]) for kind in kinds), "|")


if __name__ == "__main__":
    main()

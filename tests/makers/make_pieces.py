"""Make a data set of many short clips out of a few videos.

    python -m tests.makers.make_pieces OUT --videos DIR --clips-each 27

Every video becomes a subject. Its clips are pieces of 10 to 60 frames, each from another place of
the video and framed, mirrored, lit and compressed in its own way. The demo's subjects come with
theirs.
"""

import argparse
import csv
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random

import av
import cv2
import numpy as np

from cmedprep.video import read_images

VIDEOS = {
    "pyfeat_single_face.mp4": None,
    "grid_bbaf2n.mpg": None,
    "grid_lbax4n.mpg": None,
    "grid_swiz3n_av1.mp4": None,
    "intel_sister.mkv": None,
    "mpf_new_face_video-90.mp4": None,
    "pyfeat_face_noface.mov": 73,
}
"""Public videos of faces, and how many frames of them show one where it is not all."""
HARD = {"pyfeat_face_noface.mov": None, "pyfeat_no_face.mp4": None, "mpf_video_01.mp4": None}
"""Videos without a face, and of small ones."""

FOLDER = "FinalFullVideos_subjects"
METADATA = "video_emotion_metadata.csv"
EMOTIONS = ("Happy", "No_Emotion", "Surprise", "Anger", "No_Emotion", "Happy")
SHORTEST, LONGEST = 10, 60


def make_pieces(
    root: Path,
    videos: Sequence[tuple[Path, int | None]],
    clips_each: int,
    demo: Path,
    seed: int = 0,
) -> None:
    """Write a data set of the demo's subjects and one subject for each video.

    Parameters
    ----------
    root : Path
        The data set's root, which must not exist.
    videos : sequence of (Path, int or None)
        Videos, and how many of their frames to use.
    clips_each : int
        How many clips to cut from each video.
    demo : Path
        A data set to begin with.
    seed : int
        Decides where and how the clips are cut.
    """
    shutil.copytree(demo, root)
    with open(root / METADATA, newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    for number, (video, most) in enumerate(videos, start=1):
        random, subject = Random(f"{seed} {video.name}"), f"Subject_{100 + number}"
        frames = list(read_images(video))[:most]
        for piece in range(1, clips_each + 1):
            emotion = EMOTIONS[piece % len(EMOTIONS)]
            # The shorter, the more often: a mean of 27 frames.
            length = round(random.triangular(SHORTEST, LONGEST, SHORTEST))
            start = random.randrange(max(len(frames) - length, 0) + 1)
            images = vary(frames[start : start + length], random)
            path = root / FOLDER / emotion / subject / f"vid{piece}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_clip(path, images, crf=random.randrange(20, 30))
            apex = "" if emotion == "No_Emotion" else len(images) // 2
            named = {"subject": subject, "filename": path.name, "emotion": emotion}
            row = named | {"apex_frame": str(apex)}
            rows.append([row.get(column, "") for column in head])
    with open(root / METADATA, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


def vary(frames: Sequence[np.ndarray], random: Random) -> list[np.ndarray]:
    """Frame, mirror and light frames in one way: other pictures of the same face."""
    height, width = frames[0].shape[:2]
    share, mirror, gain = random.uniform(0.9, 1.0), random.random() < 0.5, random.uniform(0.8, 1.1)
    new_height, new_width = (int(share * length) // 2 * 2 for length in (height, width))
    y, x = random.randrange(height - new_height + 1), random.randrange(width - new_width + 1)
    cut = [frame[y : y + new_height, x : x + new_width] for frame in frames]
    return [cv2.convertScaleAbs(one[:, :: -1 if mirror else 1], alpha=gain) for one in cut]


def write_clip(path: Path, images: Sequence[np.ndarray], crf: int) -> None:
    """Encode images as H.264 in MP4, 30 frames per second."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=30, options={"crf": str(crf), "threads": "1"})
        stream.pix_fmt = "yuv420p"
        stream.height, stream.width = images[0].shape[:2]
        for image in images:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image))))
        file.mux(stream.encode())


def main() -> None:
    """Make a data set from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--demo", type=Path, default=Path("demo"))
    parser.add_argument("--videos", type=Path, help="a folder; those of VIDEOS that are there")
    parser.add_argument("--hard", action="store_true", help="those of HARD instead")
    parser.add_argument("--clips-each", type=int, default=27)
    arguments = parser.parse_args()
    listed = HARD if arguments.hard else VIDEOS
    folder = arguments.videos or Path("/nowhere")
    videos = [(folder / name, most) for name, most in listed.items() if (folder / name).is_file()]
    if not videos:  # the demo's own faces, once more
        videos = [(path, None) for path in sorted(arguments.demo.rglob("vid*.mp4"))[:7]]
    make_pieces(arguments.root, videos, arguments.clips_each, arguments.demo)


if __name__ == "__main__":
    main()

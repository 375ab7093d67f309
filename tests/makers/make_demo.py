"""Make a small data set in CMED's own layout, with known defects and known truth.

    python -m tests.makers.make_demo --output demo

writes

    demo/FinalFullVideos_subjects/{emotion}/{subject}/{filename}
    demo/video_emotion_metadata.csv
    demo/truth/clips.parquet      one row per planned clip: what it is, what is wrong with it
    demo/truth/frames.parquet     one row per frame: pose, expression, light
    demo/truth/faces.parquet      one row per subject: the mesh
    demo/demo.json                what made it

The subjects are one public-domain portrait (NASA's Eileen Collins) in several shapes and tints.
`load_truth` turns the truth back into `ClipTruth`, to score an alignment of the demo.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if __package__ in (None, ""):  # Run as a file and not as a module.
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.makers import synthetic_face
from tests.makers.synthetic_face import (
    Appearance,
    Blink,
    Capture,
    ClipTruth,
    Expression,
    Face,
    Image,
    Light,
    Motion,
    Occluder,
    make_portrait,
    render_clip,
)

ClipKey = tuple[str, str, str]
"""Subject, emotion and filename as they are spelt on disk."""

METADATA_COLUMNS = ("subject", "filename", "emotion", "apex_frame")
FPS = 30

SUBJECTS = {
    "Subject_01": Appearance(),
    "Subject_02": Appearance(
        mirror=True, tint=(0.86, 0.80, 0.80), inter_ocular_px=100.0, length=0.93, jaw=0.10
    ),
    "Subject_03": Appearance(tint=(1.0, 0.93, 0.80), inter_ocular_px=84.0, length=1.06, jaw=-0.10),
}


@dataclass(frozen=True)
class PlannedClip:
    """One clip to make.

    Attributes
    ----------
    subject, emotion, filename
        As on disk.
    n_frames, apex_frame
        The clip's true length and apex; None for no expression.
    amplitude_px
        See `synthetic_face.Expression`.
    light
        First frame, frame after the last, gain of a stretch of different light.
    blink, occluder
        See `synthetic_face`.
    metadata
        What the CSV says otherwise than the truth, by column; None for no row at all.
    has_video
        False leaves the file out.
    defect
        Name of the planted defect.
    """

    subject: str
    emotion: str
    filename: str
    n_frames: int
    apex_frame: int | None
    amplitude_px: float = 2.0
    light: tuple[int, int, float] | None = None
    blink: Blink | None = None
    occluder: Occluder | None = None
    metadata: Mapping[str, str] | None = field(default_factory=dict)
    has_video: bool = True
    defect: str | None = None

    @property
    def key(self) -> ClipKey:
        """Subject, emotion, filename."""
        return self.subject, self.emotion, self.filename

    def metadata_row(self) -> dict[str, str] | None:
        """Give the clip's row of the CSV, by column."""
        if self.metadata is None:
            return None
        return {
            "subject": self.subject,
            "filename": self.filename,
            "emotion": self.emotion,
            "apex_frame": "" if self.apex_frame is None else str(self.apex_frame),
            **self.metadata,
        }


DEMO_PLAN = (
    PlannedClip("Subject_01", "Happy", "vid1.mp4", 24, 11, 2.5, defect="same_filename"),
    PlannedClip("Subject_01", "Happy", "vid2.mp4", 22, 8, 1.5, light=(6, 18, 0.8)),
    PlannedClip("Subject_01", "Surprise", "vid1.mp4", 21, 9, 2.5),
    PlannedClip("Subject_01", "Sad", "vid1.mp4", 30, 14, blink=Blink(22)),
    PlannedClip("Subject_01", "Disgust", "vid1.mp4", 20, 7),
    PlannedClip("Subject_01", "No_Emotion", "vid1.mp4", 20, None),
    PlannedClip("Subject_02", "Happy", "vid1.mp4", 20, 10, 2.5, defect="same_filename"),
    PlannedClip(
        "Subject_02",
        "Happy",
        "vid3.mp4",
        23,
        12,
        metadata={"subject": "subject_02", "filename": "vid3.MP4", "emotion": "happy"},
        defect="spelling",
    ),
    PlannedClip(
        "Subject_02",
        "Happy",
        "vid4.mp4",
        20,
        9,
        metadata={"apex_frame": "41"},
        defect="apex_out_of_range",
    ),
    PlannedClip("Subject_02", "Anger", "vid1.mp4", 21, 8, light=(0, 9, 1.2)),
    PlannedClip("Subject_02", "Surprise", "vid2.mp4", 20, 6, 3.0),
    PlannedClip("Subject_02", "No_Emotion", "vid2.mp4", 21, None, blink=Blink(10)),
    PlannedClip(
        "Subject_03",
        "Happy",
        "vid5.mp4",
        20,
        8,
        metadata={"apex_frame": ""},
        defect="apex_missing",
    ),
    PlannedClip("Subject_03", "Fear", "vid1.mp4", 22, 10),
    PlannedClip(
        "Subject_03",
        "Anger",
        "vid2.mp4",
        24,
        12,
        occluder=Occluder(2, 22, (60.0, 470.0), (250.0, 400.0)),
    ),
    PlannedClip("Subject_03", "Disgust", "vid2.mp4", 20, 11, 1.5),
    PlannedClip("Subject_03", "No_Emotion", "vid3.mp4", 20, None),
    PlannedClip(
        "Subject_03", "No_Emotion", "vid9.mp4", 20, None, has_video=False, defect="missing_video"
    ),
    PlannedClip("Subject_03", "Sad", "vid7.mp4", 20, 9, metadata=None, defect="stray_video"),
)

_KEY_FIELDS = [
    pa.field(name, pa.string(), nullable=False) for name in ("subject", "emotion", "filename")
]
CLIPS_SCHEMA = pa.schema(
    [
        *_KEY_FIELDS,
        *(pa.field(f"metadata_{name}", pa.string()) for name in METADATA_COLUMNS),
        pa.field("has_video", pa.bool_(), nullable=False),
        pa.field("n_frames", pa.int32(), nullable=False),
        pa.field("apex_frame", pa.int32()),
        pa.field("amplitude_px", pa.float64()),
        pa.field("blink_frame", pa.int32()),
        pa.field("blink_closure", pa.float64()),
        pa.field("blink_duration", pa.int32()),
        pa.field("occluded", pa.bool_(), nullable=False),
        pa.field("noise_sigma", pa.float64(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("defect", pa.string()),
    ]
)
_POSE = ("yaw", "pitch", "roll", "scale", "tx", "ty")
FRAMES_SCHEMA = pa.schema(
    [
        *_KEY_FIELDS,
        pa.field("frame_index", pa.int32(), nullable=False),
        *(
            pa.field(name, pa.float64(), nullable=False)
            for name in (*_POSE, "expression_px", "lid_closure", "gain", "offset")
        ),
    ]
)
FACES_SCHEMA = pa.schema(
    [
        pa.field("subject", pa.string(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("mesh", pa.list_(pa.float64(), 478 * 3), nullable=False),
    ]
)


def write_clip(path: Path, frames: Iterable[Image], width: int, height: int) -> None:
    """Encode frames (height, width, 3) RGB as H.264, yuv420p, 30 fps.

    Parameters
    ----------
    path
        Where to; its folder must exist.
    frames
        At least one.
    width, height
        Even, px.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=FPS, options={"crf": "18", "preset": "veryfast"}
        )
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # With more threads the bytes would depend on the machine.
        stream.thread_count = 1
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def make_data_set(
    root: Path,
    plan: Sequence[PlannedClip],
    looks: Mapping[str, Appearance],
    *,
    seed: int,
    width: int = 640,
    height: int = 480,
    noise_sigma: float = 1.5,
) -> None:
    """Write a data set in CMED's layout, and its truth.

    Parameters
    ----------
    root
        A folder that exists and is empty.
    plan
        The clips.
    looks
        Every subject's appearance.
    seed
        Decides all motion and noise.
    width, height
        Frame size in px.
    noise_sigma
        Sensor noise, grey levels of 255.
    """
    # One thread, so that no machine's scheduling decides a rounding.
    cv2.setNumThreads(1)
    portraits = {
        subject: make_portrait(appearance=look, width=width, height=height)
        for subject, look in looks.items()
    }
    clips, frames = [], []
    for index, clip in enumerate(plan):
        clip_seed = 1000 * seed + index
        portrait, n = portraits[clip.subject], clip.n_frames
        expression = None
        if clip.apex_frame is not None:
            expression = Expression(clip.emotion, clip.amplitude_px, clip.apex_frame)
        motion = Motion.wander(n, seed=clip_seed, yaw=3.5, pitch=2.5, shift=6.0, scale=0.02)
        truth = ClipTruth(portrait.face, motion, expression, clip.blink)
        light = Light.steady(n)
        if clip.light is not None:
            start, stop, gain = clip.light
            light = Light.stretch(n, start, stop, gain=gain)
        capture = Capture(light, noise_sigma, occluder=clip.occluder, seed=clip_seed)
        if clip.has_video:
            path = root / "FinalFullVideos_subjects" / clip.emotion / clip.subject / clip.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            write_clip(path, render_clip(portrait, truth, capture), width, height)
            frames.extend(_frame_rows(clip.key, truth, light))
        clips.append(_clip_row(clip, noise_sigma, clip_seed))

    with (root / "video_emotion_metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, METADATA_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(row for clip in plan if (row := clip.metadata_row()) is not None)

    faces = [
        {
            "subject": subject,
            "width": width,
            "height": height,
            "mesh": portrait.face.mesh.ravel().tolist(),
        }
        for subject, portrait in portraits.items()
    ]
    (root / "truth").mkdir()
    for name, rows, schema in (
        ("clips", clips, CLIPS_SCHEMA),
        ("frames", frames, FRAMES_SCHEMA),
        ("faces", faces, FACES_SCHEMA),
    ):
        table = pa.Table.from_pylist(rows, schema=schema)
        pq.write_table(table, root / "truth" / f"{name}.parquet")


def _clip_row(clip: PlannedClip, noise_sigma: float, seed: int) -> dict[str, object]:
    written = clip.metadata_row() or dict.fromkeys(METADATA_COLUMNS)
    blink = clip.blink
    return {
        "subject": clip.subject,
        "emotion": clip.emotion,
        "filename": clip.filename,
        **{f"metadata_{name}": value for name, value in written.items()},
        "has_video": clip.has_video,
        "n_frames": clip.n_frames,
        "apex_frame": clip.apex_frame,
        "amplitude_px": None if clip.apex_frame is None else clip.amplitude_px,
        "blink_frame": None if blink is None else blink.frame,
        "blink_closure": None if blink is None else blink.closure,
        "blink_duration": None if blink is None else blink.duration,
        "occluded": clip.occluder is not None,
        "noise_sigma": noise_sigma,
        "seed": seed,
        "defect": clip.defect,
    }


def _frame_rows(key: ClipKey, truth: ClipTruth, light: Light) -> list[dict[str, object]]:
    names = (*_POSE, "expression_px", "lid_closure", "gain", "offset")
    values = np.column_stack([truth.states, light.gain, light.offset]).tolist()
    subject, emotion, filename = key
    return [
        {
            "subject": subject,
            "emotion": emotion,
            "filename": filename,
            "frame_index": frame_index,
            **dict(zip(names, row, strict=True)),
        }
        for frame_index, row in enumerate(values)
    ]


def load_truth(root: Path) -> dict[ClipKey, ClipTruth]:
    """Rebuild the truth of every clip that has a video.

    Parameters
    ----------
    root
        A data set made by this module.

    Returns
    -------
    By subject, emotion and filename as they are spelt on disk. Nothing is rendered and no face
    is looked for: what `score_alignment` needs is stored.
    """
    folder = Path(root) / "truth"
    clips, frames, faces = (
        pq.read_table(folder / f"{name}.parquet").to_pylist()
        for name in ("clips", "frames", "faces")
    )
    meshes = {
        row["subject"]: Face(np.reshape(row["mesh"], (478, 3)), row["width"], row["height"])
        for row in faces
    }
    poses: dict[ClipKey, list[list[float]]] = {}
    for row in sorted(frames, key=lambda row: int(row["frame_index"])):
        key = row["subject"], row["emotion"], row["filename"]
        poses.setdefault(key, []).append([row[name] for name in _POSE])
    truths = {}
    for row in clips:
        key = row["subject"], row["emotion"], row["filename"]
        if not row["has_video"]:
            continue
        expression = blink = None
        if row["apex_frame"] is not None:
            expression = Expression(row["emotion"], row["amplitude_px"], row["apex_frame"])
        if row["blink_frame"] is not None:
            blink = Blink(row["blink_frame"], row["blink_closure"], row["blink_duration"])
        motion = Motion(*np.array(poses[key]).T)
        truths[key] = ClipTruth(meshes[row["subject"]], motion, expression, blink)
    return truths


def make_tiny(
    root: Path, *, subjects: int = 2, clips: int = 1, frames: int = 6, seed: int = 0
) -> None:
    """Write the smallest useful data set, for tests of the workflow: 320 x 240 px, no defects.

    Parameters
    ----------
    root
        A folder that is empty or does not exist.
    subjects
        Subject_01, Subject_02, …
    clips
        Clips per subject, in turn Happy, No_Emotion, Surprise, Anger: vid1.mp4, vid2.mp4, …
    frames
        Frames per clip; the apex is in the middle.
    seed
        Decides all motion and noise.
    """
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    names = [f"Subject_{number + 1:02d}" for number in range(subjects)]
    emotions = ("Happy", "No_Emotion", "Surprise", "Anger")
    plan = []
    for name in names:
        for number in range(clips):
            emotion = emotions[number % len(emotions)]
            apex = None if emotion == "No_Emotion" else frames // 2
            plan.append(PlannedClip(name, emotion, f"vid{number + 1}.mp4", frames, apex))
    looks = {
        name: Appearance(mirror=bool(k % 2), inter_ocular_px=60.0) for k, name in enumerate(names)
    }
    make_data_set(root, plan, looks, seed=seed, width=320, height=240)


def stamp(seed: int) -> dict[str, object]:
    """Say what decides the demo's content: the seed and the two makers' source."""
    digest = hashlib.sha256()
    for source in (__file__, synthetic_face.__file__):
        digest.update(Path(source).read_bytes())
    return {"seed": seed, "makers_sha256": digest.hexdigest(), "clips": len(DEMO_PLAN)}


def is_current(output: Path, seed: int) -> bool:
    """Say whether the demo of this seed and these makers is already at `output`."""
    stamp_path = output / "demo.json"
    if not stamp_path.is_file():
        return False
    return bool(json.loads(stamp_path.read_text(encoding="utf-8")) == stamp(seed))


def make_demo(output: Path, seed: int = 0) -> bool:
    """Make the demo, whole or not at all; do nothing where the same demo already is.

    Parameters
    ----------
    output
        The data set's root. An older demo there is replaced, anything else is left alone.
    seed
        Decides all motion and noise.

    Returns
    -------
    Whether anything was made.

    Raises
    ------
    FileExistsError
        If there is something at `output` that is not a demo.
    """
    if is_current(output, seed):
        return False
    is_demo = (output / "demo.json").is_file()
    if output.exists() and not is_demo and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(
            f"{output} exists and is not a demo (it has no demo.json): "
            "remove it or choose another --output"
        )
    output.parent.mkdir(parents=True, exist_ok=True)
    building = output.with_name(f".{output.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    try:
        make_data_set(building, DEMO_PLAN, SUBJECTS, seed=seed)
        (building / "demo.json").write_text(
            json.dumps(stamp(seed), indent=2) + "\n", encoding="utf-8"
        )
        if output.exists():
            shutil.rmtree(output)
        building.rename(output)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return True


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Drop what MediaPipe's and FFmpeg's native code writes to standard error."""
    sys.stderr.flush()
    terminal = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Make the demo data set.")
    parser.add_argument("--output", type=Path, default=Path("demo"), help="folder to make")
    parser.add_argument("--seed", type=int, default=0, help="decides all motion and noise")
    arguments = parser.parse_args()
    if is_current(arguments.output, arguments.seed):
        print(f"{arguments.output} is already there: nothing to do")
        return
    start = time.perf_counter()
    print(f"Making {len(DEMO_PLAN)} clips in {arguments.output}: about 30 s ...", flush=True)
    with quiet_libraries():
        make_demo(arguments.output, arguments.seed)
    print(f"done in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()

"""Make a data set of any size: metadata, and hard links to one clip or to an empty file.

    python -m tests.makers.make_many OUT --subjects 740 --rows 100000 --clip CLIP.mp4

Emotions, missing videos and apexes beyond the end are in the proportion that holders of CMED
report: of 10,924 rows 136 without a video and 57 with such an apex. Every subject has as many
rows as the others, and one row in fifty is spelled otherwise than the folders: these two are
made up.
"""

import argparse
import csv
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from random import Random

CMED_ROWS = 10_924
MISSING, BEYOND = 136, 57
EMOTIONS = {
    "No_Emotion": 5297,
    "Happy": 4806,
    "Surprise": 350,
    "Anger": 113,
    "Disgust": 105,
    "Sad": 41,
    "Fear": 19,
}
"""Usable clips of CMED by emotion."""

SPELLED_OTHERWISE = 50
APEX, BEYOND_THE_END = 2, 100_000


@dataclass(frozen=True)
class Many:
    """How many subjects and rows a data set has, and rows of which defect."""

    subjects: int
    rows: int
    missing: int
    beyond: int
    spelled_otherwise: int


def make_many(
    root: Path, subjects: int, rows: int, clip: Path | None = None, seed: int = 0
) -> Many:
    """Make the folders by subject and the metadata file; the same for the same arguments.

    Parameters
    ----------
    root : Path
        The data set's root, which must not exist.
    subjects, rows : int
        How many there are; at least one row for each subject.
    clip : Path, optional
        The video that every clip is a link to, on the same disk; an empty file by default.
    """
    random = Random(seed)
    names = tuple(f"Subject_{number:05d}" for number in range(1, subjects + 1))
    emotions = random.choices([*EMOTIONS], [*EMOTIONS.values()], k=rows)
    calm = [number for number, emotion in enumerate(emotions) if emotion == "No_Emotion"]
    expressive = [number for number, emotion in enumerate(emotions) if emotion != "No_Emotion"]
    missing = set(random.sample(calm, min(len(calm), _share(MISSING, rows))))
    beyond = set(random.sample(expressive, min(len(expressive), _share(BEYOND, rows))))
    otherwise = set(random.sample(range(rows), rows // SPELLED_OTHERWISE))

    videos = root / "FinalFullVideos_subjects"
    for emotion in EMOTIONS:
        for name in names:
            (videos / emotion / name).mkdir(parents=True)
    links = _Links(root / ".clips", clip.read_bytes() if clip else b"")
    with open(root / "video_emotion_metadata.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(("subject", "filename", "emotion", "apex_frame"))
        for number, emotion in enumerate(emotions):
            name, filename = names[number % subjects], f"vid{number // subjects + 1}.mp4"
            if number not in missing:
                links.add(os.path.join(videos, emotion, name, filename))
            apex = BEYOND_THE_END if number in beyond else APEX
            row = (name, filename, emotion, "" if emotion == "No_Emotion" else apex)
            if number in otherwise:
                row = (name.lower().replace("_", " "), filename.upper(), emotion.lower(), row[3])
            table.writerow(row)
    return Many(subjects, rows, len(missing), len(beyond), len(otherwise))


def _share(of_cmed: int, rows: int) -> int:
    return round(of_cmed * rows / CMED_ROWS)


class _Links:
    """Makes links to one clip; to another copy of it when the first takes no more of them."""

    def __init__(self, folder: Path, content: bytes) -> None:
        self.folder, self.content, self.copies = folder, content, 0
        folder.mkdir()
        self.source = self._copy()

    def add(self, path: str) -> None:
        try:
            os.link(self.source, path)
        except OSError as error:
            if error.errno != errno.EMLINK:
                raise
            self.source = self._copy()
            os.link(self.source, path)

    def _copy(self) -> Path:
        copy = self.folder / f"{self.copies}.mp4"
        copy.write_bytes(self.content)
        self.copies += 1
        return copy


def main() -> None:
    """Make a data set from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--subjects", type=int, default=74)
    parser.add_argument("--rows", type=int, default=CMED_ROWS)
    parser.add_argument("--clip", type=Path, help="a video; empty files by default")
    arguments = parser.parse_args()
    print(make_many(arguments.root, arguments.subjects, arguments.rows, arguments.clip))


if __name__ == "__main__":
    main()

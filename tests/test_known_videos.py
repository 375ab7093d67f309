"""A video is opened again when it, or what it is judged by, has changed; and not otherwise."""

import hashlib
import io
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from cmedplan.inventory import Inventory, record_path
from cmedplan.plan import plan_subject
from cmedprep.job import Progress
from cmedprep.known_videos import copy_path
from probe_videos import probe_videos
from tests.test_plan import complete

NAME = "Subject_01"


class Subject:
    """A subject of two clips, whose videos are probed again and again."""

    def __init__(self, folder: Path) -> None:
        self.config = complete(folder / "CMED", {"output": str(folder / "results")})
        self.root = Path(self.config["dataset"]["root"])
        self.table = folder / "results" / "videos" / f"{NAME}.parquet"
        self.provenance: dict[str, Any] = {"chain": "one"}
        self.video, self.another = sorted(self.root.glob(f"*/*/{NAME}/*.mp4"))

    def digest(self) -> str:
        """Return what asks for the table to be made anew when it changes."""
        return Inventory(plan_subject(self.config, NAME), self.root, self.table).digest()

    def probe(self) -> int:
        """Make the table, as Snakemake would, and return how many videos were known."""
        files = self.digest()
        self.table.unlink(missing_ok=True)
        said = io.StringIO()
        progress = Progress("probe", (said, said))
        probe_videos(NAME, self.config, files, self.table, self.provenance, progress)
        words = said.getvalue().partition(" videos have not changed")
        return int(words[0].split()[-1]) if words[1] else 0

    def digests(self) -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.table.parent.iterdir()
        }

    def agrees(self) -> bool:
        """Whether all that is there is as if nothing had been known."""
        found = self.digests()
        shutil.rmtree(self.table.parent)
        assert self.probe() == 0
        return self.digests() == found

    def replace(self) -> None:
        """Give the first video the content of the other, at another time."""
        self.video.write_bytes(self.another.read_bytes())
        os.utime(self.video, ns=(1, 1))


@pytest.fixture
def subject(tiny_set: Path, tmp_path: Path) -> Subject:
    shutil.copytree(tiny_set, tmp_path / "CMED")
    one = Subject(tmp_path)
    assert one.probe() == 0
    return one


def test_only_the_video_that_has_changed_is_opened(subject: Subject) -> None:
    subject.replace()
    assert subject.probe() == 1
    assert subject.agrees()


def test_a_new_clip_does_not_open_the_old_ones(subject: Subject) -> None:
    shutil.copy(subject.video, subject.video.with_name("new.mp4"))
    assert subject.probe() == 2
    assert subject.agrees()


def test_a_clip_that_is_gone_opens_none(subject: Subject) -> None:
    subject.video.unlink()
    assert subject.probe() == 1
    assert subject.agrees()


def test_what_was_not_opened_is_known_the_next_time(subject: Subject) -> None:
    subject.replace()
    assert subject.probe() == 1
    shutil.copy(subject.video, subject.video.with_name("new.mp4"))
    assert subject.probe() == 2
    assert subject.agrees()


def test_by_other_code_or_limits_all_are_opened(subject: Subject) -> None:
    subject.replace()
    subject.provenance = {"chain": "another"}
    assert subject.probe() == 0
    assert subject.agrees()


def test_who_makes_the_table_anew_gets_it_anew(subject: Subject) -> None:
    before = subject.digests()
    assert subject.probe() == 0
    assert subject.digests() == before


@pytest.mark.parametrize("fault", ["none", "cut", "checksum", "no record"])
def test_a_copy_that_is_not_to_be_trusted_is_not(subject: Subject, fault: str) -> None:
    subject.replace()
    copy, record = copy_path(subject.table), record_path(subject.table)
    if fault == "none":
        copy.unlink()
    elif fault == "cut":
        copy.write_bytes(copy.read_bytes()[:-100])
    elif fault == "no record":
        record.unlink()
    else:
        state, videos = map(json.loads, record.read_text().splitlines())
        videos["checksums"] = dict.fromkeys(videos["checksums"], "0" * 64)
        record.write_text(f"{json.dumps(state)}\n{json.dumps(videos)}\n")
    assert subject.probe() == 0
    assert subject.agrees()


def test_a_video_that_could_not_be_read_is_tried_again(subject: Subject) -> None:
    whole = subject.video.read_bytes()
    subject.video.write_bytes(whole[:100])
    assert subject.probe() == 1
    subject.video.with_name("new.mp4").write_bytes(whole)
    assert subject.probe() == 1  # the one that is neither new nor broken
    assert subject.agrees()


def test_a_video_of_the_old_time_and_the_old_size_is_opened(subject: Subject) -> None:
    times, before = subject.video.stat(), subject.digest()
    damaged = bytearray(subject.video.read_bytes())
    damaged[len(damaged) // 2] ^= 255
    subject.video.write_bytes(damaged)
    os.utime(subject.video, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert subject.digest() != before
    assert subject.probe() == 1
    assert subject.agrees()


def test_two_videos_that_change_places_are_opened(subject: Subject) -> None:
    times, before = subject.video.stat(), subject.digest()
    os.utime(subject.another, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert subject.digest() == before
    aside = subject.root / "aside"
    subject.video.rename(aside)
    subject.another.rename(subject.video)
    aside.rename(subject.another)
    assert subject.digest() != before
    assert subject.probe() == 0
    assert subject.agrees()


def test_a_video_of_the_old_time_and_another_size_is_opened(subject: Subject) -> None:
    times = subject.video.stat()
    subject.video.write_bytes(subject.video.read_bytes() + b"\0")
    os.utime(subject.video, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert subject.probe() == 1
    assert subject.agrees()

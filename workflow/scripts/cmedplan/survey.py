"""What Snakemake has to know of the data set: its subjects, and digests that tell of changes.

At the start of a run every subject is planned, digested, and forgotten, so that what stays in
memory depends on the number of subjects and not of clips; of a large data set it is done in a
process of its own, which gives back what it took on the way. A job that parses the workflow again
is about one subject: it lists the others and plans only its own. Nothing is kept from one
process to the next; each reads the metadata file and the folders as they are.
"""

import hashlib
import json
import pickle
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmedplan.inventory import Inventory
from cmedplan.plan import (
    PlannedClip,
    digest_clips,
    digest_numbers,
    list_subjects,
    plan_subject,
    plan_subjects,
    select_subjects,
    unknown_subject,
)

LARGE = 8 << 20
"""Bytes of metadata; above, planning takes memory that is better given back: some 170,000 rows."""

# Started where modules are found as here; `-P`: and not where it happens to be run.
_APART = (
    "import gc, pickle, sys; gc.disable(); path, *rest = pickle.load(sys.stdin.buffer); "
    "sys.path[:] = path; from cmedplan.survey import survey_all; "
    "pickle.dump(survey_all(*rest), sys.stdout.buffer)"
)


@dataclass(frozen=True, slots=True)
class SubjectSurvey:
    """Digests of a subject's clips, see `digest_clips`, and how much they are.

    `rows` is of what the metadata says, `numbers` of where it says so; `videos` gives
    the digest of the files. `size` is the number of clips and of their videos' bytes.
    """

    rows: str
    numbers: str
    videos: Inventory
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class WholeSurvey:
    """All subjects, and of the clips that belong to none the digests and how much they are."""

    subjects: dict[str, SubjectSurvey]
    rows: str
    videos: str
    size: tuple[int, int]


def survey_all(config: Mapping[str, Any], videos: Path) -> WholeSurvey:
    """Plan every subject, digest it, and forget it.

    Parameters
    ----------
    config : mapping
        The complete config.
    videos : Path
        The folder of the tables of videos.

    Raises
    ------
    PlanError
        As `make_plan` does.
    """
    root, subjects = Path(config["dataset"]["root"]), {}
    homeless: tuple[PlannedClip, ...] = ()
    for subject, clips in plan_subjects(config):
        if subject is None:
            homeless = clips
        else:
            subjects[subject] = _survey(subject, clips, root, videos)
    return WholeSurvey(
        subjects=subjects,
        rows=digest_clips(homeless, files=False) + digest_numbers(homeless),
        videos=digest_clips(homeless, files=True),
        size=_size(homeless),
    )


def survey_apart(config: Mapping[str, Any], videos: Path) -> WholeSurvey:
    """Return what `survey_all` does, of a large data set out of a process of its own.

    What planning takes is given back when that process ends. Where it fails, this one tries, and
    tells why.
    """
    dataset = config["dataset"]
    metadata = Path(dataset["root"]) / dataset["metadata"]
    if metadata.is_file() and metadata.stat().st_size > LARGE:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _APART],
            input=pickle.dumps((sys.path, dict(config), videos)),
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            found = pickle.loads(done.stdout)
            assert isinstance(found, WholeSurvey)
            return found
    return survey_all(config, videos)


class Survey:
    """The subjects of a data set, and digests of their rows and videos.

    Parameters
    ----------
    config : mapping
        The complete config.
    results : Path, optional
        The folder of all results, where it is another than the config's `output`.
    whole : bool
        Plan every subject now. Otherwise a subject is planned when it is asked for.

    Attributes
    ----------
    subjects : tuple of str
        All subjects, sorted.
    selected : tuple of str
        Those that the config asks for, sorted.

    Raises
    ------
    PlanError
        As `make_plan` does; unless `whole`, of what was read.
    """

    def __init__(
        self, config: Mapping[str, Any], results: Path | None = None, *, whole: bool
    ) -> None:
        self._config = config
        self._videos = (results or Path(config["output"])) / "videos"
        self._known: dict[str, SubjectSurvey] = {}
        self._whole: WholeSurvey | None = None
        if whole:
            self.subjects = tuple(sorted(self._complete().subjects))
        else:
            self.subjects = tuple(list_subjects(config))
        self.selected = select_subjects(config, self.subjects)

    def probed(self) -> dict[str, bool]:
        """Return of every subject whether its videos are those that were last probed."""
        found = self._complete().subjects
        return {subject: one.videos.recorded for subject, one in found.items()}

    def rows_digest(self, subject: str) -> str:
        """Return what changes when a metadata row of the subject has changed.

        Raises
        ------
        PlanError
            There is no such subject.
        """
        return self._of(subject).rows

    def videos_digest(self, subject: str) -> str:
        """Return what changes when a video of the subject has changed.

        Raises
        ------
        PlanError
            There is no such subject.
        """
        return self._of(subject).videos.digest()

    def all_rows_digest(self) -> str:
        """Return what changes when any metadata row has changed, or its place in the file."""
        whole = self._complete()
        known = [(name, one.rows, one.numbers) for name, one in sorted(whole.subjects.items())]
        return hashlib.sha256(json.dumps((known, whole.rows)).encode()).hexdigest()

    def homeless_videos_digest(self) -> str:
        """Return what changes when a video that belongs to no subject may have changed."""
        return self._complete().videos

    def size(self, subject: str | None = None) -> tuple[int, int]:
        """Return the number of clips and of bytes of their videos, of a subject or of all.

        Raises
        ------
        PlanError
            There is no such subject.
        """
        if subject is not None:
            return self._of(subject).size
        whole = self._complete()
        sizes = [whole.size, *(one.size for one in whole.subjects.values())]
        return sum(clips for clips, _ in sizes), sum(n_bytes for _, n_bytes in sizes)

    def _complete(self) -> WholeSurvey:
        if self._whole is None:
            self._whole = survey_apart(self._config, self._videos)
            self._known = self._whole.subjects
        return self._whole

    def _of(self, subject: str) -> SubjectSurvey:
        if subject not in self._known:
            clips = plan_subject(self._config, subject)
            if not clips:
                raise unknown_subject(subject, self.subjects)
            root = Path(self._config["dataset"]["root"])
            self._known[subject] = _survey(subject, clips, root, self._videos)
        return self._known[subject]


def _survey(subject: str, clips: Sequence[PlannedClip], root: Path, videos: Path) -> SubjectSurvey:
    return SubjectSurvey(
        rows=digest_clips(clips, files=False),
        numbers=digest_numbers(clips),
        videos=Inventory(clips, root, videos / f"{subject}.parquet"),
        size=_size(clips),
    )


def _size(clips: Sequence[PlannedClip]) -> tuple[int, int]:
    return len(clips), sum(clip.video.size for clip in clips if clip.video)

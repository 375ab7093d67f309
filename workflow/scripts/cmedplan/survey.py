"""What Snakemake has to know of the data set: its subjects, and digests that tell of changes.

At the start of a run every subject is planned, digested, and forgotten, so that what stays in
memory depends on the number of subjects and not of clips. A job that parses the workflow again
is about one subject: it lists the others and plans only its own. Nothing is kept from one
process to the next; each reads the metadata file and the folders as they are.
"""

import hashlib
import json
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
        self._root = Path(config["dataset"]["root"])
        self._videos = (results or Path(config["output"])) / "videos"
        self._known: dict[str, SubjectSurvey] = {}
        self._homeless: tuple[str, str, tuple[int, int]] | None = None
        if whole:
            self._complete()
            self.subjects = tuple(sorted(self._known))
        else:
            self.subjects = tuple(list_subjects(config))
        self.selected = select_subjects(config, self.subjects)

    def probed(self) -> dict[str, bool]:
        """Return of every subject whether its videos are those that were last probed."""
        self._complete()
        return {subject: found.videos.recorded for subject, found in self._known.items()}

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
        homeless, _, _ = self._complete()
        known = [(name, found.rows, found.numbers) for name, found in sorted(self._known.items())]
        return hashlib.sha256(json.dumps((known, homeless)).encode()).hexdigest()

    def homeless_videos_digest(self) -> str:
        """Return what changes when a video that belongs to no subject may have changed."""
        _, videos, _ = self._complete()
        return videos

    def size(self, subject: str | None = None) -> tuple[int, int]:
        """Return the number of clips and of bytes of their videos, of a subject or of all.

        Raises
        ------
        PlanError
            There is no such subject.
        """
        if subject is not None:
            return self._of(subject).size
        *_, homeless = self._complete()
        sizes = [homeless, *(known.size for known in self._known.values())]
        return sum(clips for clips, _ in sizes), sum(n_bytes for _, n_bytes in sizes)

    def _complete(self) -> tuple[str, str, tuple[int, int]]:
        if self._homeless is None:
            for subject, clips in plan_subjects(self._config):
                if subject is not None:
                    self._known[subject] = self._survey(subject, clips)
                else:
                    rows = digest_clips(clips, files=False) + digest_numbers(clips)
                    self._homeless = rows, digest_clips(clips, files=True), _size(clips)
            assert self._homeless is not None
        return self._homeless

    def _of(self, subject: str) -> SubjectSurvey:
        if subject not in self._known:
            clips = plan_subject(self._config, subject)
            if not clips:
                raise unknown_subject(subject, self.subjects)
            self._known[subject] = self._survey(subject, clips)
        return self._known[subject]

    def _survey(self, subject: str, clips: Sequence[PlannedClip]) -> SubjectSurvey:
        return SubjectSurvey(
            rows=digest_clips(clips, files=False),
            numbers=digest_numbers(clips),
            videos=Inventory(clips, self._root, self._videos / f"{subject}.parquet"),
            size=_size(clips),
        )


def _size(clips: Sequence[PlannedClip]) -> tuple[int, int]:
    return len(clips), sum(clip.video.size for clip in clips if clip.video)

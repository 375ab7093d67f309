"""Tell whether a subject's videos have changed since they were probed.

Snakemake would have to be told every video as an input, and would still miss content that
came with an older modification time. Instead, the job that probes a subject's videos leaves
a *record* of their sizes, times and checksums; at the next start, a video whose size or time
differs from the record is read and compared by checksum, and the others are taken as they are.
So a video that was touched, or copied anew, reruns nothing.

A record is two lines of JSON. The first holds digests alone, `timed` of all that is cheaply seen
of the videos: while it is what it was, nothing has to be compared one by one.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cmedplan.atomic import write_whole
from cmedplan.digests import digest_file
from cmedplan.plan import PlannedClip, digest_clips

_STATE, _VIDEOS = ("digest", "clips", "timed"), ("times", "checksums")
"""The keys of a record's first line, and of its second."""


def record_path(table: Path) -> Path:
    """Return where the record of a subject's table of videos lies: hidden, beside it."""
    return table.with_name(f".{table.stem}.json")


class Inventory:
    """A subject's videos as they are now, against the record of them as they were probed.

    Parameters
    ----------
    clips : iterable of PlannedClip
        All clips of the subject. They are kept only where the record cannot tell, without
        reading videos, whether these have changed.
    root : Path
        The data set's root.
    table : Path
        The subject's table of videos, which may not exist yet.

    Attributes
    ----------
    recorded : bool
        Whether the clips' files are those of the record, as far as names and sizes tell.
    """

    __slots__ = ("_digest", "_touched", "recorded")  # There are as many as subjects.

    def __init__(self, clips: Iterable[PlannedClip], root: Path, table: Path) -> None:
        clips = tuple(clips)
        self._digest = digest_clips(clips, files=True)
        self._touched: tuple[tuple[PlannedClip, ...], Path, Path] | None = None
        state = _read_state(record_path(table))
        self.recorded = True
        if state.get("timed") == self._digest:
            self._digest = str(state["digest"])
        elif state.get("clips") == digest_clips(clips, files=True, times=False):
            self._touched = (clips, root, record_path(table))
        else:
            self.recorded = False

    def digest(self) -> str:
        """Return a digest that changes when, and only when, a video has changed.

        It is the recorded one while the videos are those of the record. Where their times are
        new and their content is not, the record is brought up to date, if it can be written.
        """
        if self._touched:
            self._digest = self._compare(*self._touched)
            self._touched = None
        return self._digest

    def _compare(self, clips: tuple[PlannedClip, ...], root: Path, path: Path) -> str:
        record = _read(path)
        times = _times(clips)
        if record.get("clips") != digest_clips(clips, files=True, times=False):
            return self._digest
        checksums, recorded = record["checksums"], record["times"]
        renewed = [name for name, time in times.items() if recorded.get(name) != time]
        if any(_checksum(root / name) != checksums.get(name) for name in renewed):
            return self._digest
        _write(path, record | {"times": times, "timed": self._digest})
        return str(record["digest"])


def unchanged_videos(
    clips: Iterable[PlannedClip], table: Path, digest: str
) -> dict[str, tuple[int, str]]:
    """Return the videos that are as recorded, where others are not.

    Parameters
    ----------
    clips : iterable of PlannedClip
        All clips of the subject.
    table : Path
        The subject's table of videos, which need not exist any more.
    digest : str
        The digest of the videos as they are. Where it is the recorded one nothing has changed,
        and nothing is returned.

    Returns
    -------
    dict
        Size in bytes as it is now, and the SHA-256 that was recorded, by path below the root.
    """
    record = _read(record_path(table))
    if not record or record["digest"] == digest:
        return {}
    times, checksums = record["times"], record["checksums"]
    return {
        clip.video.path: (clip.video.size, checksums[clip.video.path])
        for clip in clips
        if clip.video
        and clip.video.path in checksums
        and times.get(clip.video.path) == clip.video.ctime_ns
    }


def write_record(
    clips: Iterable[PlannedClip], table: Path, digest: str, checksums: Mapping[str, str]
) -> None:
    """Record the videos of a subject as they were probed.

    Parameters
    ----------
    clips : iterable of PlannedClip
        All clips of the subject.
    table : Path
        The table of videos that was written.
    digest : str
        The digest under which it was written.
    checksums : mapping
        SHA-256 of each video, by its path below the root.
    """
    clips = tuple(clips)
    record = {
        "digest": digest,
        "clips": digest_clips(clips, files=True, times=False),
        "timed": digest_clips(clips, files=True),
        "times": _times(clips),
        "checksums": dict(checksums),
    }
    _write(record_path(table), record)


def _times(clips: Iterable[PlannedClip]) -> dict[str, int]:
    return {clip.video.path: clip.video.ctime_ns for clip in clips if clip.video}


def _read_state(path: Path) -> dict[str, Any]:
    """Read the digests of a record alone: its first line, whatever the number of videos."""
    try:
        with open(path, encoding="utf-8") as file:
            state = json.loads(file.readline())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) and state.keys() == set(_STATE) else {}


def _read(path: Path) -> dict[str, Any]:
    """Read a whole record, or nothing unless it is whole."""
    try:
        state, videos = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        return dict(state | videos) if videos.keys() == set(_VIDEOS) else {}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(path: Path, record: Mapping[str, Any]) -> None:
    lines = [
        json.dumps({name: record[name] for name in names}, sort_keys=True)
        for names in (_STATE, _VIDEOS)
    ]
    with suppress(OSError):  # A record that cannot be written costs time, and nothing else.
        write_whole(path, "\n".join(lines) + "\n")


def _checksum(path: Path) -> str | None:
    try:
        return digest_file(path)
    except OSError:
        return None

"""Tell whether a subject's videos have changed since they were probed.

Snakemake would have to be told every video as an input, and would still miss content that
came with an older modification time. Instead, the job that probes a subject's videos leaves
a *record* of their sizes, times and checksums; at the next start, a video whose size or time
differs from the record is read and compared by checksum, and the others are taken as they are.
So a video that was touched, or copied anew, reruns nothing.
"""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from cmedplan.atomic import write_whole
from cmedplan.digests import digest_file
from cmedplan.plan import PlannedClip, digest_clips


def record_path(table: Path) -> Path:
    """Return where the record of a subject's table of videos lies: hidden, beside it."""
    return table.with_name(f".{table.stem}.json")


def files_digest(clips: Iterable[PlannedClip], root: Path, table: Path) -> str:
    """Return a digest that changes when, and only when, a video of some clips has changed.

    It is the recorded one while the videos are those of the record. Where their times are
    new and their content is not, the record is brought up to date, if it can be written.

    Parameters
    ----------
    clips : iterable of PlannedClip
        All clips of a subject.
    root : Path
        The data set's root.
    table : Path
        The subject's table of videos, which may not exist yet.
    """
    clips = tuple(clips)
    record = _read(record_path(table))
    if record.get("clips") != digest_clips(clips, files=True, times=False):
        return digest_clips(clips, files=True)
    times = {clip.video.path: clip.video.mtime_ns for clip in clips if clip.video}
    checksums, recorded = record["checksums"], record["times"]
    renewed = [path for path, time in times.items() if recorded.get(path) != time]
    if any(_checksum(root / path) != checksums.get(path) for path in renewed):
        return digest_clips(clips, files=True)
    if renewed:
        _write(record_path(table), record | {"times": times})
    return str(record["digest"])


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
        "times": {clip.video.path: clip.video.mtime_ns for clip in clips if clip.video},
        "checksums": dict(checksums),
    }
    _write(record_path(table), record)


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write(path: Path, record: Mapping[str, Any]) -> None:
    with suppress(OSError):  # A record that cannot be written costs time, and nothing else.
        write_whole(path, json.dumps(record, sort_keys=True))


def _checksum(path: Path) -> str | None:
    try:
        return digest_file(path)
    except OSError:
        return None

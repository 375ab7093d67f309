"""What every job does around its work: a log file, progress, timings, and quiet libraries."""

import atexit
import gc
import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, ENOSPC
from pathlib import Path
from typing import TextIO

import pyarrow as pa

from cmedplan.atomic import write_whole
from cmedprep.usage import age_s, peak_mb, peak_of_children_mb, processor_s

_FULL = (ENOSPC, EDQUOT)


class Progress:
    """Says how far a job is, in its log and, now and then, on the terminal.

    Parameters
    ----------
    title : str
        What the job does, and on whose clips.
    streams : tuple of text streams
        The log, and the terminal.
    interval_s : float
        Least time between two lines on the terminal.
    """

    def __init__(self, title: str, streams: tuple[TextIO, TextIO], interval_s: float = 10) -> None:
        self.title = title
        self._log, self._terminal = streams
        self._interval = interval_s
        self._started = self._spoken = time.monotonic()
        self._clips = self._frames = self._total_clips = self._total_frames = 0

    def expect(self, clips: int, frames: int) -> None:
        """Say how much there is to do."""
        self._total_clips, self._total_frames = clips, frames

    def advance(self, clip_id: str, frames: int) -> None:
        """Report that a clip is done."""
        self._clips += 1
        self._frames += frames
        now = time.monotonic()
        rate = self._frames / max(now - self._started, 1e-3)
        left = (self._total_frames - self._frames) / rate if rate else 0.0
        line = (
            f"{self.title}: {self._clips}/{self._total_clips} clips, "
            f"{self._frames}/{self._total_frames} frames, {rate:.0f} frames/s"
        )
        print(f"{line}, {clip_id}", file=self._log, flush=True)
        if now - self._spoken >= self._interval:
            print(f"{line}, {left:.0f} s left", file=self._terminal, flush=True)
            self._spoken = now

    def say(self, text: str) -> None:
        """Report a line, in the log and on the terminal."""
        for stream in (self._log, self._terminal):
            print(f"{self.title}: {text}", file=stream, flush=True)

    def finish(self) -> None:
        """Report that all is done."""
        seconds = time.monotonic() - self._started
        what = f"{self._clips} clips, {self._frames} frames in " if self._clips else ""
        self.say(f"done, {what}{seconds:.1f} s")


@contextmanager
def logged(log: str | Path, title: str) -> Iterator[Progress]:
    """Run a job's work with its standard error in a log file.

    The libraries behind MediaPipe and FFmpeg write to file descriptor 2, below Python; so that
    is what goes to the log. Progress and errors go to the terminal as well; and so does what to
    do about a disk that is full, which leaves no room for it in the log.

    What the job took lies beside the log: of ``logs/{rule}/{subject}.log``, when all is done, in
    ``benchmarks/{rule}/{subject}.tsv``.
    """
    _spare_pandas()
    # A process that ends gives all its memory back; to look for garbage before takes 0.05 s.
    atexit.register(gc.freeze)
    terminal = os.fdopen(os.dup(2), "w", encoding="utf-8", errors="replace")
    with terminal:
        try:
            with open(log, "w", encoding="utf-8", errors="replace") as stream:
                os.dup2(stream.fileno(), 2)
                try:
                    progress = Progress(title, (stream, terminal))
                    yield progress
                    _write_timings(Path(log))
                    progress.finish()
                except BaseException:
                    with suppress(OSError):
                        traceback.print_exc(file=stream)
                        stream.flush()
                    raise
                finally:
                    sys.stderr.flush()
                    os.dup2(terminal.fileno(), 2)
        except OSError as error:
            if error.errno in _FULL:
                print(f"{title}: {_full_disk(Path(log))}", file=terminal, flush=True)
            raise


def _write_timings(log: Path) -> None:
    """Write what this process has taken up to now: one line, under the names of its columns.

    Names and units are those of Snakemake's own `benchmark`, which looks now and then and costs
    Snakemake a kilobyte for each job that it plans: `s`, seconds on the clock since the process was
    started; `max_rss`, the peak memory in MiB of it, or of a process that it has started and seen
    end, whichever is larger; `cpu_time`, processor seconds of all of them.
    """
    parts = list(log.with_suffix(".tsv").parts)
    if "logs" not in parts:
        return
    parts[len(parts) - 1 - parts[::-1].index("logs")] = "benchmarks"
    cost = {
        "s": age_s(),
        "max_rss": max(peak_mb(), peak_of_children_mb()),
        "cpu_time": processor_s(),
    }
    target = Path(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = ("\t".join(cost), "\t".join(f"{value:.2f}" for value in cost.values()))
    write_whole(target, "\n".join(lines) + "\n")


class _NoPandas:
    """A finder of modules, before which pandas is not installed."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def _spare_pandas() -> None:
    """Keep pyarrow from importing pandas, which takes as long as all else that most jobs import.

    It does so once, with the first array, for the sake of values that come as a Series. None of
    ours do. What asks for pandas by itself still gets it.
    """
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([False])
    finally:
        sys.meta_path.remove(_NoPandas)


def _full_disk(log: Path) -> str:
    """Say which disk is full, as far as a job knows: its results lie where its log does."""
    folder = log.absolute().parent
    free = shutil.disk_usage(folder).free / 1e6
    return (
        f"the disk is full (or your quota is used up) below {folder}: {free:.1f} MB are free. "
        "Make room and give the same command again; what was half-written is made anew."
    )

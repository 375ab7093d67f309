"""Probe videos in a guarded process, so that no file can bring down or hold up a job.

A decoder works on whatever bytes it is given. One that crashes, hangs or asks for too much
memory ends its process and with it the probe of one video, which gets a status and a reason;
the next video gets a new process.
"""

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cmedprep import probe_worker
from cmedprep.decoding import VideoError, VideoFacts

_CRASHES = {
    getattr(signal, name)
    for name in ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP")
}
# The worker finds modules where this process does; `-P`: and not where it happens to be run.
_START = (
    "import json, sys; path, module, *numbers = json.loads(sys.argv[1]); sys.path[:] = path; "
    "__import__('importlib').import_module(module).main(*numbers)"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What decoding one video may cost; the config's `limits`.

    `seconds` of wall time, `memory_mb` MiB of memory, `megapixels` of a frame, and `frames`.
    """

    seconds: int = 600
    memory_mb: int = 4096
    megapixels: float = 36
    frames: int = 20_000


class Prober:
    """Probes videos, one after the other, in a process that is started when it is needed.

    A context manager: the process ends with it.
    """

    def __init__(self, limits: Limits | Mapping[str, Any]) -> None:
        self.limits = limits if isinstance(limits, Limits) else Limits(**limits)
        self._worker: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def probe(self, path: Path) -> VideoFacts:
        """Decode a whole video and return what it holds.

        Raises
        ------
        VideoError
            As for `decoding.probe_video`; the decoder crashed on the video
            (``unreadable_video``), or it took more time or memory than it may (``over_limit``).
        OSError
            The file is not there or cannot be opened.
        RuntimeError
            The process was killed from outside, or had hardly any memory to begin with, which
            says nothing of the video.
        """
        answer = self._ask(path)
        if "os_error" in answer:
            raise OSError(*answer["os_error"])
        if "facts" in answer:
            return VideoFacts(**answer["facts"])
        if "cramped_mb" in answer:
            raise RuntimeError(
                f"{path} could not be decoded, perhaps for want of memory: processes may have "
                f"{answer['cramped_mb']} MB of address space here (`ulimit -v`). Raise that limit, "
                "and run the workflow again."
            )
        if "over_memory" in answer:
            raise self._over_memory()
        raise VideoError(answer["status"], answer["reason"])

    def _ask(self, path: Path) -> dict[str, Any]:
        if self._worker is None or self._worker.poll() is not None:
            self._end()
            self._worker = self._start()
        worker = self._worker
        assert worker.stdin is not None
        limits = self.limits
        request = {
            "path": str(path.absolute()),
            # The worker's own alarm, for when nobody is left to end it.
            "seconds": limits.seconds + 10,
            "bounds": {"megapixels": limits.megapixels, "frames": limits.frames},
        }
        try:
            worker.stdin.write(json.dumps(request).encode() + b"\n")
            worker.stdin.flush()
            line = self._read_line(worker)
        except BrokenPipeError:
            line = b""
        except BaseException:  # interrupted: its answer would be taken for that of the next
            self._end()
            raise
        if line.endswith(b"\n"):
            answer: dict[str, Any] = json.loads(line)
            if "last" in answer:
                self._end()
            return answer
        raise self._death_of(worker, path)

    def _start(self) -> subprocess.Popen[bytes]:
        numbers = [os.getpid(), self.limits.memory_mb]
        argument = json.dumps([sys.path, probe_worker.__name__, *numbers])
        return subprocess.Popen(
            [sys.executable, "-P", "-c", _START, argument],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def _read_line(self, worker: subprocess.Popen[bytes]) -> bytes:
        """Return the worker's answer, or what there is of it when its time is up or it dies."""
        assert worker.stdout is not None
        deadline = time.monotonic() + self.limits.seconds
        line = b""
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._over_time()
            if select.select([worker.stdout], [], [], left)[0]:
                part = os.read(worker.stdout.fileno(), 65_536)
                if not part:
                    break
                line += part
        return line

    def _death_of(self, worker: subprocess.Popen[bytes], path: Path) -> Exception:
        """Return what the end of a worker without an answer says of the video."""
        code = worker.wait()
        self._end()
        if -code in _CRASHES:
            name = signal.Signals(-code).name
            return VideoError("unreadable_video", f"the decoder crashed ({name}) on this video")
        if -code == signal.SIGALRM:
            return self._over_time()
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit status {code}"
        return RuntimeError(
            f"The process that decodes {path} was ended from outside, {how}. Run the workflow "
            f"again. If the system did so for want of memory, give the job more, or set "
            f"`limits.memory_mb` (now {self.limits.memory_mb}) below what it has."
        )

    def _over_time(self) -> VideoError:
        self._end()
        reason = f"decoding takes more than the {self.limits.seconds} s of `limits.seconds`"
        return VideoError("over_limit", reason)

    def _over_memory(self) -> VideoError:
        self._end()  # what it has allocated may be in pieces
        reason = f"decoding takes more than the {self.limits.memory_mb} MB of `limits.memory_mb`"
        return VideoError("over_limit", reason)

    def _end(self) -> None:
        if self._worker is not None:
            self._worker.kill()
            self._worker.communicate()
            self._worker = None

"""What this process has taken of the machine, up to now: memory and time."""

import os
import resource
import sys
import time
from pathlib import Path

STATUS = Path("/proc/self/status")
"""What the kernel says of this process: proc(5). Only Linux has it."""

_IMPORTED = time.monotonic()


def status_mb(name: str) -> float:
    """Return a field of `STATUS`, in MiB."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) / 1024


def peak_mb() -> float:
    """Return the most memory that this process has had, in MiB."""
    if STATUS.exists():  # `getrusage` counts on from the process that has started this one
        return status_mb("VmHWM")
    return _rss_mb(resource.RUSAGE_SELF)


def peak_of_children_mb() -> float:
    """Return the most memory, in MiB, of a process that was started here and has ended.

    It is at least what this process had when it started that one.
    """
    return _rss_mb(resource.RUSAGE_CHILDREN)


def processor_s() -> float:
    """Return the processor seconds of this process, and of those it has started that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def age_s() -> float:
    """Return the seconds since this process was started; without proc(5), since the import."""
    if not STATUS.exists():
        return time.monotonic() - _IMPORTED
    fields = STATUS.with_name("stat").read_text(errors="replace").rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf(
        "SC_CLK_TCK"
    )  # field 22, of which the name is the second
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


def _rss_mb(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)

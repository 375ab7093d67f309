"""Decode videos in a process of its own, which may die of them.

The process that `probing.Prober` starts. It reads one request from each line of its standard
input and answers each with a line on its standard output, both JSON; it ends when its input does,
and when the process that started it does. Its memory is limited, and so is its time per video:
whatever it hangs in, the kernel ends it.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av

from cmedprep.decoding import Bounds, VideoError, probe_video
from cmedprep.usage import STATUS, peak_mb, status_mb

_PR_SET_PDEATHSIG = 1


def main(parent: int, memory_mb: int) -> None:
    """Answer requests until there are none.

    Parameters
    ----------
    parent : int
        The process that asks.
    memory_mb : int
        The most memory that may be used, in MiB.
    """
    _end_with(parent)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no image of a face lands in a core dump
    # What the process allocates, not what it maps of files: libraries count for nothing.
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    av.logging.set_level(av.logging.PANIC)
    # Whatever a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        signal.alarm(request["seconds"])
        answer = _answer(Path(request["path"]), Bounds(**request["bounds"]))
        signal.alarm(0)
        if peak_mb() > memory_mb / 2:
            # A decoder that gets no memory may call it broken data. So may it be here; and as the
            # peak never falls, this process can tell it no more of the videos that come next.
            answer = answer if "facts" in answer else {"over_memory": True}
            answer["last"] = True
        if "facts" not in answer and (space_mb := _cramped_mb()):
            answer = {"cramped_mb": space_mb, "last": True}
        print(json.dumps(answer), file=answers, flush=True)


def _answer(path: Path, bounds: Bounds) -> dict[str, Any]:
    """Return the facts of a video, or the status and reason why there are none."""
    try:
        return {"facts": asdict(probe_video(path, bounds=bounds))}
    except VideoError as error:
        return {"status": error.status, "reason": str(error)}
    except MemoryError:
        return {"over_memory": True}
    except OSError as error:  # the file cannot be read, which is for the one who asks to judge
        return {"os_error": [error.errno, str(error.strerror), str(path)]}
    except Exception as error:  # A decoder has more ways to fail than anybody can name.
        reason = f"the decoder failed: {type(error).__name__}: {error}"
        return {"status": "unreadable_video", "reason": reason}


def _cramped_mb() -> int:
    """Return the MiB of address space that the system leaves us, if most of it was needed.

    Short of it, a decoder calls a sound video broken; and to want more is no fault of the video's.
    """
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if space == resource.RLIM_INFINITY or not STATUS.exists():
        return 0
    return space >> 20 if status_mb("VmPeak") > (space >> 20) / 2 else 0


def _end_with(parent: int) -> None:
    """Have the kernel end this process when its parent ends, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it has ended before it could be said
        sys.exit()

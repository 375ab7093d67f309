"""Keep runs apart, and clear the lock of a run that was killed, so that the same command goes on.

Snakemake locks a working directory by files that it removes at its end; a killed run leaves them,
and nothing in them says whose they are. So every run of ours also holds a lock of the kernel's,
which ends with the process however it ends: who gets it alone knows that the files are nobody's.
"""

import fcntl
import hashlib
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from uuid import uuid4

from cmedplan.atomic import write_whole
from cmedplan.errors import PlanError

_RUN = "CMED_RUN"
"""The variable by which a run is known to the jobs that it submits, wherever they start."""

_HELD: list[int] = []
"""Descriptors that hold locks until this process ends."""


def hold_folder(folder: Path, output: str) -> bool:
    """Take part in the lock of a working directory, and clear what dead runs have left.

    Nothing is cleared while any run of ours is alive, nor where the last one ran on another
    machine, whose locks not every network disk passes on, nor what locks other files than ours.

    Parameters
    ----------
    folder : Path
        Snakemake's own folder in the working directory, `.snakemake`.
    output : str
        The config's `output`: where the files lie that we lock.

    Returns
    -------
    bool
        Whether a dead run's lock was cleared.
    """
    try:
        folder.mkdir(exist_ok=True)
        holder = os.open(folder / "cmed-lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # a folder that is only read: Snakemake itself has something to say
        return False
    _HELD.append(holder)
    try:
        cleared = _is_alone(holder) and _clear(folder / "locks", output, holder)
        fcntl.flock(holder, fcntl.LOCK_SH)
    except OSError:  # a disk without locks, or a full one
        return False
    return cleared


def hold_output(output: Path, batch: Iterable[str] | None = None) -> bool:
    """Make the folder of results this run's alone, whatever folder other runs work in.

    Runs of batches share it, each with subjects of its own. What is locked are files: of the lock
    of a folder a network disk tells no other machine.

    Parameters
    ----------
    output : Path
        The folder of all results.
    batch : iterable of str, optional
        The subjects of this run, where it is a batch.

    Returns
    -------
    bool
        Whether the disk keeps locks. Where it does not, nothing keeps two runs apart.

    Raises
    ------
    PlanError
        Another run is writing there, or to these subjects; or the locks are not ours to take.
    """
    holder = _open(output / "logs" / ".lock")
    kind = fcntl.LOCK_EX if batch is None else fcntl.LOCK_SH
    try:
        fcntl.flock(holder, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PlanError(
            f"config key `output`: {output.absolute()}",
            expected="a folder that no other run is writing to",
            found="another run, at work there",
            remedy="wait for it, stop it, or set `output` to another folder",
        ) from None
    except OSError:
        return False
    return batch is None or _hold_subjects(output / "logs" / ".batches", batch)


def begin_run() -> None:
    """Name this run; its jobs inherit the name."""
    os.environ[_RUN] = uuid4().hex


def sign_output(output: Path) -> None:
    """Leave the name of this run where its results go, for `check_run`."""
    path = _signature(output)
    path.parent.mkdir(exist_ok=True)
    write_whole(path, os.environ[_RUN])


def check_run(output: Path) -> None:
    """Refuse to work for a run whose place another one has taken.

    A job may wait in the queue of a cluster long after its run was killed. It would remove what
    the next run has made, to make the same again.

    Raises
    ------
    PlanError
        Another run has signed the output since this job was submitted.
    """
    try:
        newest = _signature(output).read_text(encoding="utf-8")
    except OSError:
        return
    if os.environ.get(_RUN, newest) != newest:
        raise PlanError(
            f"config key `output`: {output.absolute()}",
            expected="to be written by the run that has submitted this job",
            found="a later run, which has taken its place",
            remedy="nothing: this job was left in the queue when its run was killed",
        )


def _signature(output: Path) -> Path:
    return output / "logs" / ".run"


def _open(path: Path) -> int:
    """Open a file that is there to be locked, and keep it open until this process ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        holder = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        raise PlanError(
            f"config key `output`: {path.parent.parent.absolute()}",
            expected="a folder with files that can be written",
            found=f"no right to write to {path.absolute()}",
            remedy="have its owner give the right to your group (`chmod -R g+rwX`, `umask 002`), "
            "or set `output` to another folder",
        ) from None
    _HELD.append(holder)
    return holder


def _hold_subjects(path: Path, subjects: Iterable[str]) -> bool:
    """Lock one byte of a file for each subject; they need not be there to be locked."""
    holder = _open(path)
    for subject in subjects:
        place = int.from_bytes(hashlib.sha256(subject.encode()).digest()[:7], "big")
        try:
            fcntl.lockf(holder, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            raise PlanError(
                f"subject `{subject}`",
                expected="a subject that no other run is at work on",
                found="another run of a batch that has it, too",
                remedy="let all batches that run at once be of the same number, k/n with one n",
            ) from None
        except OSError:
            return False
    return True


def _is_alone(holder: int) -> bool:
    try:
        fcntl.flock(holder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _clear(locks: Path, output: str, holder: int) -> bool:
    """Remove Snakemake's locks of our files, and note that this machine runs here now."""
    ours = [path for path in sorted(locks.glob("*.lock")) if _locks_ours(path, output)]
    here = platform.node().encode()
    if ours and os.pread(holder, 1000, 0) != here:
        return False
    for path in ours:
        path.unlink(missing_ok=True)
    os.truncate(holder, 0)
    os.pwrite(holder, here, 0)
    return bool(ours)


def _locks_ours(path: Path, output: str) -> bool:
    with open(path, encoding="utf-8", errors="replace") as lock:
        return any(line.startswith(output + os.sep) for line in lock)

"""Run a command that gets no network socket: `python tests/offline.py COMMAND …`.

The kernel itself refuses sockets of the Internet to every process of the command, or kills the
process that asks for one, whatever library it does so from. (seccomp-BPF, see seccomp(2); needs
no privilege.)
"""

import ctypes
import errno
import os
import platform
import struct
import sys
from pathlib import Path

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000
REFUSE = 0x00050000 | errno.EACCES
LOAD_WORD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06
AF_INET, AF_INET6 = 2, 10

# Number of the system call socket(2), and the audit code of the architecture.
SOCKET = {"x86_64": (41, 0xC000003E), "aarch64": (198, 0xC00000B7)}


def forbid_sockets(deadly: bool) -> None:
    """Have the kernel refuse such sockets to this process and to those that it starts.

    Parameters
    ----------
    deadly : bool
        Kill the process that asks, instead of giving it an error.

    Raises
    ------
    OSError
        The kernel does not do that here.
    """
    number, architecture = SOCKET[platform.machine()]
    # Fields of struct seccomp_data: nr at 0, arch at 4, args[0] at 16 (its low half).
    program = [
        (LOAD_WORD, 0, 0, 4),
        (JUMP_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL_PROCESS),
        (LOAD_WORD, 0, 0, 0),
        (JUMP_EQUAL, 0, 4, number),
        (LOAD_WORD, 0, 0, 16),
        (JUMP_EQUAL, 1, 0, AF_INET),
        (JUMP_EQUAL, 0, 1, AF_INET6),
        (RETURN, 0, 0, KILL_PROCESS if deadly else REFUSE),
        (RETURN, 0, 0, ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in program)
    buffer = ctypes.create_string_buffer(code)
    header = struct.pack("HxxxxxxP", len(program), ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp is not available")


def filter_jobs(folder: Path) -> dict[str, str]:
    """Return the environment in which every job dies that asks for a socket.

    Each says `filtered` first. `folder` is one that Python is to find its start-up code in.
    """
    (folder / "sitecustomize.py").write_text(
        "import sys\n"
        "if any('.snakemake/scripts/' in word for word in sys.orig_argv):\n"
        "    from tests.offline import forbid_sockets\n"
        "    forbid_sockets(deadly=True)\n"
        "    print('filtered', file=sys.stderr)\n"
    )
    repository = Path(__file__).resolve().parents[1]
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(repository)])}


if __name__ == "__main__":
    forbid_sockets(deadly=False)
    os.execvp(sys.argv[1], sys.argv[1:])

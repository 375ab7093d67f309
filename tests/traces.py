"""Which files and sockets a command and all its children ask the kernel for, by strace."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILES = "open,openat,creat,rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat"
FILES += ",symlink,symlinkat,link,linkat,truncate,mknod,mknodat"
SOCKETS = "socket,connect,bind,sendto,sendmsg,sendmmsg"

_CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (-?\d+)(?:<(.*)>)?")
_PATH = re.compile(r'(?:AT_FDCWD|\d+)(?:<((?:[^>\\]|\\.)*)>)?, "((?:[^"\\]|\\.)*)"')
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"')
_WRITING = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC|APPEND|TMPFILE)")


@dataclass(frozen=True)
class Call:
    """A system call that succeeded: its name, its words, and the absolute paths in it."""

    name: str
    words: str
    paths: tuple[str, ...]

    @property
    def writes(self) -> bool:
        return not self.name.startswith("open") or bool(_WRITING.search(self.words))


@cache
def works() -> bool:
    """Tell whether strace is there and may trace."""
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=openat", "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


def prefix(trace: Path, calls: str) -> tuple[str, ...]:
    """Return what to put before a command to have its calls written to a file."""
    options = ("-f", "--seccomp-bpf", "-qq", "-y", "-s", "4096", "-o", str(trace))
    return ("strace", *options, "-e", f"trace={calls}")


def calls(trace: Path, folder: Path) -> Iterator[Call]:
    """Yield the file calls of a trace that succeeded; `folder` is where relative paths begin."""
    for line in _whole_lines(trace):
        match = _CALL.match(line)
        if match is None or match[3].startswith("-"):
            continue
        name, words, _, opened = match.groups()
        named = [(place or str(folder), path) for place, path in _PATH.findall(words)]
        if not named:
            named = [(str(folder), path) for path in _STRING.findall(words)]
        paths = [str(Path(_plain(place)) / _plain(path)) for place, path in named]
        yield Call(name, words, (*paths, *([_plain(opened)] if opened else ())))


def _whole_lines(trace: Path) -> Iterator[str]:
    """Put together the calls in whose midst another thread had its turn."""
    begun: dict[str, str] = {}
    for line in trace.read_text(errors="replace").splitlines():
        process = line.split(" ", 1)[0]
        if line.endswith("<unfinished ...>"):
            begun[process] = line.removesuffix("<unfinished ...>").rstrip()
        elif " resumed>" in line:
            yield begun.pop(process, process) + line.split(" resumed>", 1)[1]
        else:
            yield line


def _plain(text: str) -> str:
    """Undo strace's escapes."""
    return (
        text.encode("latin-1", "replace")
        .decode("unicode_escape")
        .encode("latin-1")
        .decode(errors="surrogateescape")
    )

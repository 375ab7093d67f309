"""Files and folders that appear whole or not at all.

They are made under another name, hidden, beside their place, and renamed when they are complete.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


def part_of(path: Path) -> Path:
    """Return a name beside a path under which it can be made, not used by anybody else."""
    return path.with_name(f".{path.name}.{uuid4().hex[:12]}.part")


def clear_parts(path: Path) -> None:
    """Remove what killed jobs have left of earlier attempts at making a path.

    A job that was given up and still runs somewhere fails when it misses its part; the job
    that clears is the one that is meant to make the path.
    """
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{12}}\.part")
    for sibling in path.parent.glob(".*.part"):
        if pattern.fullmatch(sibling.name):
            if sibling.is_dir():
                shutil.rmtree(sibling, ignore_errors=True)
            else:
                sibling.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a text file, as UTF-8, that appears whole or not at all."""
    clear_parts(path)
    part = part_of(path)
    try:
        with open(part, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def fresh_folder(path: Path) -> Iterator[Path]:
    """Give a new folder to fill, which takes the place of `path` when the block ends.

    What a killed job has left of an earlier attempt is removed first. When the block fails,
    the new folder is removed and `path` stays as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    clear_parts(path)
    part, old = part_of(path), part_of(path)
    part.mkdir()
    try:
        yield part
        if path.exists():
            path.rename(old)
        part.rename(path)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)

"""Read the data set's metadata file, as people really write such files."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import dropwhile
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from cmedplan.errors import PlanError
from cmedplan.names import emotion_key, key

COLUMNS = ("subject", "filename", "emotion", "apex_frame")
DELIMITERS = (",", ";", "\t")


class MetadataRow(NamedTuple):
    """One row of the metadata file, every cell as it was written.

    `number` counts data rows from 1, in the file's order. `surplus` tells that the row
    has more filled cells than the header has columns, so that its cells cannot be trusted.
    """

    number: int
    subject: str
    filename: str
    emotion: str
    apex_frame: str
    surplus: bool = False


def read_metadata(
    path: Path, columns: Mapping[str, str | None], subject: str | None = None
) -> list[MetadataRow]:
    """Read all rows of the metadata file, or those of one subject.

    Commas, semicolons or tabs may separate the cells; a byte order mark, CRLF line ends,
    quoted line breaks and wholly blank lines are taken as they come. A column is known by
    its name despite case, spaces and underscores, so that both published headers
    (``apex_frame``, ``Apex Frame``) are recognised.

    Parameters
    ----------
    path : Path
        The CSV file.
    columns : mapping
        For each of `COLUMNS` the header to look for where it is another, or None.
    subject : str, optional
        The subject whose rows are wanted, under whatever spelling.

    Raises
    ------
    PlanError
        The file is missing, no text, empty, or lacks a column.
    """
    wanted = None if subject is None else key(subject)
    return [
        MetadataRow(*row)
        for row in _read_rows(path, columns)
        if wanted is None or key(row[1]) == wanted
    ]


def count_subjects(path: Path, columns: Mapping[str, str | None]) -> Counter[str]:
    """Return how many rows of the metadata file have each spelling of each subject.

    Raises
    ------
    PlanError
        As `read_metadata` does.
    """
    return Counter(row[1] for row in _read_rows(path, columns))


def _read_rows(
    path: Path, columns: Mapping[str, str | None]
) -> Iterator[tuple[int, str, str, str, str, bool]]:
    """Yield the fields of `MetadataRow` for each row, without keeping the file in memory."""
    with _open_text(path) as open_lines:
        header, delimiter = _read_header(path, open_lines)
        positions = _locate_columns(path, header, columns)
        pick = itemgetter(*(positions[column] for column in COLUMNS))
        width, number = len(header), 0
        reader = csv.reader(open_lines(), delimiter=delimiter, strict=True)
        try:
            next(reader)
            for cells in reader:
                if len(cells) < width:
                    cells += [""] * (width - len(cells))
                subject, filename, emotion, apex_frame = pick(cells)
                if not subject.strip() and not any(cell.strip() for cell in cells):
                    continue
                surplus = len(cells) > width and any(cell.strip() for cell in cells[width:])
                number += 1
                yield number, subject, filename, emotion, apex_frame, surplus
        except csv.Error as error:
            raise PlanError(
                str(path),
                expected="a CSV file",
                found=f"line {reader.line_num}: {error}",
                remedy="repair that line; a quotation mark that is never closed is the usual cause",
            ) from error


@contextmanager
def _open_text(path: Path) -> Iterator[Callable[[], Iterator[str]]]:
    """Give a function that reads the file's lines from the first one that is not blank."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:

            def open_lines() -> Iterator[str]:
                file.seek(0)
                return dropwhile(lambda line: not line.strip("\r\n"), file)

            if not any(line.strip() for line in file):
                raise PlanError(
                    str(path), expected="a header and one row for each clip", found="an empty file"
                )
            yield open_lines
    except OSError as error:
        raise PlanError(
            str(path),
            expected="the data set's metadata file",
            found=error.strerror or str(error),
            remedy="set `dataset.metadata` to its name inside `dataset.root`",
        ) from error
    except UnicodeDecodeError as error:
        raise PlanError(
            str(path),
            expected="text in UTF-8",
            found=_first_fault(path) or str(error),
            remedy="save the table as 'CSV UTF-8'",
        ) from error
    except ValueError as error:
        raise PlanError(
            "config key `dataset.metadata`",
            expected="a file name",
            found=f"{str(path)!r}: {error}",
        ) from error


def _first_fault(path: Path) -> str | None:
    """Say which byte of a file is not UTF-8: what is read in pieces does not know where it is."""
    content = path.read_bytes()
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return f"byte 0x{content[error.start]:02x} at offset {error.start}"
    return None


def _read_header(path: Path, open_lines: Callable[[], Iterator[str]]) -> tuple[list[str], str]:
    """Split the header by the delimiter that gives the most columns."""
    candidates = []
    for delimiter in DELIMITERS:
        try:
            header = next(csv.reader(open_lines(), delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration):
            continue
        candidates.append(([cell.strip() for cell in header], delimiter))
    if not candidates:
        raise PlanError(str(path), expected="a CSV header", found=repr(next(open_lines())[:60]))
    return max(candidates, key=lambda candidate: len(candidate[0]))


def _locate_columns(
    path: Path, header: Sequence[str], columns: Mapping[str, str | None]
) -> dict[str, int]:
    positions = {}
    for column in COLUMNS:
        wanted = columns.get(column) or column
        # Emotion keys drop every separator: `Apex Frame`, `apex_frame` and `apexframe` are one.
        found = [i for i, name in enumerate(header) if emotion_key(name) == emotion_key(wanted)]
        if len(found) != 1:
            raise PlanError(
                str(path),
                expected=f"one column `{wanted}`",
                found=f"{'no such column' if not found else 'several'} among "
                + ", ".join(f"`{name}`" for name in header),
                remedy=f"name the right one in `dataset.columns.{column}`",
            )
        positions[column] = found[0]
    return positions

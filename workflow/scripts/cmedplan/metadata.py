"""Read the data set's metadata file, as people really write such files."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cmedplan.errors import PlanError
from cmedplan.names import emotion_key

COLUMNS = ("subject", "filename", "emotion", "apex_frame")
DELIMITERS = (",", ";", "\t")


@dataclass(frozen=True, slots=True)
class MetadataRow:
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


def read_metadata(path: Path, columns: Mapping[str, str | None]) -> list[MetadataRow]:
    """Read all rows of the metadata file.

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

    Raises
    ------
    PlanError
        The file is missing, no text, empty, or lacks a column.
    """
    text = _read_text(path)
    header, delimiter = _read_header(path, text)
    positions = _locate_columns(path, header, columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[MetadataRow] = []
    try:
        next(reader)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            named = {
                column: cells[position] if position < len(cells) else ""
                for column, position in positions.items()
            }
            surplus = any(cell.strip() for cell in cells[len(header) :])
            rows.append(MetadataRow(number=len(rows) + 1, surplus=surplus, **named))
    except csv.Error as error:
        raise PlanError(
            str(path),
            expected="a CSV file",
            found=f"line {reader.line_num}: {error}",
            remedy="repair that line; a quotation mark that is never closed is the usual cause",
        ) from error
    return rows


def _read_text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
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
            found=f"byte 0x{error.object[error.start]:02x} at offset {error.start}",
            remedy="save the table as 'CSV UTF-8'",
        ) from error
    except ValueError as error:
        raise PlanError(
            "config key `dataset.metadata`",
            expected="a file name",
            found=f"{str(path)!r}: {error}",
        ) from error
    if not text.strip():
        raise PlanError(
            str(path), expected="a header and one row for each clip", found="an empty file"
        )
    return text.lstrip("\r\n")


def _read_header(path: Path, text: str) -> tuple[list[str], str]:
    """Split the header by the delimiter that gives the most columns."""
    candidates = []
    for delimiter in DELIMITERS:
        try:
            lines = io.StringIO(text, newline="")
            header = next(csv.reader(lines, delimiter=delimiter, strict=True))
        except (csv.Error, StopIteration):
            continue
        candidates.append(([cell.strip() for cell in header], delimiter))
    if not candidates:
        raise PlanError(str(path), expected="a CSV header", found=repr(text[:60]))
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

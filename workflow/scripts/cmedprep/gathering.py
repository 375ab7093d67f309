"""The ledgers of all subjects as one table, in order, with few of its rows in memory.

The metadata file is read once, and its subjects come in no order. So what is kept of a subject is
the number of each of its rows, and of what has no ledger of its own, a table as small as Parquet
makes it: some twenty bytes a row.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cmedplan.plan import PlannedClip
from cmedprep.schemas import CLIPS

ROWS_AT_ONCE = 20_000
"""Rows of a row group, and so of what is in memory at once: about 10 MB."""

_NO_ROW = -1


class Gathering:
    """What is known of each subject until all are known and can be written in order.

    Parameters
    ----------
    ledgers : mapping
        The tables of `schemas.INDEX` that there are, by subject.
    """

    def __init__(self, ledgers: Mapping[str, Path]) -> None:
        self._ledgers = ledgers
        self._expected: dict[str, tuple[bytes, np.ndarray]] = {}
        self._listed: dict[str | None, bytes] = {}

    def expect(self, subject: str | None, clips: Sequence[PlannedClip]) -> bool:
        """Keep where the rows of a subject are in the metadata file, if it has a ledger.

        Returns
        -------
        bool
            Whether it has one. Otherwise its rows are to be added.
        """
        if subject is None or subject not in self._ledgers:
            return False
        self._expected[subject] = _digest([clip.clip_id for clip in clips]), _numbers(clips)
        return True

    def add(
        self, subject: str | None, clips: Sequence[PlannedClip], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Add the rows of `schemas.INDEX` of a subject without a ledger; of nobody with None."""
        table = pa.Table.from_pylist(list(rows), schema=CLIPS.remove(len(CLIPS) - 1))
        self._listed[subject] = _packed(_numbered(table, _numbers(clips)))

    def subjects(self) -> set[str]:
        """Return all subjects of the data set."""
        return {*self._expected, *filter(None, self._listed)}

    def tables(self) -> Iterator[pa.Table]:
        """Yield all rows of `schemas.CLIPS`, subject by subject, those of nobody last.

        Raises
        ------
        RuntimeError
            A ledger is not of the clips that the subject has now.
        """
        batch: list[pa.Table] = []
        for subject in [*sorted(self.subjects()), None]:
            batch.append(self._rows_of(subject))
            if sum(map(len, batch)) >= ROWS_AT_ONCE:
                yield pa.concat_tables(batch).combine_chunks()
                batch = []
        yield pa.concat_tables([CLIPS.empty_table(), *batch]).combine_chunks()

    def _rows_of(self, subject: str | None) -> pa.Table:
        if subject not in self._expected:
            return _read(io.BytesIO(self._listed[subject]))
        digest, numbers = self._expected[subject]
        ledger = _read(self._ledgers[subject])
        if _digest(ledger["clip_id"].to_pylist()) != digest:
            raise RuntimeError(
                f"The clips of {subject} have changed since the workflow was started. Run it again."
            )
        return _numbered(ledger, numbers)


def _read(table: Path | io.BytesIO) -> pa.Table:
    # By itself Arrow reads in threads of its own, and one that is slow to end at the end of the
    # process aborts it.
    with pq.ParquetFile(table) as file:
        return file.read(use_threads=False)


def _numbers(clips: Sequence[PlannedClip]) -> np.ndarray:
    return np.array([clip.row.number if clip.row else _NO_ROW for clip in clips], dtype=np.int32)


def _numbered(rows: pa.Table, numbers: np.ndarray) -> pa.Table:
    column = pa.array(numbers, pa.int32(), mask=numbers == _NO_ROW)
    named = rows.append_column("metadata_row", column)
    return named.select(CLIPS.names).cast(CLIPS)


def _packed(table: pa.Table) -> bytes:
    packed = io.BytesIO()
    pq.write_table(table, packed, compression="zstd")
    return packed.getvalue()


def _digest(clip_ids: Sequence[str]) -> bytes:
    return hashlib.sha256("\0".join(clip_ids).encode()).digest()

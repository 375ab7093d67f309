"""The ledgers of all subjects as one table, in order, with few of its rows in memory.

The metadata file is read once, and its subjects come in no order. So what is kept of a subject is
the number of each of its rows, and of what has no ledger of its own, a table as small as Parquet
makes it: some twenty bytes a row.
"""

import hashlib
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cmedplan.plan import PlannedClip
from cmedprep.schemas import CLIPS, INDEX
from cmedprep.tables import open_table

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
        table = pa.Table.from_pylist(list(rows), schema=INDEX)
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
        copies = self._copies()
        batch: list[pa.Table] = []
        for subject in self._in_order():
            rows = self._rows_of(subject)
            same = pa.array(_other_copies(rows, copies), pa.string())
            batch.append(rows.append_column("same_video", same).select(CLIPS.names).cast(CLIPS))
            if sum(map(len, batch)) >= ROWS_AT_ONCE:
                yield pa.concat_tables(batch).combine_chunks()
                batch = []
        yield pa.concat_tables([CLIPS.empty_table(), *batch]).combine_chunks()

    def _in_order(self) -> list[str | None]:
        return [*sorted(self.subjects()), *([None] if None in self._listed else [])]

    def _copies(self) -> dict[str, list[str]]:
        """Return the clips of each video that more than one clip has, by its checksum.

        Of most videos no more is kept than eight bytes, for a moment.
        """
        beginnings = [
            np.array([int(digest[:16], 16) for digest, _ in self._digests(subject)], np.uint64)
            for subject in self._in_order()
        ]
        found, counts = np.unique(np.concatenate(beginnings), return_counts=True)
        several = set(found[counts > 1].tolist())
        clips: defaultdict[str, list[str]] = defaultdict(list)
        for subject in self._in_order() if several else ():
            for digest, clip_id in self._digests(subject):
                if int(digest[:16], 16) in several:
                    clips[digest].append(clip_id)
        return clips

    def _digests(self, subject: str | None) -> Iterator[tuple[str, str]]:
        """Yield checksum and clip of each row of a subject that has a video."""
        rows = _read(self._source(subject), ["clip_id", "sha256"])
        return ((digest, clip_id) for digest, clip_id in _videos(rows) if digest)

    def _rows_of(self, subject: str | None) -> pa.Table:
        rows = _read(self._source(subject))
        if subject not in self._expected:
            return rows
        digest, numbers = self._expected[subject]
        if _digest(rows["clip_id"].to_pylist()) != digest:
            raise RuntimeError(
                f"The clips of {subject} have changed since the workflow was started. Run it again."
            )
        return _numbered(rows, numbers)

    def _source(self, subject: str | None) -> Path | io.BytesIO:
        if subject in self._expected:
            return self._ledgers[subject]
        return io.BytesIO(self._listed[subject])


def _read(table: Path | io.BytesIO, columns: Sequence[str] | None = None) -> pa.Table:
    # By itself Arrow reads in threads of its own, and one that is slow to end at the end of the
    # process aborts it.
    with open_table(table) as file:
        return file.read(columns, use_threads=False)


def _other_copies(rows: pa.Table, copies: Mapping[str, list[str]]) -> list[str | None]:
    """Return for each row another clip that has the same video, or None."""
    return [
        next((other for other in copies.get(digest, ()) if other != clip_id), None)
        for digest, clip_id in _videos(rows)
    ]


def _videos(rows: pa.Table) -> Iterator[tuple[str, str]]:
    return zip(rows["sha256"].to_pylist(), rows["clip_id"].to_pylist(), strict=True)


def _numbers(clips: Sequence[PlannedClip]) -> np.ndarray:
    return np.array([clip.row.number if clip.row else _NO_ROW for clip in clips], dtype=np.int32)


def _numbered(rows: pa.Table, numbers: np.ndarray) -> pa.Table:
    column = pa.array(numbers, pa.int32(), mask=numbers == _NO_ROW)
    return rows.append_column("metadata_row", column)


def _packed(table: pa.Table) -> bytes:
    packed = io.BytesIO()
    pq.write_table(table, packed, compression="zstd")
    return packed.getvalue()


def _digest(clip_ids: Sequence[str]) -> bytes:
    return hashlib.sha256("\0".join(clip_ids).encode()).digest()

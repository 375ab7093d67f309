"""Write and read Parquet tables that appear whole or not at all, and digest their rows."""

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cmedplan.atomic import clear_parts, part_of

PROVENANCE_KEY = b"cmed"
CLIP_KEY_NAMES = ("clip_id", "subject", "emotion", "filename")
FRAME_KEY_NAMES = (*CLIP_KEY_NAMES, "frame_index", "timestamp_s")

BY_PART = {"samples": "sample_apex", "motion": "measure_motion"}
"""The folders of results with a folder for each scheme or method, and the rules that make them."""


class TableWriter:
    """Writes a Parquet file clip by clip, under a temporary name until it is complete.

    The file carries `provenance` in its metadata, and nothing that differs from one run to
    the next: equal rows give an equal file. It is renamed to `path` when the block ends, and
    removed when the block fails.

    Parameters
    ----------
    path : Path
        Where the finished file is to be.
    schema : pyarrow.Schema
        The table's columns.
    provenance : mapping
        Parameters, code and models behind the rows, as JSON can hold them.
    """

    def __init__(self, path: Path, schema: pa.Schema, provenance: Mapping[str, Any]) -> None:
        text = json.dumps(provenance, sort_keys=True, ensure_ascii=False)
        self.path = path
        self.schema = schema.with_metadata(
            {**(schema.metadata or {}), PROVENANCE_KEY: text.encode()}
        )
        self._temporary = part_of(path)

    def __enter__(self) -> "TableWriter":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        clear_parts(self.path)
        self._writer = pq.ParquetWriter(
            self._temporary,
            self.schema,
            compression="zstd",
            write_statistics=True,
            write_page_checksum=True,
            # Of pixels and floating-point numbers hardly one is met twice.
            use_dictionary=[field.name for field in self.schema if pa.types.is_string(field.type)],
        )
        return self

    def write(self, rows: Sequence[Mapping[str, Any]] | pa.Table) -> None:
        """Append rows, as dictionaries or as a table with the writer's columns."""
        if not isinstance(rows, pa.Table):
            rows = pa.Table.from_pylist(list(rows), schema=self.schema)
        if rows.num_rows:
            self._writer.write_table(rows.cast(self.schema))

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self._writer.close()
            if kind is None:
                with open(self._temporary, "rb") as file:
                    os.fsync(file.fileno())
                os.replace(self._temporary, self.path)
        finally:  # On a full disk closing fails, too.
            self._temporary.unlink(missing_ok=True)


def write_table(
    path: Path,
    schema: pa.Schema,
    rows: Sequence[Mapping[str, Any]] | pa.Table,
    provenance: Mapping[str, Any],
) -> None:
    """Write all rows of a table at once; see `TableWriter`."""
    with TableWriter(path, schema, provenance) as writer:
        writer.write(rows)


def open_table(source: Any) -> pq.ParquetFile:
    """Open a table to be read; a page whose checksum is wrong raises OSError when it is."""
    return pq.ParquetFile(source, page_checksum_verification=True)


def read_rows(path: Path, columns: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Read a table of clips as dictionaries. For tables of frames use `iterate_clips`."""
    with _whole(path), open_table(path) as file:
        rows: list[dict[str, Any]] = file.read(columns, use_threads=False).to_pylist()
    return rows


def read_provenance(path: Path) -> dict[str, Any]:
    """Return what a table says of its own making."""
    with _whole(path):
        found = pq.read_schema(path).metadata or {}
    provenance: dict[str, Any] = json.loads(found.get(PROVENANCE_KEY, b"{}"))
    return provenance


def iterate_clips(path: Path, without: Collection[str] = ()) -> Iterator[tuple[str, pa.Table]]:
    """Yield the rows of each clip of a table, holding only one row group in memory.

    A writer appends one clip at a time, so every row group holds whole clips. Columns that are
    named in `without` are left unread.
    """
    with _whole(path):
        file = open_table(path)
    with file:
        names = [name for name in file.schema_arrow.names if name not in without]
        for group in range(file.num_row_groups):
            with _whole(path):
                rows = file.read_row_group(group, columns=names, use_threads=False)
            for clip_id in pc.unique(rows["clip_id"]).to_pylist():
                yield clip_id, rows.filter(pc.equal(rows["clip_id"], clip_id))


def join_clips(path: Path, *others: Path) -> Iterator[tuple[str, pa.Table, *tuple[pa.Table, ...]]]:
    """Yield each clip of a table with its rows there and in other tables.

    The others have the same clips in the same order, and perhaps more.
    """
    beside = [iterate_clips(other) for other in others]
    for clip_id, rows in iterate_clips(path):
        yield clip_id, rows, *(_rows_of(clip_id, clips) for clips in beside)


def _rows_of(clip_id: str, clips: Iterator[tuple[str, pa.Table]]) -> pa.Table:
    return next(rows for found, rows in clips if found == clip_id)


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Say which table it is that cannot be read; Arrow does not."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise RuntimeError(
            f"{path} should be a whole Parquet table, and is not: {error}. It was changed after "
            "it had been made, or the disk has lost a part of it. Remove it and run the workflow "
            "again, which makes it anew."
        ) from error


def fixed_list(values: np.ndarray, present: np.ndarray, kind: pa.FixedSizeListType) -> pa.Array:
    """Make a column of fixed-size lists, null where `present` is False.

    Parameters
    ----------
    values : ndarray, shape (n, ...)
        One array for each row, of `kind.list_size` elements.
    present : ndarray of bool, shape (n,)
        Which rows have a value.
    kind : pyarrow.FixedSizeListType
        The column's type.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    flat = np.where(np.repeat(present, kind.list_size), flat, 0)
    items = pa.array(flat, type=kind.value_type)
    return pa.FixedSizeListArray.from_arrays(items, type=kind, mask=pa.array(~present))


def to_array(column: pa.ChunkedArray | pa.Array, shape: tuple[int, ...]) -> np.ndarray:
    """Return a column of fixed-size lists as an array of shape ``(n, *shape)``, NaN for null.

    One axis of `shape` may be -1.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    missing = array.is_null().to_numpy(zero_copy_only=False)
    size = array.type.list_size
    values = array.fill_null([0.0] * size) if missing.any() else array
    flat = values.flatten().to_numpy(zero_copy_only=False)
    known = -int(np.prod(shape)) if -1 in shape else 1
    whole = [size // known if n == -1 else n for n in shape]
    result: np.ndarray = flat.reshape(len(array), *whole).copy()
    result[missing] = np.nan
    return result


def digest_rows(table: pa.Table) -> str:
    """Return the SHA-256 of a table's content, free of how it is stored.

    Column by column: name, type, which rows are null, and the values, numbers as
    little-endian bytes and text as UTF-8 behind its length. Null rows count as zeros.
    """
    digest = hashlib.sha256()
    for name in table.column_names:
        array = table[name].combine_chunks()
        digest.update(f"{name}\0{_type_name(array.type)}\0".encode())
        _digest_array(digest, array)
    return digest.hexdigest()


def _type_name(kind: pa.DataType) -> str:
    # Arrow's own name of a list holds its item's, which Parquet files rename.
    return (
        f"{kind.value_type}[{kind.list_size}]" if pa.types.is_fixed_size_list(kind) else str(kind)
    )


def _digest_array(digest: "hashlib._Hash", array: pa.Array) -> None:
    digest.update(array.is_null().to_numpy(zero_copy_only=False).tobytes())
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        whole = array.fill_null([0] * kind.list_size) if array.null_count else array
        _digest_array(digest, whole.flatten())
    elif pa.types.is_string(kind):
        for text in array.to_pylist():
            data = (text or "").encode()
            digest.update(len(data).to_bytes(8, "little") + data)
    else:
        zero = False if pa.types.is_boolean(kind) else 0
        values = array.fill_null(zero).to_numpy(zero_copy_only=False)
        digest.update(values.astype(values.dtype.newbyteorder("<")).tobytes())


def frame_keys(
    clip: Mapping[str, Any], indices: Sequence[int] | np.ndarray, times: Sequence[float]
) -> dict[str, Any]:
    """Return the columns that name frames: the clip's keys, frame indices and times."""
    columns: dict[str, Any] = {name: [clip[name]] * len(indices) for name in CLIP_KEY_NAMES}
    return columns | {"frame_index": indices, "timestamp_s": times}

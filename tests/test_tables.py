"""Tables appear whole or not at all, are equal for equal rows, and say how they were made."""

import contextlib
import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmedprep.schemas import FACES, LANDMARKS, MATRIX
from cmedprep.tables import (
    FRAME_KEY_NAMES,
    TableWriter,
    digest_rows,
    fixed_list,
    frame_keys,
    iterate_clips,
    read_provenance,
    read_rows,
    to_array,
    write_table,
)
from tests.disks import small_disk

POINT = pa.list_(pa.float32(), 2)
REPOSITORY = Path(__file__).resolve().parents[1]
SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("n", pa.int32()),
        pa.field("x", pa.float64()),
        pa.field("seen", pa.bool_()),
        pa.field("point", POINT),
    ]
)
PROVENANCE = {"stage": "test", "parameters": {"size": 224, "names": ["\u00e9", None]}, "f": 0.1}
ROWS = [
    {"clip_id": "S1/Happy/a", "n": 1, "x": 0.5, "seen": True, "point": [1.0, 2.0]},
    {"clip_id": "S1/Happy/a", "n": None, "x": None, "seen": None, "point": None},
    {"clip_id": "S1/Sad/b", "n": 3, "x": float("inf"), "seen": False, "point": [3.0, 4.0]},
]


def table(rows: list[dict[str, Any]] = ROWS) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


# --- whole or not at all ---------------------------------------------------------------------


def test_a_flipped_bit_is_noticed_wherever_it_lies(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "x": x, "n": n} for n, x in enumerate(np.random.default_rng(0).random(400))]
    path = tmp_path / "t.parquet"
    write_table(path, SCHEMA, rows, {})
    data = path.read_bytes()
    data_ends = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    for place in range(4, data_ends, 97):
        path.write_bytes(data[:place] + bytes([data[place] ^ 16]) + data[place + 1 :])
        with contextlib.suppress(RuntimeError):  # but for parts of headers that nobody needs
            assert read_rows(path) == rows


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_table(tmp_path / "new" / "folder" / "t.parquet", SCHEMA, ROWS, PROVENANCE)
    assert read_rows(tmp_path / "new/folder/t.parquet") == ROWS
    assert pq.read_schema(tmp_path / "new/folder/t.parquet").remove_metadata() == SCHEMA


def test_a_table_without_rows_still_has_its_columns(tmp_path: Path) -> None:
    write_table(tmp_path / "t.parquet", SCHEMA, [], PROVENANCE)
    assert read_rows(tmp_path / "t.parquet") == []
    assert pq.read_table(tmp_path / "t.parquet").schema.names == SCHEMA.names
    assert list(iterate_clips(tmp_path / "t.parquet")) == []


class Trouble(BaseException):
    """What ends a job: an error, an interrupt, an exit."""


def fail_halfway(path: Path) -> None:
    with TableWriter(path, SCHEMA, PROVENANCE) as writer:
        writer.write(ROWS)
        raise Trouble


@pytest.mark.parametrize("earlier", [None, b"an earlier result"])
def test_a_block_that_fails_leaves_what_was_there(tmp_path: Path, earlier: bytes | None) -> None:
    path = tmp_path / "t.parquet"
    if earlier is not None:
        path.write_bytes(earlier)
    with pytest.raises(Trouble):
        fail_halfway(path)
    assert [p.name for p in tmp_path.iterdir()] == ([path.name] if earlier else [])
    assert earlier is None or path.read_bytes() == earlier


def test_nothing_has_the_final_name_before_the_end(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with TableWriter(path, SCHEMA, PROVENANCE) as writer:
        writer.write(ROWS)
        assert not path.exists()
        assert all(p.name.startswith(".") for p in tmp_path.iterdir())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "rows",
    [
        [{"clip_id": None}],
        [{"n": 1}],
        [{"clip_id": "a", "n": "one"}],
        [{"clip_id": "a", "n": 2**40}],
        [{"clip_id": "a", "point": [1.0]}],
    ],
)
def test_rows_that_break_the_schema_are_refused(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError, TypeError, ValueError)):
        write_table(tmp_path / "t.parquet", SCHEMA, rows, PROVENANCE)
    assert not list(tmp_path.iterdir())


def test_a_table_of_other_columns_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="name"):
        write_table(tmp_path / "t.parquet", SCHEMA, pa.table({"y": [1]}), PROVENANCE)
    assert not list(tmp_path.iterdir())


# --- byte-identical --------------------------------------------------------------------------


def test_equal_rows_give_byte_identical_files(tmp_path: Path) -> None:
    for name, rows in (("a", ROWS), ("b", table()), ("c", pa.concat_tables([table()]))):
        write_table(tmp_path / name, SCHEMA, rows, PROVENANCE)
    assert len({(tmp_path / name).read_bytes() for name in "abc"}) == 1


def test_the_order_of_the_provenance_makes_no_difference(tmp_path: Path) -> None:
    write_table(tmp_path / "a", SCHEMA, ROWS, PROVENANCE)
    write_table(tmp_path / "b", SCHEMA, ROWS, dict(reversed(PROVENANCE.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_another_process_writes_the_same_bytes(tmp_path: Path) -> None:
    write_table(tmp_path / "a", SCHEMA, ROWS, PROVENANCE)
    code = (
        "from tests.test_tables import *; "
        f"write_table(Path({str(tmp_path / 'b')!r}), SCHEMA, ROWS, PROVENANCE)"
    )
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "workflow" / "scripts")])
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONHASHSEED": "3"}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


# --- provenance ------------------------------------------------------------------------------


@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        max_size=4,
    )
)
def test_provenance_comes_back_as_it_was(tmp_path: Path, provenance: dict[str, Any]) -> None:
    write_table(tmp_path / "t.parquet", SCHEMA, [], provenance)
    assert read_provenance(tmp_path / "t.parquet") == provenance


def test_a_table_of_somebody_else_has_no_provenance(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "t.parquet")
    assert read_provenance(tmp_path / "t.parquet") == {}


def test_a_folder_of_tables_reads_as_one(tmp_path: Path) -> None:
    for subject in ("S1", "S2"):
        write_table(tmp_path / f"{subject}.parquet", SCHEMA, ROWS, PROVENANCE | {"of": subject})
    assert pq.read_table(tmp_path).num_rows == 2 * len(ROWS)


def test_a_path_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    path = tmp_path / "run=1" / "n=7" / "t.parquet"
    write_table(path, SCHEMA, ROWS, PROVENANCE)
    assert read_rows(path) == ROWS


# --- clip by clip ----------------------------------------------------------------------------


def test_clips_come_back_one_by_one_in_their_order(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "t.parquet", SCHEMA, PROVENANCE) as writer:
        for clip in ("b", "a", "c"):
            writer.write([{"clip_id": clip, "n": n} for n in range(3)])
        writer.write([])
        writer.write([{"clip_id": clip, "n": 9} for clip in ("e", "d", "e")])
    found = [(clip, rows["n"].to_pylist()) for clip, rows in iterate_clips(tmp_path / "t.parquet")]
    assert found == [(clip, [0, 1, 2]) for clip in "bac"] + [("e", [9, 9]), ("d", [9])]


def test_a_clip_read_back_has_the_digest_of_what_was_written(tmp_path: Path) -> None:
    with TableWriter(tmp_path / "t.parquet", SCHEMA, PROVENANCE) as writer:
        writer.write(table()[:2])
        writer.write(table()[2:])
    digests = [digest_rows(rows) for _, rows in iterate_clips(tmp_path / "t.parquet")]
    assert digests == [digest_rows(table()[:2]), digest_rows(table()[2:])]


# --- digests ---------------------------------------------------------------------------------


def test_a_digest_is_free_of_chunks_slices_and_metadata() -> None:
    whole = table()
    chunked = pa.concat_tables([table()[:1], table()[1:2], table()[2:]])
    padded = pa.concat_tables([table(), table(), table()])
    assert chunked["n"].num_chunks == 3
    for same in (chunked, padded[3:6], padded.combine_chunks()[3:6], whole.take([0, 1, 2])):
        assert digest_rows(same) == digest_rows(whole)
    assert digest_rows(whole.replace_schema_metadata({"a": "b"})) == digest_rows(whole)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        *(("clip_id", "S1/Happy/A"), ("clip_id", ""), ("n", 2), ("n", None), ("n", 0)),
        *(("x", 0.5000000001), ("x", None), ("x", 0.0), ("x", float("nan"))),
        *(("seen", False), ("seen", None)),
        *(("point", [1.0, 2.5]), ("point", [2.0, 1.0]), ("point", None), ("point", [0.0, 0.0])),
    ],
)
def test_any_other_value_gives_another_digest(column: str, value: Any) -> None:
    assert digest_rows(table([ROWS[0] | {column: value}, *ROWS[1:]])) != digest_rows(table())


@pytest.mark.parametrize(
    ("column", "zero"),
    [("n", 0), ("x", 0.0), ("seen", False), ("point", [0.0, 0.0]), ("point", [np.nan, np.nan])],
)
def test_null_is_not_zero(column: str, zero: Any) -> None:
    null, stand_in = ROWS[1] | {column: None}, ROWS[1] | {column: zero}
    assert digest_rows(table([null])) != digest_rows(table([stand_in]))


def test_the_order_of_rows_the_names_and_the_types_count() -> None:
    whole = table()
    others = [
        whole.take([1, 0, 2]),
        whole[:2],
        whole.rename_columns(["clip_id", "m", "x", "seen", "point"]),
        whole.set_column(1, "n", whole["n"].cast(pa.int64())),
        whole.drop_columns(["seen"]),
    ]
    assert len({digest_rows(other) for other in [whole, *others]}) == len(others) + 1


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
rows_strategy = st.lists(
    st.fixed_dictionaries(
        {
            "clip_id": texts,
            "n": st.none() | st.integers(-2, 2),
            "x": st.none() | st.sampled_from([0.0, 1.0, -1.0]),
            "seen": st.none() | st.booleans(),
            "point": st.none() | st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=2),
        }
    ),
    max_size=4,
)


@settings(max_examples=80, deadline=None)
@given(rows_strategy, rows_strategy)
def test_digests_are_equal_exactly_when_rows_are(
    one: list[dict[str, Any]], other: list[dict[str, Any]]
) -> None:
    assert (digest_rows(table(one)) == digest_rows(table(other))) == (one == other)


def test_neighbouring_texts_are_not_run_together() -> None:
    assert digest_rows(pa.table({"a": ["ab", "c"]})) != digest_rows(pa.table({"a": ["a", "bc"]}))


# --- lists of fixed size ---------------------------------------------------------------------


def test_arrays_go_into_columns_and_come_back() -> None:
    values = np.arange(24.0).reshape(4, 2, 3)
    present = np.array([True, False, True, True])
    column = fixed_list(values, present, MATRIX)
    assert column.null_count == 1
    back = to_array(column, (2, 3))
    np.testing.assert_array_equal(back[present], values[present])
    assert np.isnan(back[1]).all()


def test_nan_behind_a_null_is_not_stored() -> None:
    values = np.full((2, 6), np.nan)
    values[1] = 1
    stored = fixed_list(values, np.array([False, True]), MATRIX)
    clean = fixed_list(np.nan_to_num(values), np.array([False, True]), MATRIX)
    assert stored.flatten().equals(clean.flatten())
    assert digest_rows(pa.table({"m": stored})) == digest_rows(pa.table({"m": clean}))


@pytest.mark.parametrize("start", [0, 1, 2])
def test_slices_and_chunks_of_a_column_come_back_right(start: int) -> None:
    values = np.arange(12.0).reshape(6, 2)
    column = fixed_list(values, np.array([True, False, True, True, False, True]), POINT)
    expected = to_array(column, (2,))
    np.testing.assert_array_equal(to_array(column[start:], (2,)), expected[start:])
    chunks = pa.chunked_array([column[:start], column[start:]])
    np.testing.assert_array_equal(to_array(chunks, (2,)), expected)


@pytest.mark.parametrize("shape", [(2, 3), (6,), (-1, 3)])
def test_an_empty_column_is_an_empty_array(shape: tuple[int, ...]) -> None:
    assert len(to_array(pa.array([], MATRIX), shape)) == 0


def test_an_array_from_a_column_may_be_changed() -> None:
    array = to_array(fixed_list(np.ones((2, 6)), np.ones(2, bool), MATRIX), (6,))
    array[:] = 7


def test_landmarks_keep_their_precision_through_a_file(tmp_path: Path) -> None:
    clip = {"clip_id": "S1/Happy/a", "subject": "S1", "emotion": "Happy", "filename": "a.mp4"}
    landmarks = np.random.default_rng(0).normal(300, 100, (3, LANDMARKS, 3)).astype(np.float32)
    present = np.array([True, False, True])
    columns = frame_keys(clip, np.arange(3), [0.0, 0.04, 0.08]) | {
        "detected": present,
        "n_faces": [1, 0, 2],
        "detector": ["direct", None, "direct"],
        "score": [0.9, None, None],
        "box": fixed_list(np.ones((3, 4), np.float32), present, FACES.field("box").type),
        "landmarks": fixed_list(landmarks, present, FACES.field("landmarks").type),
    }
    rows = pa.table(columns, schema=FACES)
    write_table(tmp_path / "t.parquet", FACES, rows, PROVENANCE)
    ((clip_id, back),) = iterate_clips(tmp_path / "t.parquet")
    assert clip_id == clip["clip_id"]
    assert back.select(FRAME_KEY_NAMES).to_pylist()[2] == clip | {
        "frame_index": 2,
        "timestamp_s": 0.08,
    }
    np.testing.assert_array_equal(to_array(back["landmarks"], (-1, 3))[present], landmarks[present])
    assert digest_rows(back) == digest_rows(rows)


# --- tables that are broken ------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["cut short", "emptied", "overwritten", "one byte"])
@pytest.mark.parametrize("read", [read_rows, read_provenance, lambda path: [*iterate_clips(path)]])
def test_a_broken_table_is_an_error_that_names_it(
    tmp_path: Path, damage: str, read: Callable[[Path], object]
) -> None:
    path = tmp_path / "broken.parquet"
    write_table(path, SCHEMA, ROWS, {})
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut short": whole[: len(whole) // 2],
            "emptied": b"",
            "overwritten": b"PAR1" + bytes(len(whole) - 8) + b"PAR1",
            "one byte": whole[:-6] + b"\xff" + whole[-5:],
        }[damage]
    )
    with pytest.raises(RuntimeError, match="Remove it and run the workflow again") as error:
        read(path)
    assert str(path) in str(error.value)


def test_a_missing_table_is_not_called_broken(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_rows(tmp_path / "none.parquet")


def test_a_table_on_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("x", pa.float64())])
    with small_disk(tmp_path / "disk", 64 << 10) as disk:
        write_table(disk / "t.parquet", schema, [{"x": 1.0}], {})
        with (
            pytest.raises(OSError, match="No space left") as error,
            TableWriter(disk / "t.parquet", schema, {}) as writer,
        ):
            writer.write(pa.table({"x": np.random.default_rng(0).random(200_000)}))
        assert error.value.errno == errno.ENOSPC
        assert [path.name for path in disk.iterdir()] == ["t.parquet"]
        assert read_rows(disk / "t.parquet") == [{"x": 1.0}]


def test_a_table_whose_last_bytes_do_not_fit_is_none(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("x", pa.float64())])
    with small_disk(tmp_path / "disk", 64 << 10) as disk:
        with (  # The rows fit, and the footer, which holds the provenance, does not.
            pytest.raises(OSError, match="No space left"),
            TableWriter(disk / "t.parquet", schema, {"long": "x" * (64 << 10)}) as writer,
        ):
            writer.write([{"x": 1.0}])
        assert [*disk.iterdir()] == []

"""The metadata file is read as people really write such files, or refused with the reason."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmedplan.errors import PlanError
from cmedplan.metadata import COLUMNS, DELIMITERS, MetadataRow, read_metadata

HEADER = "subject,filename,emotion,apex_frame"
OTHER_HEADER = "Subject,Emotion,Filename,Apex Frame"
AS_THEY_ARE: dict[str, str | None] = dict.fromkeys(COLUMNS)
ROW = MetadataRow(1, "Subject_01", "vid1.mp4", "Happy", "12")

fuzz = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def read(
    folder: Path, content: str | bytes, columns: dict[str, str | None] = AS_THEY_ARE
) -> list[MetadataRow]:
    path = folder / "metadata.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_metadata(path, columns)


def refusal(
    folder: Path, content: str | bytes, columns: dict[str, str | None] = AS_THEY_ARE
) -> str:
    with pytest.raises(PlanError) as error:
        read(folder, content, columns)
    message = str(error.value)
    assert "metadata.csv" in message
    assert "expected:" in message
    assert "found:" in message
    return message


@pytest.mark.parametrize(
    "content",
    [
        f"{HEADER}\nSubject_01,vid1.mp4,Happy,12\n",
        f"{OTHER_HEADER}\nSubject_01,Happy,vid1.mp4,12\n",
        f"{HEADER}\nSubject_01,vid1.mp4,Happy,12",
        f"{HEADER}\r\nSubject_01,vid1.mp4,Happy,12\r\n",
        f"{HEADER}\rSubject_01,vid1.mp4,Happy,12\r",
        f"{HEADER}\n\n , ,\t,\n,,,\nSubject_01,vid1.mp4,Happy,12\n\n\n",
        f"\ufeff{HEADER}\nSubject_01,vid1.mp4,Happy,12\n",
        f"{HEADER},,\nSubject_01,vid1.mp4,Happy,12,,\n",
        f"{HEADER}\nSubject_01,vid1.mp4,Happy,12,,\n",
        " SUBJECT , File Name,EMOTION,ApexFrame\nSubject_01,vid1.mp4,Happy,12\n",
        "id;subject;filename;emotion;apex_frame\n7;Subject_01;vid1.mp4;Happy;12\n",
        f"{HEADER}\nSubject_01,vid1.mp4,Happy,12\n".replace(",", "\t"),
        '"subject","filename","emotion","apex_frame"\n"Subject_01","vid1.mp4","Happy","12"\n',
    ],
    ids=[
        *("one header", "other header", "no last line end", "CRLF", "CR", "blank lines", "BOM"),
        *("blank columns", "blank surplus", "loose header", "semicolons", "tabs", "quotes"),
    ],
)
def test_a_row_reads_the_same_however_the_file_is_written(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) == [ROW]


def test_blank_lines_before_the_header_are_taken_as_they_come(tmp_path: Path) -> None:
    assert read(tmp_path, f"\n\n{HEADER}\nSubject_01,vid1.mp4,Happy,12\n") == [ROW]


def test_cells_stay_as_they_were_written(tmp_path: Path) -> None:
    (row,) = read(tmp_path, f"{HEADER}\n Subject 01 ,VID 1, no emotion,  12.0\n")
    assert (row.subject, row.filename, row.emotion, row.apex_frame) == (
        *(" Subject 01 ", "VID 1", " no emotion"),
        "  12.0",
    )


def test_quoted_cells_may_hold_delimiters_quotes_and_line_ends(tmp_path: Path) -> None:
    (row,) = read(tmp_path, f'{HEADER}\nS1,"a, ""b""\r\nc.mp4",Happy,3\n')
    assert row.filename == 'a, "b"\r\nc.mp4'


def test_a_quote_that_is_never_closed_does_not_swallow_the_rows_behind_it(tmp_path: Path) -> None:
    rest = "".join(f"S1,vid{i}.mp4,Happy,3\n" for i in range(2, 9))
    message = refusal(tmp_path, f'{HEADER}\nS1,"vid1.mp4,Happy,3\n{rest}')
    assert "quotation mark" in message


def test_missing_cells_are_blank(tmp_path: Path) -> None:
    assert read(tmp_path, f"{HEADER}\nSubject_01,vid1.mp4\n") == [
        MetadataRow(1, "Subject_01", "vid1.mp4", "", "")
    ]


def test_surplus_cells_are_told(tmp_path: Path) -> None:
    rows = read(tmp_path, f"{HEADER}\nS1,a,b.mp4,Happy,3\nSubject_01,vid1.mp4,Happy,12\n")
    assert [row.surplus for row in rows] == [True, False]


def test_rows_are_numbered_without_the_blank_ones(tmp_path: Path) -> None:
    rows = read(tmp_path, f"{HEADER}\nS1,a,Sad,1\n\nS1,b,Sad,2\n,,,\nS1,c,Sad,3\n")
    assert [(row.number, row.filename) for row in rows] == [(1, "a"), (2, "b"), (3, "c")]


def test_a_header_alone_is_a_data_set_without_rows(tmp_path: Path) -> None:
    assert read(tmp_path, HEADER) == []


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "empty file"),
        (b" \n\r\n\t\n", "empty file"),
        (b"\xef\xbb\xbf", "empty file"),
        (f"{HEADER}\nS1,Zo\u00eb.mp4,Happy,1\n".encode("latin-1"), "byte 0xeb at offset 41"),
        (f"{HEADER}\n".encode("utf-16"), "byte 0xff at offset 0"),
        (f"{HEADER}\n".encode("utf-16-le"), "no such column"),
        (b"\x89PNG\r\n\x1a\n\0\0\0", "byte 0x89"),
        (f'{HEADER}\nS1,"{"x" * 200_000}",Happy,1\n', "field larger"),
    ],
    ids=["empty", "blank", "BOM alone", "Latin-1", "UTF-16", "UTF-16 bare", "PNG", "huge cell"],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: str | bytes, found: str) -> None:
    assert found in refusal(tmp_path, content)


def test_nul_bytes_are_kept_for_the_row_to_be_judged(tmp_path: Path) -> None:
    (row,) = read(tmp_path, f"{HEADER}\nS1,a\0b.mp4,Happy,1\n")
    assert row.filename == "a\0b.mp4"


def test_a_header_with_a_quote_that_is_never_closed_is_refused_as_what_it_is(
    tmp_path: Path,
) -> None:
    message = refusal(tmp_path, '"subject,filename,emotion,apex_frame\nS1,vid1.mp4,Happy,12\n')
    assert "a CSV header" in message
    assert "subject,filename" in message


@pytest.mark.parametrize("missing", COLUMNS)
def test_a_missing_column_is_named_with_those_there_are(tmp_path: Path, missing: str) -> None:
    header = [column for column in COLUMNS if column != missing] + ["Notes"]
    message = refusal(tmp_path, ",".join(header) + "\n1,2,3,4\n")
    assert f"expected: one column `{missing}`" in message
    assert "no such column" in message
    assert all(f"`{column}`" in message for column in header)
    assert f"dataset.columns.{missing}" in message


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, f"{HEADER},Apex Frame\nS1,a,Sad,1,2\n")
    assert "several" in message
    assert "`Apex Frame`" in message


def test_a_mapped_column_is_read_instead(tmp_path: Path) -> None:
    content = "Kind;Datei;emotion;apex;apex_frame\nSubject_01;vid1.mp4;Happy;12;99\n"
    columns = {"subject": "Kind", "filename": "datei", "emotion": None, "apex_frame": "apex"}
    assert read(tmp_path, content, columns) == [ROW]


def test_a_mapped_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    message = refusal(tmp_path, HEADER, AS_THEY_ARE | {"subject": "Kind"})
    assert "one column `Kind`" in message


@pytest.mark.parametrize("name", ["nothing.csv", "folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(PlanError, match=name):
        read_metadata(tmp_path / name, AS_THEY_ARE)


def test_fifty_thousand_rows_are_read(tmp_path: Path) -> None:
    rows = "".join(f"Subject_{i % 74},vid{i}.mp4,Happy,12\n" for i in range(50_000))
    (tmp_path / "metadata.csv").write_text(f"{HEADER}\n{rows}")
    assert len(read_metadata(tmp_path / "metadata.csv", AS_THEY_ARE)) == 50_000


cells = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
filled = cells.filter(str.strip)
# With another line end, Python 3.11 writes a lone CR without the quotes that it needs.
STYLES = [("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL), ("\r", csv.QUOTE_ALL)]


@fuzz
@given(
    table=st.lists(st.tuples(filled, cells, cells, cells), max_size=5),
    delimiter=st.sampled_from(DELIMITERS),
    style=st.sampled_from(STYLES),
)
def test_whatever_rows_are_written_come_back_equal(
    tmp_path: Path,
    table: list[tuple[str, ...]],
    delimiter: str,
    style: tuple[str, int],
) -> None:
    text = io.StringIO(newline="")
    line_end, quoting = style
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerows([COLUMNS, *table])
    rows = read(tmp_path, text.getvalue())
    assert [(r.subject, r.filename, r.emotion, r.apex_frame) for r in rows] == table
    assert [row.number for row in rows] == list(range(1, len(table) + 1))
    assert not any(row.surplus for row in rows)


@fuzz
@given(
    st.binary(max_size=80)
    | st.text("\",;\t\r\n\0 a\ufeff'", max_size=40).map(str.encode)
    | st.binary(max_size=40).map(lambda end: f"{HEADER}\nS1,".encode() + end)
)
def test_any_bytes_give_rows_or_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metadata.csv").write_bytes(content)
    try:
        rows = read_metadata(tmp_path / "metadata.csv", AS_THEY_ARE)
    except PlanError:
        return
    assert all(isinstance(row, MetadataRow) for row in rows)

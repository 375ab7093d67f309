"""The ledger of all subjects: in order, complete, whatever of it is in memory."""

from pathlib import Path

import pyarrow as pa
import pytest

from cmedplan.plan import PlannedClip, plan_subjects
from cmedplan.scan import FOLDERS
from cmedprep import gathering
from cmedprep.gathering import Gathering
from cmedprep.ledger import assess_clip, list_unprocessed, probe_clip
from cmedprep.probing import Prober
from cmedprep.schemas import CLIPS, INDEX
from cmedprep.tables import read_rows, write_table
from tests.test_plan import complete, defaults, lay_out

ROWS = [
    *(("S2", "a.mp4", "Happy", "1"), ("S1", "b.mp4", "Sad", "2"), ("S3", "a.mp4", "Sad", "")),
    *(("S1", "a.mp4", "Happy", "1"), ("", "x.mp4", "Happy", "1")),
]
FILES = ["Happy/S1/a.mp4", "Sad/S1/c.mp4", "Happy/S2/a.mp4", "Sad/S4/z.mp4"]

Planned = dict[str | None, tuple[PlannedClip, ...]]


@pytest.fixture
def planned(tmp_path: Path) -> Planned:
    config = complete(lay_out(tmp_path / "CMED", FILES, ROWS), {})
    return dict(plan_subjects(config))


def ledger(clips: tuple[PlannedClip, ...]) -> list[dict[str, object]]:
    with Prober(defaults()["limits"]) as prober:
        return [
            list_unprocessed(clip, Path("nowhere"), {"three_class": {}}, prober) for clip in clips
        ]


def gather(planned: Planned, folder: Path, written: set[str]) -> pa.Table:
    """Gather all, the ledgers of some subjects from files."""
    for subject in written:
        write_table(folder / f"{subject}.parquet", INDEX, ledger(planned[subject]), {})
    gathered = Gathering({subject: folder / f"{subject}.parquet" for subject in written})
    for subject, clips in planned.items():
        if not gathered.expect(subject, clips):
            gathered.add(subject, clips, ledger(clips))
    assert gathered.subjects() == {"S1", "S2", "S3", "S4"}
    return pa.concat_tables(gathered.tables())


@pytest.mark.parametrize("rows_at_once", [1, 2, 20_000])
def test_all_are_there_in_order_with_the_number_of_their_row(
    planned: Planned, tmp_path: Path, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "ROWS_AT_ONCE", rows_at_once)
    table = gather(planned, tmp_path, {"S1", "S2"})
    assert table.schema.equals(CLIPS)
    rows = table.to_pylist()
    assert sorted(row["metadata_row"] for row in rows if row["metadata_row"]) == [1, 2, 3, 4, 5]
    assert [row["subject"] for row in rows] == [*("S1", "S1", "S1"), "S2", "S3", "S4", None]
    numbered = {
        row["metadata_filename"]: row["metadata_row"] for row in rows if row["subject"] == "S1"
    }
    assert numbered == {"a.mp4": 4, "b.mp4": 2, None: None}
    assert table.equals(gather(planned, tmp_path, set()))


def test_clips_with_the_same_video_name_each_other(tmp_path: Path) -> None:
    config = complete(lay_out(tmp_path / "CMED", FILES, ROWS), {})
    videos = tmp_path / "CMED" / FOLDERS["subjects"]
    for file, content in zip(FILES, ("one", "two", "one", "one"), strict=True):
        (videos / file).write_text(content)
    planned = dict(plan_subjects(config))
    for subject, clips in planned.items():
        with Prober(defaults()["limits"]) as prober:
            rows = [
                assess_clip(
                    clip,
                    probe_clip(clip, tmp_path / "CMED", prober),
                    {},
                    {"three_class": {}, "without_expression": ""},
                )
                for clip in clips
            ]
        write_table(tmp_path / f"{subject}.parquet", INDEX, rows, {})
    gathered = Gathering({str(subject): tmp_path / f"{subject}.parquet" for subject in planned})
    for subject, clips in planned.items():
        if not gathered.expect(subject, clips):
            gathered.add(subject, clips, read_rows(tmp_path / f"{subject}.parquet"))
    rows = pa.concat_tables(gathered.tables()).to_pylist()
    assert {row["clip_id"]: row["same_video"] for row in rows if row["same_video"]} == {
        "S1/Happy/a": "S2/Happy/a", "S2/Happy/a": "S1/Happy/a", "S4/Sad/z": "S1/Happy/a"
    }  # fmt: skip


def test_the_ledger_of_other_clips_is_refused(planned: Planned, tmp_path: Path) -> None:
    planned["S1"], planned["S4"] = planned["S4"], planned["S1"]
    gather(planned, tmp_path, {"S1"})
    gathered = Gathering({"S1": tmp_path / "S1.parquet"})
    assert gathered.expect("S1", planned["S4"])
    with pytest.raises(RuntimeError, match="clips of S1 have changed"):
        list(gathered.tables())

"""The ledger of all subjects: in order, complete, whatever of it is in memory."""

from pathlib import Path

import pyarrow as pa
import pytest

from cmedplan.plan import PlannedClip, plan_subjects
from cmedprep import gathering
from cmedprep.gathering import Gathering
from cmedprep.ledger import list_unprocessed
from cmedprep.probing import Prober
from cmedprep.schemas import CLIPS, INDEX
from cmedprep.tables import write_table
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
    assert [row["subject"] for row in rows] == [*("S1", "S1", "S1"), "S2", "S3", "S4", None]
    numbered = {
        row["metadata_filename"]: row["metadata_row"] for row in rows if row["subject"] == "S1"
    }
    assert numbered == {"a.mp4": 4, "b.mp4": 2, None: None}
    assert table.equals(gather(planned, tmp_path, set()))


def test_the_ledger_of_other_clips_is_refused(planned: Planned, tmp_path: Path) -> None:
    planned["S1"], planned["S4"] = planned["S4"], planned["S1"]
    gather(planned, tmp_path, {"S1"})
    gathered = Gathering({"S1": tmp_path / "S1.parquet"})
    assert gathered.expect("S1", planned["S4"])
    with pytest.raises(RuntimeError, match="clips of S1 have changed"):
        list(gathered.tables())

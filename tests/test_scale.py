"""What a run costs grows with the subjects, not with the clips; and nothing is taken on trust."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cmedplan import inventory, plan, scan, survey
from cmedplan.errors import PlanError
from cmedplan.inventory import Inventory, record_path, write_record
from cmedplan.metadata import read_metadata
from cmedplan.plan import digest_clips, list_subjects, make_plan, plan_subject
from cmedplan.scan import VideoFile
from cmedplan.survey import Survey
from tests.makers.make_many import CMED_ROWS, Many, make_many
from tests.test_plan import FLAT, SUBJECTS, complete, lay_out

Config = dict[str, Any]

ROWS = [
    *(("S1", "a.mp4", "Happy", "1"), ("S1", "b.mp4", "Sad", "2"), ("s 1", "C", "happy", "")),
    *(("S2", "a.mp4", "Happy", "1"), ("S:3", "a.mp4", "Happy", "1"), ("S4", "x.mp4", "Sad", "1")),
]
FILES = [
    *("Happy/S1/a.mp4", "Sad/S1/b.mp4", "Happy/s1/c.mp4", "Happy/S2/a.mp4", "Happy/S5/z.mp4"),
    *("Happy/loose.mp4", "Sad/S:6/y.mp4", "Happy/S7/notes.txt", "Happy/S1/deep/d.mp4"),
]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A small data set with a bit of everything, and an output folder without results."""
    root = lay_out(tmp_path / "CMED", FILES, ROWS)
    (root / SUBJECTS / "Happy" / "S4").symlink_to(tmp_path)
    (root / SUBJECTS / "Fear").symlink_to(tmp_path)
    return complete(root, {"output": str(tmp_path / "results")})


@pytest.fixture
def flat(tmp_path: Path) -> Config:
    files = ["Happy/a.mp4", "Sad/b.mp4", "Happy/c.mp4"]
    root = lay_out(tmp_path / "flat", files, ROWS, FLAT)
    return complete(root, {"output": str(tmp_path / "results")})


def video(config: Config, name: str) -> Path:
    return Path(config["dataset"]["root"]) / SUBJECTS / name


def add_row(config: Config, row: str) -> None:
    path = Path(config["dataset"]["root"]) / config["dataset"]["metadata"]
    path.write_text(path.read_text() + row + "\n")


# --- one subject, without the others ---------------------------------------------------------


@pytest.mark.parametrize("layout", ["config", "flat"])
def test_a_subject_alone_is_planned_as_among_all(
    layout: str, request: pytest.FixtureRequest
) -> None:
    config: Config = request.getfixturevalue(layout)
    whole = make_plan(config)
    assert list_subjects(config) == list(whole.subjects)
    for subject in whole.subjects:
        assert plan_subject(config, subject) == whole.clips(subject)


def test_a_subject_that_is_not_there_has_no_clips(config: Config, flat: Config) -> None:
    for one in (config, flat):
        assert plan_subject(one, "S:3") == plan_subject(one, "nobody") == ()


def test_a_subject_is_planned_without_a_look_at_the_others(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    describe = scan._describe

    def note(place: str, *others: Any) -> VideoFile:
        seen.append(Path(place))
        return describe(place, *others)

    monkeypatch.setattr(scan, "_describe", note)
    plan_subject(config, "S2")
    assert [path for path in seen if "a.mp4" in path.name] == [Path(SUBJECTS, "Happy/S2/a.mp4")]
    assert not any(part in ("S1", "s1", "S5") for path in seen for part in path.parts)


def test_the_rows_of_one_subject_are_read_under_every_spelling(config: Config) -> None:
    path = Path(config["dataset"]["root"]) / config["dataset"]["metadata"]
    rows = read_metadata(path, config["dataset"]["columns"], "s1")
    assert [row.number for row in rows] == [1, 2]
    rows = read_metadata(path, config["dataset"]["columns"], "S 1")
    assert [(row.number, row.subject) for row in rows] == [(3, "s 1")]


def test_a_file_whose_name_is_blank_is_no_link(tmp_path: Path) -> None:
    root = lay_out(tmp_path, ["Happy/S1/ "], [("S1", "a.mp4", "Happy", "1")])
    (clip,) = make_plan(complete(root, {})).all_clips()
    assert clip.status == "missing_video"


# --- digests ---------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["config", "flat"])
def test_a_job_gets_the_digests_of_the_run_that_started_it(
    layout: str, request: pytest.FixtureRequest
) -> None:
    config: Config = request.getfixturevalue(layout)
    run, job = Survey(config, whole=True), Survey(config, whole=False)
    assert run.subjects == job.subjects == tuple(make_plan(config).subjects)
    for subject in run.subjects:
        clips = make_plan(config).clips(subject)
        assert run.rows_digest(subject) == job.rows_digest(subject)
        assert run.rows_digest(subject) == digest_clips(clips, files=False)
        assert run.videos_digest(subject) == job.videos_digest(subject)
        assert run.videos_digest(subject) == digest_clips(clips, files=True)
        assert run.size(subject) == job.size(subject) == (len(clips), 0)
    assert run.all_rows_digest() == job.all_rows_digest()
    assert run.homeless_videos_digest() == job.homeless_videos_digest()
    assert run.size() == job.size() == (len([*make_plan(config).all_clips()]), 0)


@pytest.mark.parametrize("whole", [True, False])
def test_a_subject_that_is_not_there_is_told(config: Config, whole: bool) -> None:
    seen = Survey(config, whole=whole)
    for ask in (seen.rows_digest, seen.videos_digest, seen.size):
        with pytest.raises(PlanError, match="S1"):
            ask("S9")
    with pytest.raises(PlanError, match="S9"):
        Survey(config | {"subjects": ["S9"]}, whole=whole)


@pytest.mark.parametrize("layout", ["config", "flat"])
def test_a_large_data_set_is_surveyed_apart_and_looks_the_same(
    layout: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    config: Config = request.getfixturevalue(layout)
    here = Survey(config, whole=True)
    planned: list[Config] = []
    monkeypatch.setattr(survey, "LARGE", 0)
    monkeypatch.setattr(survey, "plan_subjects", planned.append)  # of this process
    apart = Survey(config, whole=True)
    assert not planned
    assert apart.selected == here.selected
    assert apart.all_rows_digest() == here.all_rows_digest()
    assert apart.homeless_videos_digest() == here.homeless_videos_digest()
    assert apart.size() == here.size()
    assert apart.probed() == here.probed()
    for subject in here.subjects:
        assert apart.rows_digest(subject) == here.rows_digest(subject)
        assert apart.videos_digest(subject) == here.videos_digest(subject)


@pytest.mark.parametrize("fails", [True, False])
def test_what_cannot_be_surveyed_apart_is_told_as_ever(
    config: Config, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr(survey, "LARGE", 0)
    if fails:
        monkeypatch.setattr(survey, "_APART", "raise SystemExit('no')")
        assert Survey(config, whole=True).subjects
    config["dataset"]["columns"] = config["dataset"]["columns"] | {"subject": "nobody"}
    with pytest.raises(PlanError, match="nobody"):
        Survey(config, whole=True)


def changed(config: Config, before: Survey) -> set[str]:
    """Return what another process makes of the data set now, where it differs from before."""
    after = Survey(config, whole=True)
    found = {"all rows"} if after.all_rows_digest() != before.all_rows_digest() else set()
    if after.homeless_videos_digest() != before.homeless_videos_digest():
        found.add("homeless videos")
    for subject in after.subjects:
        if subject not in before.subjects:
            found.add(f"{subject} new")
            continue
        if after.rows_digest(subject) != before.rows_digest(subject):
            found.add(f"{subject} rows")
        if after.videos_digest(subject) != before.videos_digest(subject):
            found.add(f"{subject} videos")
    return found


def test_every_change_is_seen_and_concerns_its_subject_alone(config: Config) -> None:
    seen = Survey(config, whole=True)
    assert changed(config, seen) == set()
    os.utime(video(config, "Happy/S2/a.mp4"), ns=(1, 1))
    assert changed(config, seen) == {"S2 videos"}
    video(config, "Happy/loose.mp4").write_bytes(b"x")
    assert changed(config, seen) == {"S2 videos", "homeless videos"}
    add_row(config, "S8,a.mp4,Happy,1")
    assert changed(config, seen) == {"S2 videos", "homeless videos", "all rows", "S8 new"}


def test_rows_that_change_places_concern_the_ledger_of_all_alone(config: Config) -> None:
    seen = Survey(config, whole=True)
    path = Path(config["dataset"]["root"]) / config["dataset"]["metadata"]
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]))
    assert changed(config, seen) == {"all rows"}


def test_a_run_keeps_no_clips_in_memory(config: Config) -> None:
    """But of a subject whose videos were touched: they have to be compared one by one."""
    import gc

    seen = Survey(config, whole=True)
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, plan.PlannedClip)]
    assert seen.subjects


# --- the record of a subject's videos --------------------------------------------------------


@pytest.fixture
def probed(config: Config, tmp_path: Path) -> tuple[Path, Path]:
    """The data set's root, and where the table of S1's videos lies, whose record is written."""
    root, table = Path(config["dataset"]["root"]), tmp_path / "results/videos/S1.parquet"
    table.parent.mkdir(parents=True)
    clips = plan_subject(config, "S1")
    sums = {
        clip.video.path: inventory.digest_file(root / clip.video.path)
        for clip in clips
        if clip.video
    }
    write_record(clips, table, "as probed", sums)
    return root, table


def test_videos_that_are_those_of_the_record_are_not_read(
    config: Config, probed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, table = probed
    read: Counter[str] = Counter()
    digest_file = inventory.digest_file

    def count(path: Path) -> str:
        read[path.name] += 1
        return digest_file(path)

    monkeypatch.setattr(inventory, "digest_file", count)
    assert Inventory(plan_subject(config, "S1"), root, table).digest() == "as probed"
    assert not read
    os.utime(video(config, "Happy/S1/a.mp4"), ns=(1, 1))
    assert Inventory(plan_subject(config, "S1"), root, table).digest() == "as probed"
    assert read == {"a.mp4": 1}  # the one that was touched, once
    assert Inventory(plan_subject(config, "S1"), root, table).digest() == "as probed"
    assert read == {"a.mp4": 1}


def test_the_record_is_not_brought_up_to_date_before_it_is_asked_for(
    config: Config, probed: tuple[Path, Path]
) -> None:
    root, table = probed
    os.utime(video(config, "Happy/S1/a.mp4"), ns=(1, 1))
    before = record_path(table).read_bytes()
    clips = Inventory(plan_subject(config, "S1"), root, table)
    assert record_path(table).read_bytes() == before
    assert clips.digest() == clips.digest() == "as probed"
    assert record_path(table).read_bytes() != before


def test_it_is_told_whether_the_files_are_those_of_the_record(
    config: Config, probed: tuple[Path, Path], tmp_path: Path
) -> None:
    root, table = probed
    assert Inventory(plan_subject(config, "S1"), root, table).recorded
    assert not Inventory(plan_subject(config, "S1"), root, tmp_path / "none.parquet").recorded
    os.utime(video(config, "Happy/S1/a.mp4"), ns=(1, 1))
    assert Inventory(plan_subject(config, "S1"), root, table).recorded
    video(config, "Happy/S1/a.mp4").write_bytes(b"longer than before")
    assert not Inventory(plan_subject(config, "S1"), root, table).recorded


def test_a_video_that_cannot_be_read_is_another_and_no_error(
    config: Config, probed: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> str:
        raise PermissionError(path)

    root, table = probed
    os.utime(video(config, "Happy/S1/a.mp4"), ns=(1, 1))
    monkeypatch.setattr(inventory, "digest_file", denied)
    clips = plan_subject(config, "S1")
    assert Inventory(clips, root, table).digest() == digest_clips(clips, files=True)


def test_other_content_under_the_same_size_and_another_time_is_seen(
    config: Config, probed: tuple[Path, Path]
) -> None:
    root, table = probed
    video(config, "Happy/S1/a.mp4").write_bytes(b"other")
    clips = plan_subject(config, "S1")
    write_record(clips, table, "as probed", {})
    os.utime(video(config, "Happy/S1/a.mp4"), ns=(1, 1))
    clips = plan_subject(config, "S1")
    assert Inventory(clips, root, table).digest() == digest_clips(clips, files=True)


@pytest.mark.parametrize("cut", [0, 1, 40, 230, -40, -2])
def test_a_record_that_is_cut_short_is_not_believed_beyond_what_it_says(
    config: Config, probed: tuple[Path, Path], cut: int
) -> None:
    root, table = probed
    whole = record_path(table).read_bytes()
    record_path(table).write_bytes(whole[:cut])
    os.utime(video(config, "Happy/S1/a.mp4"), ns=(1, 1))
    clips = plan_subject(config, "S1")
    assert Inventory(clips, root, table).digest() == digest_clips(clips, files=True)


@pytest.mark.parametrize("content", ["", "[]", "{}", "null\nnull", "{}\n{}", "1\n2\n3", "\0"])
def test_a_record_that_is_none_is_as_good_as_no_record(
    config: Config, probed: tuple[Path, Path], content: str
) -> None:
    root, table = probed
    record_path(table).write_text(content)
    clips = plan_subject(config, "S1")
    assert Inventory(clips, root, table).digest() == digest_clips(clips, files=True)


def test_the_record_that_names_another_video_is_not_believed(
    config: Config, probed: tuple[Path, Path]
) -> None:
    root, table = probed
    state = json.loads(record_path(table).read_text().splitlines()[0])
    assert state["digest"] == "as probed"
    video(config, "Sad/S1/b.mp4").rename(video(config, "Sad/S1/B.mp4"))
    clips = plan_subject(config, "S1")
    assert Inventory(clips, root, table).digest() == digest_clips(clips, files=True)


# --- the maker of large data sets ------------------------------------------------------------


def test_a_made_data_set_has_the_defects_of_cmed_in_proportion(tmp_path: Path) -> None:
    made = make_many(tmp_path / "CMED", subjects=4, rows=CMED_ROWS // 4)
    assert made == Many(4, 2731, missing=34, beyond=14, spelled_otherwise=54)
    clips = [*make_plan(complete(tmp_path / "CMED", {})).all_clips()]
    assert Counter(clip.status for clip in clips) == {"ok": 2731 - 34, "missing_video": 34}
    assert {clip.emotion for clip in clips if clip.status != "ok"} == {"No_Emotion"}
    apexes = Counter(clip.row.apex_frame for clip in clips if clip.row)
    assert apexes["100000"] == 14
    assert len({clip.subject for clip in clips}) == 4


def test_a_made_data_set_is_the_same_every_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_many(tmp_path / name, subjects=3, rows=200)
    one, two = (
        sorted(
            (path.relative_to(tmp_path / name), path.read_bytes())
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        )
        for name in ("one", "two")
    )
    assert one == two

"""What is no more leaves no file behind, and nobody else's file is removed."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cmedprep import stale
from cmedprep.images import SUFFIXES
from cmedprep.stale import remove_parts, remove_subjects
from tests.conftest import REPOSITORY, Project

METADATA = "video_emotion_metadata.csv"
SCHEMES = ("phase11", "window5", "keyframes")
PARTS = {"samples": SCHEMES, "motion": ()}
FEWER = {"samples": ("phase11", "keyframes"), "motion": ()}
ONE = {"samples": ("keyframes",), "motion": ()}
HEX = "0123456789ab"


@pytest.fixture
def results(finished_tiny: Project, tmp_path: Path) -> Path:
    """A copy of finished results, to be changed at will."""
    return Path(shutil.copytree(finished_tiny.results, tmp_path / "results"))


def tree(folder: Path) -> dict[str, bytes | None]:
    """Return all that a folder holds: each file's content, and None for folders and links."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        if path.is_file() and not path.is_symlink()
        else None
        for path in folder.rglob("*")
    }


def without(before: dict[str, bytes | None], word: str) -> dict[str, bytes | None]:
    return {path: content for path, content in before.items() if word not in path}


# --- subjects --------------------------------------------------------------------------------


def test_nothing_is_left_of_a_removed_subject_and_the_others_keep_all(results: Path) -> None:
    before = tree(results)
    assert remove_subjects(results, ["Subject_01"], PARTS) == ["Subject_02"]
    assert tree(results) == without(before, "Subject_02")


def test_nothing_is_removed_while_all_subjects_are_there(results: Path) -> None:
    before = tree(results)
    assert remove_subjects(results, ["Subject_01", "Subject_02", "Subject_03"], PARTS) == []
    assert tree(results) == before


def test_results_of_no_run_are_no_trouble(tmp_path: Path) -> None:
    assert remove_subjects(tmp_path, [], PARTS) == []
    assert remove_parts(tmp_path, "Subject_01", PARTS) == []


def test_what_killed_jobs_have_left_goes_with_the_subject(results: Path) -> None:
    expected = without(tree(results), "Subject_02")
    for folder in ("videos", "faces", "samples/phase11"):
        (results / folder / f".Subject_02.parquet.{HEX}.part").write_bytes(b"half")
    (results / "videos" / f"..Subject_02.json.{HEX}.part").write_bytes(b"half")
    half = results / "images" / f".Subject_02.{HEX}.part"
    (half / "Happy").mkdir(parents=True)
    (half / "Happy" / "000000.png").write_bytes(b"half")
    remove_subjects(results, ["Subject_01"], PARTS)
    assert tree(results) == expected


def test_what_was_verified_goes_with_the_subject(results: Path) -> None:
    expected = tree(results)
    for subject, into in (("Subject_01", expected), ("Subject_02", {})):
        for name in (f"verify/{subject}.html", f"logs/verify_subject/{subject}.log"):
            (results / name).parent.mkdir(exist_ok=True)
            (results / name).write_bytes(b"verified")
            into |= {name: b"verified", str(Path(name).parent): None}
    remove_subjects(results, ["Subject_01"], PARTS)
    assert tree(results) == without(expected, "Subject_02")


def test_a_subject_whose_first_job_failed_leaves_no_log(results: Path) -> None:
    before = tree(results)
    (results / "logs/probe_videos/Subject_03.log").write_text("failed")
    assert remove_subjects(results, ["Subject_01", "Subject_02"], PARTS) == ["Subject_03"]
    assert tree(results) == before


def test_a_subject_is_known_by_its_tables_where_logs_were_cleared(results: Path) -> None:
    shutil.rmtree(results / "logs")
    before = tree(results)
    assert remove_subjects(results, ["Subject_01"], PARTS) == ["Subject_02"]
    assert tree(results) == without(before, "Subject_02")


def test_a_subject_may_be_called_like_a_table(results: Path) -> None:
    before = tree(results)
    (results / "logs/probe_videos/a.parquet.log").write_text("")
    (results / "logs/detect_faces/a.parquet.log").write_text("")
    assert remove_subjects(results, ["Subject_01", "Subject_02"], PARTS) == ["a.parquet"]
    assert tree(results) == before


def test_another_spelling_on_a_disk_that_knows_no_case_is_the_same_subject(results: Path) -> None:
    for path in [path for path in results.rglob("*") if path.is_file()]:
        if path.name.startswith("Subject_02"):  # what such a disk answers to the other name
            os.link(path, path.with_name(path.name.replace("S", "s")))
    before = tree(results)
    assert remove_subjects(results, ["Subject_01", "subject_02"], PARTS) == []
    assert tree(results) == before


def test_another_spelling_with_files_of_its_own_is_another_subject(results: Path) -> None:
    before = tree(results)
    for path in [path for path in results.rglob("*") if path.is_file()]:
        if path.name.startswith("Subject_02") and path.suffix == ".log":
            path.with_name(path.name.replace("S", "s")).write_bytes(path.read_bytes())
    assert remove_subjects(results, ["Subject_01", "Subject_02"], PARTS) == ["subject_02"]
    assert tree(results) == before


def test_a_removal_that_is_interrupted_is_completed_by_the_next(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(results / "images" / "Subject_01")
    expected = without(tree(results), "Subject_02")
    remove_file = stale._remove_file

    def stop_at(call: int) -> Callable[[Path], bool]:
        left = [call]

        def remove(path: Path) -> bool:
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return remove_file(path)

        return remove

    for call in range(10_000):
        copy = Path(shutil.copytree(results, tmp_path / f"copy{call}"))
        monkeypatch.setattr(stale, "_remove_file", stop_at(call))
        try:
            remove_subjects(copy, ["Subject_01"], PARTS)
        except KeyboardInterrupt:
            monkeypatch.setattr(stale, "_remove_file", remove_file)
            assert remove_subjects(copy, ["Subject_01"], PARTS) == ["Subject_02"], call
            assert tree(copy) == expected, call
            shutil.rmtree(copy)
        else:
            break
    assert call > 30


# --- schemes ---------------------------------------------------------------------------------


def test_a_removed_scheme_leaves_nothing_of_the_subjects_that_are_made_anew(results: Path) -> None:
    before = tree(results)
    assert remove_parts(results, "Subject_01", FEWER) == ["window5"]
    assert before.keys() - tree(results).keys() == {"samples/window5/Subject_01.parquet"}
    assert remove_parts(results, "Subject_02", FEWER) == ["window5"]
    assert tree(results) == without(before, "window5")


def test_folders_of_schemes_that_wait_for_their_first_table_stay(results: Path) -> None:
    for subject in ("Subject_01", "Subject_02"):
        (results / "samples/window5" / f"{subject}.parquet").unlink()
    remove_subjects(results, ["Subject_01"], PARTS)
    remove_parts(results, "Subject_01", PARTS)
    assert (results / "samples/window5").is_dir()


def test_interpolated_images_of_schemes_that_are_kept_stay(results: Path) -> None:
    for place in ("tim10/Subject_01", "tim10/Subject_02", "old/Subject_01", "old/Subject_02"):
        image = results / "interpolated" / place / "Happy/vid1/000000.png"
        image.parent.mkdir(parents=True)
        image.touch()
    before = tree(results)
    parts = {"samples": (*SCHEMES, "tim10"), "motion": ()}
    remove_parts(results, "Subject_01", parts)
    assert tree(results) == without(before, "old/Subject_01")
    remove_parts(results, "Subject_02", parts)
    assert tree(results) == without(before, "interpolated/old")
    remove_parts(results, "Subject_01", PARTS)
    remove_parts(results, "Subject_02", PARTS)
    assert tree(results) == without(before, "interpolated")


def test_folders_of_motion_go_when_it_is_switched_off_and_not_before(results: Path) -> None:
    folders = [results / place for place in ("motion", "logs/measure_motion")]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    remove_parts(results, "Subject_01", PARTS | {"motion": ("dis",)})
    assert all(folder.is_dir() for folder in folders)
    remove_parts(results, "Subject_01", PARTS)
    assert not any(folder.exists() for folder in folders)


def test_empty_folders_of_images_go_where_images_are_kept_there_no_more(results: Path) -> None:
    (results / "interpolated/window5").mkdir(parents=True)  # it once was a scheme that interpolates
    for path in (results / "images").iterdir():
        shutil.rmtree(path)
    before = tree(results)
    remove_parts(results, "Subject_01", PARTS)
    assert before.keys() - tree(results).keys() == {
        *("interpolated", "interpolated/window5", "images")
    }


# --- files of others -------------------------------------------------------------------------

OF_OTHERS = (
    *("notes.txt", "Subject_02.parquet", "Subject_02/notes.txt", "mine/Subject_02.parquet"),
    *("faces/Subject_02.txt", "faces/notes.parquet", "faces/.Subject_02.json", "faces/Subject_02"),
    *("faces/.Subject_02.parquet.part", "faces/.Subject_02.parquet.mine.part"),
    *("faces/deeper/Subject_02.parquet", "images/Subject_02.zip", "images/Subject_02/mine.png"),
    *("images/Subject_02/Happy/vid1/mine.png", "images/Subject_02/Happy/vid1/000000.txt"),
    *("images/Subject_02/Happy/vid1/more/000000.png", "images/Holidays/Spain/Day1/000000.png"),
    *("logs/Subject_02.log", "logs/mine/Subject_02.log", "logs/detect_faces/Subject_02.log.old"),
    *("samples/mine/Subject_02.parquet", "samples/Subject_02.parquet", "samples/phase11/n.csv"),
)


def test_files_of_others_stay(results: Path) -> None:
    expected = without(tree(results), "Subject_02")
    for name in OF_OTHERS:
        path = results / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    remove_subjects(results, ["Subject_01"], ONE)
    for scheme in ("phase11", "window5"):
        expected = without(expected, f"/{scheme}")
    remove_parts(results, "Subject_01", ONE)
    files = {path for path, content in tree(results).items() if content is not None}
    assert files == {p for p, content in expected.items() if content is not None} | set(OF_OTHERS)


def test_a_table_of_others_under_a_name_of_ours_stays(results: Path) -> None:
    path = results / "faces" / "Subject_02.parquet"
    pq.write_table(pa.table({"subject": ["Subject_02"]}), path)
    remove_subjects(results, ["Subject_01"], PARTS)
    assert path.exists()


@pytest.mark.parametrize(
    ("source", "copy"),
    [
        ("faces/Subject_02.parquet", "faces/Subject_02-kept.parquet"),
        ("faces/Subject_01.parquet", "alignment/Subject_02.parquet"),
        ("samples/window5/Subject_01.parquet", "samples/kept/Subject_01.parquet"),
    ],
)
def test_a_copy_that_somebody_keeps_stays(results: Path, source: str, copy: str) -> None:
    (results / copy).parent.mkdir(exist_ok=True)
    shutil.copy(results / source, results / copy)
    remove_subjects(results, ["Subject_01"], PARTS)
    remove_parts(results, "Subject_01", PARTS)
    assert (results / copy).exists()


def test_links_are_neither_followed_nor_removed(results: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    moved = ["images/Subject_02", "logs/detect_faces", "samples/phase11", "alignment"]
    moved += ["faces/Subject_02.parquet", "benchmarks"]
    for name in moved:
        (outside / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).rename(outside / name)
        (results / name).symlink_to(outside / name)
    before = tree(outside)
    assert remove_subjects(results, ["Subject_01"], ONE) == ["Subject_02"]
    remove_parts(results, "Subject_01", ONE)
    assert tree(outside) == before
    assert all((results / name).is_symlink() for name in moved)


def test_results_that_are_reached_by_a_link_are_cleared_as_well(
    results: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(results)
    assert remove_subjects(link, ["Subject_01"], PARTS) == ["Subject_02"]


# --- the whole workflow ----------------------------------------------------------------------


def test_every_place_where_rules_write_is_known() -> None:
    rules = "".join(path.read_text() for path in (REPOSITORY / "workflow/rules").glob("*.smk"))
    written = set(re.findall(r"OUTPUT}/([^\s\"]*){{subject}}([.\w]*)", rules))
    tables = {(f"{folder}/", ".parquet") for folder in stale.TABLES}
    parts = {
        ("samples/{{scheme}}/", ".parquet"),
        ("motion/{{method}}/", ".parquet"),
        ("logs/measure_motion/{{method}}/", ".log"),
    }
    logs = {(f"logs/{rule}/", ".log") for rule in stale.LOGGED}
    verified = {("verify/", suffix) for suffix in stale.VERIFICATION}
    pages = {(f"{folder}/", ".html") for folder in stale.PAGES}
    assert written == tables | pages | parts | logs | verified
    assert all(stale.IMAGE.fullmatch(f"{7:06d}{suffix}") for suffix in SUFFIXES.values())


def test_after_a_run_there_is_only_what_data_set_and_config_have(
    tiny: Project, tmp_path: Path
) -> None:
    schemes = [
        {"name": "phase11", "method": "phase", "slots": 11},
        {"name": "tim4", "method": "tim", "slots": 4},
    ]
    tiny.config.update({"sampling": {"schemes": schemes}, "motion": {"methods": ["dis"]}})
    tiny.succeed()
    assert {f"{name}/Subject_02" for name in ("interpolated/tim4", "images")} < tree(
        tiny.results
    ).keys()

    # Left out by the config, and there: a subject keeps what it has.
    before = {
        path: content
        for path, content in tree(tiny.results).items()
        if not path.startswith(("clips.", "splits", "logs/make_splits", "benchmarks/make_splits"))
    }
    tiny.config["subjects"] = ["Subject_01"]
    tiny.succeed()
    kept = {path for path in before if "Subject_02" in path}
    assert {path: before[path] for path in kept}.items() <= tree(tiny.results).items()
    del tiny.config["subjects"]

    # A subject, a clip, two schemes and a method less.
    table = (tiny.root / METADATA).read_text().splitlines(keepends=True)
    rows = [row for row in table if "Subject_02" not in row and "vid1" not in row]
    (tiny.root / METADATA).write_text("".join(rows))
    for path in [*tiny.root.rglob("Subject_02"), *tiny.root.rglob("vid1.mp4")]:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    scheme = {"name": "window5", "method": "window", "radius": 5, "boundary": "edge"}
    tiny.config.update({"sampling": {"schemes": [scheme]}, "motion": {}})
    run = tiny.succeed()
    assert "removed the results of Subject_02, which the data set no longer has" in run.output
    assert tiny.succeed().idle

    clean = Project(tmp_path / "clean", tiny.config)
    clean.folder.mkdir()
    clean.succeed()
    assert tree(tiny.results).keys() == tree(clean.results).keys()
    assert tiny.digests() == clean.digests()

"""All that metadata and folders can do wrong at once, in one real run of the workflow."""

import csv
import hashlib
import io
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests import traces
from tests.conftest import Project
from tests.makers import make_demo

FOLDER = "FinalFullVideos_subjects"
LONGEST = "n" * 251 + ".mp4"
ODD = 'it\'s "$(touch pwned)" `touch pwned`; touch pwned & {wildcards} {subject} %s $HOME *?.mp4'
COMPOSED, DECOMPOSED = "Kind_\u00e9", "Kind_e\u0301"
SUBJECTS = {"Subject_01", "Linked", COMPOSED, "a.parquet", "CON"}


@dataclass(frozen=True)
class Hostile:
    """A finished run on the hostile data set."""

    project: Project
    expected: list[str]
    videos: set[str]
    outside: Path
    before: dict[str, object]
    calls: list[traces.Call] | None
    """What was opened and written; None where that cannot be seen."""

    @property
    def clips(self) -> pd.DataFrame:
        return pd.read_parquet(self.project.results / "clips.parquet")


def lay_out(place: Path, video: bytes) -> tuple[list[str], set[str]]:
    """Make the data set below `place`, and return each row's status and all videos' paths."""
    root, outside = place / "data" / "CMED", place / "outside"
    files = [
        *(f"Happy/Subject_01/{name}" for name in ("vid1.mp4", "vid2.mp4", "twice.mp4")),
        *(f"Happy/Subject_01/{name}" for name in ("Case.mp4", "case.mp4", "in\nside.mp4")),
        *(f"Happy/Subject_01/{name}" for name in ("-rf.mp4", LONGEST, ODD, "back\\slash.mp4")),
        *("Happy/a.parquet/vid1.mp4", "Happy/CON/vid1.mp4", f"Happy/{DECOMPOSED}/e\u0301.mp4"),
        *("Happy/-x/vid1.mp4", "Happy/{subject}/vid1.mp4", "Happy/$(touch pwned)/vid1.mp4"),
        "Happy/too/deep/vid1.mp4",
    ]
    canaries = ["secret.mp4", "Happy/Subject_01/vid1.mp4", "Sad/Subject_01/s.mp4", "Linked/l.mp4"]
    for folder, names in ((root / FOLDER, files), (outside, canaries)):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(video)
    happy = root / FOLDER / "Happy"
    (happy / "Subject_01" / "link.mp4").symlink_to(outside / "secret.mp4")
    (happy / "Subject_01" / "relative.mp4").symlink_to(
        os.path.relpath(outside / "secret.mp4", happy / "Subject_01")
    )
    (happy / "Linked").symlink_to(outside / "Linked")
    (root / FOLDER / "Sad").symlink_to(outside / "Sad")
    out = "../../../../../outside"
    assert (happy / "Subject_01" / out / "secret.mp4").is_file()

    one, video_1 = "Subject_01", "vid1.mp4"
    rows = [
        (one, video_1, "Happy", "3", "ok"),
        (one, video_1, "Happy", "3", "duplicate"),
        (one, "twice.mp4", "Happy", "2", "conflicting_apex"),
        (one, "twice.mp4", "Happy", "4", "duplicate"),
        (f"{one}\n", "\r\nvid2.mp4\n", "Happy", "\n3\n", "ok"),
        (one, "in\nside.mp4", "Happy", "3", "invalid_name"),
        (one, video_1, "Bored", "3", "unknown_emotion"),
        (one, video_1, "../Happy", "3", "unknown_emotion"),
        ("", video_1, "Happy", "3", "invalid_name"),
        ("  ", video_1, "Happy", "3", "invalid_name"),
        (COMPOSED, "\u00e9.mp4", "Happy", "3", "ok"),
        (one, f"{out}/secret.mp4", "Happy", "1", "invalid_name"),
        (one, str(outside / "secret.mp4"), "Happy", "1", "invalid_name"),
        (f"{out}/Happy/Subject_01", video_1, "Happy", "1", "invalid_name"),
        (str(outside / "Happy" / one), video_1, "Happy", "1", "invalid_name"),
        ("..", video_1, "Happy", "1", "invalid_name"),
        (".", video_1, "Happy", "1", "invalid_name"),
        (one, "..", "Happy", "1", "invalid_name"),
        (one, "vid1.mp4\0.png", "Happy", "1", "invalid_name"),
        ("Subject_01\0x", video_1, "Happy", "1", "invalid_name"),
        (one, "-rf.mp4", "Happy", "1", "invalid_name"),
        ("-x", video_1, "Happy", "1", "invalid_name"),
        (one, "link.mp4", "Happy", "1", "forbidden_video"),
        (one, "relative.mp4", "Happy", "1", "forbidden_video"),
        ("Linked", "l.mp4", "Happy", "1", "forbidden_video"),
        (one, "s.mp4", "Sad", "1", "forbidden_video"),
        (one, "..\\..\\outside\\secret.mp4", "Happy", "1", "invalid_name"),
        (one, "back\\slash.mp4", "Happy", "1", "invalid_name"),
        ("C:\\Subject_01", video_1, "Happy", "1", "invalid_name"),
        (one, "Case.mp4", "Happy", "3", "ok"),
        (one, "case.mp4", "Happy", "3", "ok"),
        (one, "CASE.mp4", "Happy", "3", "ambiguous_video"),
        (one, LONGEST, "Happy", "3", "ok"),
        (one, "m" * 300 + ".mp4", "Happy", "3", "missing_video"),
        ("S" * 300, video_1, "Happy", "3", "invalid_name"),
        (one, ODD, "Happy", "3", "ok"),
        ("{subject}", video_1, "Happy", "3", "invalid_name"),
        ("$(touch pwned)", video_1, "Happy", "3", "invalid_name"),
        ("a.parquet", video_1, "Happy", "3", "ok"),
        ("CON", video_1, "Happy", "3", "ok"),
        (one, "gone.mp4", "Happy", "3", "missing_video"),
        (one, video_1, "Happy", "3", "surplus", "malformed_row"),
    ]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    writer.writerow(("Subject", "Filename", "Emotion", "Apex Frame"))
    writer.writerows(row[:-1] for row in rows)
    content = "\ufeff" + text.getvalue().replace('"\r\n"Linked"', '"\r\n\r\n;;;\r\n"Linked"')
    (root / "video_emotion_metadata.csv").write_bytes(content.encode())
    return [row[-1] for row in rows], {f"{FOLDER}/{name}" for name in files}


def state_of(folder: Path) -> dict[str, object]:
    """Return what a tree holds: contents, times and rights."""
    state: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        facts = path.lstat()
        content = (
            os.readlink(path)
            if path.is_symlink()
            else hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else None
        )
        state[str(path)] = (content, facts.st_mode, facts.st_mtime_ns)
    return state


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    """A finished run, traced where that is possible. Not to be changed."""
    place = tmp_path_factory.mktemp("hostile")
    make_demo.make_tiny(place / "tiny", subjects=1, clips=1, frames=5)
    (made,) = (place / "tiny").rglob("*.mp4")
    expected, videos = lay_out(place, made.read_bytes())
    shutil.rmtree(place / "tiny")
    for name in ("project", "home", "temporary"):
        (place / name).mkdir()
    one_scheme = {"schemes": [{"name": "window", "method": "window", "radius": 1}]}
    config = {"dataset": {"root": "../data/CMED"}, "sampling": one_scheme}
    project = Project(place / "project", config)
    before = {**state_of(place / "data"), **state_of(place / "outside")}
    trace = place / "trace.txt" if traces.works() else None
    project.succeed(
        prefix=traces.prefix(trace, traces.FILES) if trace else (),
        environment={
            "HOME": str(place / "home"),
            "XDG_CACHE_HOME": str(place / "home" / "cache"),
            "TMPDIR": str(place / "temporary"),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    calls = [*traces.calls(trace, project.folder)] if trace else None
    return Hostile(project, expected, videos, place / "outside", before, calls)


def test_every_row_has_its_status(hostile: Hostile) -> None:
    rows = hostile.clips.dropna(subset="metadata_row").sort_values("metadata_row")
    assert list(rows["metadata_row"]) == list(range(1, len(hostile.expected) + 1))
    assert list(rows["status"]) == hostile.expected
    assert (rows["reason"] != "")[rows["status"] != "ok"].all()


def test_every_video_is_listed_once_and_no_other(hostile: Hostile) -> None:
    listed = Counter(hostile.clips["path"].dropna())
    assert set(listed) == hostile.videos
    assert set(listed.values()) == {1}


def test_cells_are_kept_as_they_were_written(hostile: Hostile) -> None:
    cells = set(hostile.clips["metadata_filename"].dropna())
    assert {ODD, "vid1.mp4\0.png", "\r\nvid2.mp4\n", str(hostile.outside / "secret.mp4")} <= cells


def test_only_safe_subjects_have_results(hostile: Hostile) -> None:
    results = hostile.project.results
    for table in ("videos", "index", "faces", "alignment", "frames", "manifests"):
        found = {path.name for path in (results / table).glob("[!.]*")}
        assert found == {f"{subject}.parquet" for subject in SUBJECTS}
    with_images = {path.name for path in (results / "images").iterdir() if any(path.rglob("*.png"))}
    assert with_images == SUBJECTS - {"Linked"}


def test_every_image_of_the_tables_is_there_and_no_other(hostile: Hostile) -> None:
    frames = pd.read_parquet(hostile.project.results / "frames")
    found = {path for path in hostile.project.digests() if path.startswith("images/")}
    assert set(frames["image"]) == found
    usable = hostile.clips["status"].isin(["ok", "conflicting_apex"])
    assert len(frames) == 5 * usable.sum()


def test_nothing_outside_the_results_has_changed(hostile: Hostile) -> None:
    place = hostile.outside.parent
    assert {**state_of(place / "data"), **state_of(hostile.outside)} == hostile.before
    made = {path.name for path in hostile.project.folder.iterdir()}
    assert made == {"my.yaml", "results", ".snakemake"}
    assert not [path for path in place.rglob("*") if path.name == "pwned"]


def test_nothing_outside_the_root_is_opened(hostile: Hostile) -> None:
    if hostile.calls is None:
        pytest.skip("strace is missing or may not trace")
    opened = {path for call in hostile.calls for path in call.paths}
    inside = hostile.outside.parent / "data" / "CMED" / FOLDER / "Happy" / "Subject_01"
    assert str(inside / "vid1.mp4") in {os.path.normpath(path) for path in opened}
    assert [path for path in opened if str(hostile.outside) in os.path.normpath(path)] == []


def test_nothing_is_written_outside_the_results(hostile: Hostile) -> None:
    if hostile.calls is None:
        pytest.skip("strace is missing or may not trace")
    place = hostile.outside.parent
    allowed = [place / "project" / "results", place / "project" / ".snakemake"]
    # Snakemake keeps a cache of sources in the home folder, libraries use the temporary one.
    allowed += [place / "home", place / "temporary", Path("/dev"), Path("/proc/self")]
    written = {
        os.path.normpath(path) for call in hostile.calls if call.writes for path in call.paths
    }
    assert [
        path
        for path in sorted(written)
        if not any(Path(path).is_relative_to(folder) for folder in allowed)
    ] == []


def test_the_same_command_has_nothing_to_do(hostile: Hostile) -> None:
    assert hostile.project.succeed().idle

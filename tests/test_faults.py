"""After any fault the same command ends in the bytes of a run that nothing disturbed.

`tests/kill_runs.py` kills at more moments than there is time for here.
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import pytest

from tests.conftest import Project
from tests.disks import enlarge, read_only, small_disk
from tests.kill_runs import kill_runs, leftovers, start
from tests.makers import make_demo


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One subject with one clip of a few frames. Not to be changed."""
    root = tmp_path_factory.mktemp("one") / "CMED"
    make_demo.make_tiny(root, subjects=1, clips=1, frames=4)
    return root


@pytest.fixture(scope="module")
def undisturbed(data_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run on it. Not to be changed."""
    project = Project(tmp_path_factory.mktemp("run"), {"dataset": {"root": str(data_set)}})
    project.succeed()
    return project


@pytest.fixture
def fresh(data_set: Path, tmp_path: Path) -> Project:
    """A copy of the data set and no results."""
    shutil.copytree(data_set, tmp_path / "CMED")
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project", {"dataset": {"root": str(tmp_path / "CMED")}})


@pytest.fixture
def finished(undisturbed: Project, tmp_path: Path) -> Project:
    """A finished run of one's own."""
    shutil.copytree(undisturbed.folder, tmp_path / "project")
    return Project(tmp_path / "project", deepcopy(undisturbed.config))


def video_of(project: Project) -> Path:
    (video,) = project.root.rglob("*.mp4")
    return video


# -- killed -----------------------------------------------------------------------------------


def test_killed_runs_end_in_the_same_bytes(fresh: Project, undisturbed: Project) -> None:
    lines = [*kill_runs(fresh, undisturbed.digests(), 3, 5.0, random.Random(1))]
    assert lines[-1].endswith("then the same bytes")


# -- a full disk, a disk that is only read ----------------------------------------------------


def test_a_full_disk_is_told_and_what_fits_again_is_the_same(
    fresh: Project, undisturbed: Project
) -> None:
    expected = undisturbed.digests()
    sizes = {path: (undisturbed.results / path).stat().st_size for path in expected}
    images = sum(size for path, size in sizes.items() if path.startswith("images/"))
    with small_disk(fresh.results, images) as disk:
        told = fresh.fail().output
        assert f"the disk is full (or your quota is used up) below {disk.absolute()}" in told
        assert "give the same command again" in told
        assert not leftovers(fresh)
        assert fresh.digests().items() <= expected.items()
        enlarge(disk, 32 << 20)
        fresh.succeed()
        assert fresh.digests() == expected
        assert fresh.succeed().idle


def test_an_output_folder_that_is_only_read_is_told_before_any_job(
    fresh: Project, undisturbed: Project
) -> None:
    fresh.results.mkdir()
    with read_only(fresh.results):
        told = fresh.fail()
    assert not told.jobs
    assert f"no right to write to {fresh.results}" in told.output
    assert "Traceback" not in told.output
    fresh.succeed()
    assert fresh.digests() == undisturbed.digests()


def test_finished_results_that_are_only_read_can_be_looked_at_and_not_renewed(
    finished: Project, undisturbed: Project
) -> None:
    with read_only(finished.results):
        assert finished.succeed().idle
    (table,) = (finished.results / "index").iterdir()
    table.unlink()
    with read_only(finished.results):
        told = finished.fail()
        assert "Write-protected output files" in told.output
        assert not told.jobs
    finished.succeed()
    assert finished.digests() == undisturbed.digests()


def test_an_output_folder_that_is_a_file_is_told(fresh: Project) -> None:
    fresh.results.touch()
    told = fresh.fail().output
    assert f"{fresh.results} is no folder" in told
    assert "Traceback" not in told


# -- two runs at once -------------------------------------------------------------------------


@contextmanager
def halted(project: Project) -> Iterator[None]:
    """Start a run, halt it when its first job has begun, and let it go on to its end."""
    process = start(project)
    deadline = time.monotonic() + 60
    while not (project.results / "logs" / "probe_videos").exists():
        assert process.poll() is None, (project.folder / "said.txt").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGCONT)
        assert process.wait() == 0, (project.folder / "said.txt").read_text()


def test_a_second_run_is_refused_in_the_same_folder_and_from_another(
    fresh: Project, undisturbed: Project
) -> None:
    fresh.config["output"] = str(fresh.folder / "results")
    other = Project(fresh.folder.parent / "other", fresh.config)
    other.folder.mkdir()
    with halted(fresh):
        assert "Directory cannot be locked" in fresh.fail().output
        told = other.fail()
        assert "another run, at work there" in told.output
        assert "Traceback" not in told.output
        assert not told.jobs
    assert fresh.digests() == undisturbed.digests()


# -- data that change while they are read -----------------------------------------------------


@pytest.fixture(scope="module")
def replaced(
    undisturbed: Project, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, dict[str, str]]:
    """Another video, and the results of a run on it."""
    folder = tmp_path_factory.mktemp("replaced")
    make_demo.make_tiny(folder / "CMED", subjects=1, clips=1, frames=4, seed=5)
    project = Project(folder, {"dataset": {"root": str(folder / "CMED")}})
    project.succeed()
    assert project.digests() != undisturbed.digests()
    return video_of(project).read_bytes(), project.digests()


@pytest.mark.parametrize("stage", ["probe_videos", "detect_faces"])
def test_a_video_replaced_while_running_is_noticed_and_read_by_the_next_run(
    fresh: Project, replaced: tuple[bytes, dict[str, str]], tmp_path: Path, stage: str
) -> None:
    # The job of the stage finds another video than the run was started with.
    content, expected = replaced
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nfrom pathlib import Path\n"
        f"if any('.{stage}.py' in word for word in sys.orig_argv):\n"
        f"    new = Path({str(tmp_path / 'new.mp4')!r})\n"
        f"    Path({str(video_of(fresh))!r}).write_bytes(new.read_bytes())\n"
    )
    (tmp_path / "new.mp4").write_bytes(content)
    told = fresh.fail(environment={"PYTHONPATH": str(tmp_path)}).output
    assert "Run it again" in told or "Run the workflow again" in told
    fresh.succeed()
    assert fresh.digests() == expected


def test_a_table_cut_short_by_hand_is_named_and_made_anew(
    finished: Project, undisturbed: Project
) -> None:
    (table,) = (finished.results / "faces").iterdir()
    table.write_bytes(table.read_bytes()[:1000])
    told = finished.fail().output
    assert f"{table.relative_to(finished.folder)} should be a whole Parquet table" in told
    table.unlink()
    finished.succeed()
    assert finished.digests() == undisturbed.digests()


def test_images_removed_by_hand_come_back_with_their_table(
    finished: Project, undisturbed: Project
) -> None:
    image = next(finished.results.rglob("*.png"))
    image.unlink()
    assert finished.succeed().idle  # what happens inside a folder of images is not seen
    for table in (finished.results / "frames").iterdir():
        table.unlink()
    finished.succeed()
    assert finished.digests() == undisturbed.digests()

"""A killed run's lock is cleared, and a living one's never."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cmedplan import locks
from cmedplan.errors import PlanError
from cmedplan.locks import begin_run, check_run, hold_folder, hold_output, sign_output
from cmedplan.output import (
    DEMO_MARK,
    check_claim,
    check_folder,
    check_owner,
    check_writable,
    claim_output,
    is_forgotten,
)
from tests.conftest import REPOSITORY


@pytest.fixture(autouse=True)
def ended() -> Iterator[None]:
    """Let go of what a test holds, as the end of a process does."""
    yield
    let_go()


def let_go() -> None:
    while locks._HELD:
        os.close(locks._HELD.pop())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory's `.snakemake` as a killed run leaves it."""
    place = tmp_path / ".snakemake"
    assert not hold_folder(place, "results")
    let_go()
    (place / "locks").mkdir()
    for kind in ("input", "output"):
        (place / "locks" / f"0.{kind}.lock").write_text("results/videos/S.parquet\n")
    return place


def left(folder: Path) -> int:
    return len(list((folder / "locks").iterdir()))


def test_the_lock_of_a_dead_run_is_cleared(folder: Path) -> None:
    assert hold_folder(folder, "results")
    assert left(folder) == 0


def test_the_lock_of_a_living_run_stays(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from cmedplan.locks import hold_folder\n"
        "hold_folder(Path(sys.argv[1]), 'elsewhere'); print('held', flush=True); input()"
    )
    living = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert living.stdout is not None
    assert living.stdout.readline() == b"held\n"
    assert not hold_folder(folder, "results")
    assert left(folder) == 2
    let_go()
    living.communicate(b"\n")
    assert hold_folder(folder, "results")


def test_the_lock_of_a_run_that_began_beside_another_stays_when_that_one_ends(folder: Path) -> None:
    hold_folder(folder, "results")
    (folder / "locks" / "0.input.lock").write_text("results/videos/S.parquet\n")
    assert not hold_folder(folder, "results")
    os.close(locks._HELD.pop(0))  # the first one ends
    assert not hold_folder(folder, "results")
    assert left(folder) == 1


def test_on_a_disk_without_locks_nothing_is_cleared_and_nobody_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    monkeypatch.setattr(fcntl, "lockf", no_locks)
    assert not hold_folder(folder, "results")
    assert left(folder) == 2
    for _ in range(2):
        hold_output(tmp_path / "results")
        hold_output(tmp_path / "results", ["S1"])


def test_the_lock_of_another_machine_stays_for_the_user(folder: Path) -> None:
    (folder / "cmed-lock").write_text("elsewhere")
    assert not hold_folder(folder, "results")
    let_go()
    assert not hold_folder(folder, "results"), "it was there before"
    assert left(folder) == 2


def test_the_lock_of_other_files_stays(folder: Path) -> None:
    assert not hold_folder(folder, "result")
    assert left(folder) == 2


def test_a_folder_that_cannot_be_made_is_left_to_snakemake(tmp_path: Path) -> None:
    (tmp_path / ".snakemake").touch()
    assert not hold_folder(tmp_path / ".snakemake", "results")


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    output = tmp_path / "a" / "results"
    hold_output(output)
    with pytest.raises(PlanError, match="no other run is writing") as error:
        hold_output(output)
    assert str(output) in str(error.value)
    let_go()
    hold_output(output)


def test_a_run_on_another_machine_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def flock_as_nfs(holder: int, kind: int) -> None:
        if stat.S_ISREG(os.fstat(holder).st_mode):  # a folder's lock is this machine's alone
            flock(holder, kind)

    monkeypatch.setattr(fcntl, "flock", flock_as_nfs)
    hold_output(tmp_path)
    for batch in (None, ["S1"]):
        with pytest.raises(PlanError, match="no other run is writing"):
            hold_output(tmp_path, batch)


@pytest.mark.parametrize("call", ["flock", "lockf"])
def test_a_disk_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    assert hold_output(tmp_path, ["S1"])
    let_go()
    monkeypatch.setattr(fcntl, call, fail)
    assert not hold_output(tmp_path, ["S1"])


def test_locks_that_belong_to_another_user_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PlanError, match="umask 002"):
        hold_output(tmp_path)


def living_batch(output: Path, *subjects: str) -> subprocess.Popen[bytes]:
    """Return a process that holds subjects until it is given a line."""
    code = (
        "import sys; from pathlib import Path; from cmedplan.locks import hold_output\n"
        "hold_output(Path(sys.argv[1]), sys.argv[2:]); print('held', flush=True); input()"
    )
    living = subprocess.Popen(
        [sys.executable, "-c", code, str(output), *subjects],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert living.stdout is not None
    assert living.stdout.readline() == b"held\n"
    return living


def test_batches_share_a_folder_and_no_subject(tmp_path: Path) -> None:
    living = living_batch(tmp_path, "S1", "S3")
    hold_output(tmp_path, ["S2", "S4"])
    with pytest.raises(PlanError, match="another run of a batch") as error:
        hold_output(tmp_path, ["S5", "S3"])
    assert "`S3`" in str(error.value)
    living.communicate(b"\n")
    hold_output(tmp_path, ["S5", "S3"])


def test_a_run_of_all_and_one_of_a_batch_do_not_meet(tmp_path: Path) -> None:
    living = living_batch(tmp_path, "S1")
    with pytest.raises(PlanError, match="no other run is writing"):
        hold_output(tmp_path)
    let_go()
    living.communicate(b"\n")
    hold_output(tmp_path)
    with pytest.raises(PlanError, match="no other run is writing"):
        hold_output(tmp_path, ["S1"])


def test_a_job_of_a_run_that_another_has_followed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CMED_RUN", "one")
    check_run(tmp_path)  # nobody has signed yet
    sign_output(tmp_path)
    check_run(tmp_path)
    begin_run()
    with pytest.raises(PlanError, match="a later run"):
        check_run(tmp_path)
    sign_output(tmp_path)
    check_run(tmp_path)
    monkeypatch.setenv("CMED_RUN", "one")
    with pytest.raises(PlanError, match="a later run"):
        check_run(tmp_path)
    monkeypatch.delenv("CMED_RUN")  # a scheduler that hands on no variables
    check_run(tmp_path)


def test_a_lock_does_not_outlive_its_process_in_its_children(tmp_path: Path) -> None:
    hold_output(tmp_path, ["S1"])
    assert len(locks._HELD) == 2
    for holder in locks._HELD:
        assert fcntl.fcntl(holder, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


@pytest.mark.parametrize("output", ["file", "file/results"])
def test_an_output_folder_that_is_a_file_is_refused(tmp_path: Path, output: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PlanError, match=r"file is no folder"):
        check_folder(tmp_path / output)


def test_an_output_folder_that_can_be_made_is_accepted(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    check_writable(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("closed", ["", "manifests"])
def test_an_output_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, closed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifests").mkdir()
    check_writable(tmp_path)
    # Who runs the tests may be root, who may write everywhere.
    real = os.access
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: real(path, mode) and not (path == tmp_path / closed and mode & os.W_OK),
    )
    with pytest.raises(PlanError, match="no right to write to") as error:
        check_writable(tmp_path)
    assert str(tmp_path / closed) in str(error.value)


def test_results_without_snakemakes_records_are_known_for_such(tmp_path: Path) -> None:
    results, records = tmp_path / "results", tmp_path / ".snakemake" / "metadata"
    assert not is_forgotten(results, records)
    (results / "manifests").mkdir(parents=True)
    assert not is_forgotten(results, records)
    (results / "manifests" / "Subject_01.parquet").touch()
    assert is_forgotten(results, records)
    records.mkdir(parents=True)
    assert is_forgotten(results, records)
    (records / "cmVzdWx0cw==").touch()
    assert not is_forgotten(results, records)


def test_results_of_another_data_set_are_not_taken_for_former_subjects(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    check_owner(tmp_path, tmp_path / "CMED", {"Subject_01": False})
    for subject in ("Subject_01", "Subject_02"):
        (tmp_path / "manifests" / f"{subject}.parquet").touch()
    check_owner(tmp_path, tmp_path / "CMED", {"Subject_02": False, "Subject_03": False})
    with pytest.raises(PlanError, match="none of whom is in it"):
        check_owner(tmp_path, tmp_path / "CMED", {"Child_1": False})


def test_results_of_a_data_set_elsewhere_are_kept_though_its_subjects_have_the_same_names(
    tmp_path: Path,
) -> None:
    results, cmed, other = tmp_path / "results", tmp_path / "CMED", tmp_path / "other"
    claim_output(results, cmed)
    (results / "videos").mkdir()
    (results / "videos" / "Subject_01.parquet").touch()
    check_owner(results, cmed, {"Subject_01": False})
    check_owner(results, other, {"Subject_01": True, "Subject_02": False})  # moved
    (results / "videos" / "Subject_02.parquet").touch()  # and changed since, in part
    check_owner(results, other, {"Subject_01": True, "Subject_02": False})
    (results / "videos" / "Subject_02.parquet").unlink()
    with pytest.raises(PlanError, match="made from another folder"):
        check_owner(results, other, {"Subject_01": False, "Subject_02": True})


def test_a_job_refuses_what_another_data_set_has_claimed(tmp_path: Path) -> None:
    results, cmed, other = (tmp_path / name for name in ("results", "CMED", "other"))
    cmed.mkdir()
    check_claim(results, cmed)
    claim_output(results, cmed)
    check_claim(results, cmed)
    with pytest.raises(PlanError, match=r"remove .*/logs/\.dataset"):
        check_claim(results, other)
    cmed.rename(other)  # or mounted elsewhere
    check_claim(results, other)


def test_results_of_the_demo_may_be_replaced_by_those_of_any_data_set(tmp_path: Path) -> None:
    results, demo = tmp_path / "results", tmp_path / "demo"
    demo.mkdir()
    (demo / DEMO_MARK).touch()
    (results / "manifests").mkdir(parents=True)
    (results / "manifests" / "Subject_01.parquet").touch()
    claim_output(results, demo)
    check_owner(results, tmp_path / "CMED", {"Child_1": False})
    claim_output(results, tmp_path / "CMED")
    with pytest.raises(PlanError, match="made from another folder"):
        check_owner(results, demo, {"Subject_01": False})


def test_word_of_whose_results_they_are_does_not_say_where_the_data_set_is(tmp_path: Path) -> None:
    claim_output(tmp_path, tmp_path / "CMED")
    (word,) = (tmp_path / "logs").iterdir()
    assert "CMED" not in word.read_text()
    word.write_text("[half")
    check_owner(tmp_path, tmp_path / "CMED", {})
    claim_output(tmp_path, tmp_path / "CMED")
    assert word.read_text().startswith("{")

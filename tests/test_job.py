"""A job's log holds what it did, what its libraries wrote, and why it failed."""

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cmedprep.job import Progress, logged
from tests.conftest import REPOSITORY
from tests.disks import small_disk

SCRIPTS = REPOSITORY / "workflow" / "scripts"


def test_log_tells_every_clip_and_the_terminal_now_and_then() -> None:
    log, terminal = io.StringIO(), io.StringIO()
    progress = Progress("detect_faces S1", (log, terminal), interval_s=1000)
    progress.expect(clips=3, frames=60)
    for clip in "abc":
        progress.advance(f"S1/Happy/{clip}", 20)
    progress.finish()
    lines = log.getvalue().splitlines()
    assert lines[1].startswith("detect_faces S1: 2/3 clips, 40/60 frames, ")
    assert lines[1].endswith("S1/Happy/b")
    assert terminal.getvalue().startswith("detect_faces S1: done, 3 clips, 60 frames in ")


def test_terminal_says_how_much_is_left() -> None:
    terminal = io.StringIO()
    progress = Progress("detect_faces S1", (io.StringIO(), terminal), interval_s=0)
    progress.expect(clips=2, frames=40)
    progress.advance("S1/Happy/a", 20)
    assert "1/2 clips, 20/40 frames" in terminal.getvalue()
    assert terminal.getvalue().rstrip().endswith("s left")


def test_what_native_code_writes_goes_to_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with logged(tmp_path / "a.log", "job") as progress:
        os.write(2, b"noise from below\n")
        progress.say("half way")
    text = (tmp_path / "a.log").read_text()
    assert "noise from below" in text
    said = capfd.readouterr().err
    assert "noise" not in said
    assert "job: half way" in said
    assert "job: done" in said


JOB = """
import subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from cmedprep.job import logged
with logged(sys.argv[2], "job"):
    time.sleep(0.3)
    held = bytearray(200 << 20)
    subprocess.run([sys.executable, "-c", "while __import__('time').process_time() < 0.5: pass"])
"""


def test_what_a_job_took_lies_beside_its_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "results" / "logs" / "a_rule" / "logs.log"
    log.parent.mkdir(parents=True)
    began = time.monotonic()
    large = bytearray(900 << 20)  # of the process that starts the job: nothing to do with it
    subprocess.run([sys.executable, "-c", JOB, str(SCRIPTS), str(log)], check=True)
    del large
    wall = time.monotonic() - began
    (file,) = tmp_path.rglob("*.tsv")
    assert file == tmp_path / "logs" / "results" / "benchmarks" / "a_rule" / "logs.tsv"
    names, values = file.read_text().splitlines()
    took = dict(zip(names.split("\t"), map(float, values.split("\t")), strict=True))
    assert took.keys() == {"s", "max_rss", "cpu_time"}
    assert 0.8 <= took["s"] <= wall + 0.02  # the kernel counts in hundredths
    assert took["cpu_time"] >= 0.5
    assert 200 <= took["max_rss"] <= 400


def test_a_job_that_fails_says_nothing_of_what_it_took(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "rule" / "a.log"
    log.parent.mkdir(parents=True)
    with pytest.raises(RuntimeError, match="no luck"), logged(log, "job"):
        raise RuntimeError("no luck")
    assert not list(tmp_path.rglob("*.tsv"))


def test_a_failure_is_in_the_log_and_goes_on(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no luck"), logged(tmp_path / "a.log", "job"):
        raise RuntimeError("no luck")
    text = (tmp_path / "a.log").read_text()
    assert "RuntimeError: no luck" in text
    assert "done" not in text


def test_a_full_disk_is_told_on_the_terminal_with_what_to_do(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        small_disk(tmp_path / "disk", 64 << 10) as disk,
        pytest.raises(OSError, match="No space left"),
        logged(disk / "a.log", "job"),
    ):
        (disk / "images").write_bytes(bytes(1 << 20))
    said = capfd.readouterr().err
    assert f"the disk is full (or your quota is used up) below {tmp_path / 'disk'}" in said
    assert "give the same command again" in said


def test_a_log_that_does_not_fit_is_a_full_disk_as_well(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", 64 << 10) as disk:
        with pytest.raises(OSError, match="No space left"), logged(disk / "a.log", "job") as job:
            job.say("x" * (1 << 20))
        assert "the disk is full" in capfd.readouterr().err


def test_other_troubles_are_not_blamed_on_the_disk(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FileNotFoundError), logged(tmp_path / "a.log", "job"):
        (tmp_path / "none").read_bytes()
    assert "disk" not in capfd.readouterr().err


def test_a_job_does_without_pandas_and_can_have_it(tmp_path: Path) -> None:
    program = """
import sys
sys.path.insert(0, "workflow/scripts")
import numpy as np, pyarrow as pa
from cmedprep.job import logged
with logged(sys.argv[1], "job"):
    table = pa.table({"a": pa.array(np.arange(3), mask=np.zeros(3, bool)), "b": ["x", None, "y"]})
    table.filter(pa.array([True, False, True])).to_pylist()
    before = "pandas" in sys.modules
    print(before, len(table.to_pandas()), pa.array(__import__("pandas").Series([1, 2])).to_pylist())
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.log")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False 3 [1, 2]"


@pytest.mark.parametrize(
    ("work", "said"), [("pass", "collected"), ("with logged(sys.argv[1], 'job'): pass", "")]
)
def test_a_job_that_ends_looks_for_no_garbage(tmp_path: Path, work: str, said: str) -> None:
    program = f"""
import sys
sys.path.insert(0, "workflow/scripts")
from cmedprep.job import logged
class Garbage:
    def __init__(self):
        self.own = self
    def __del__(self):
        print("collected")
{work}
Garbage()
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.log")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said

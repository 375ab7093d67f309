"""The workflow on Slurm ends in the bytes of a local run, whatever befalls its jobs."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import pandas as pd
import pytest
import yaml

from tests.conftest import REPOSITORY, Project, Run
from tests.slurm.cluster import Cluster, wait_for

FACES = "faces/Subject_01.parquet"
TARGETS = [f"results/{FACES}"]


class SlurmRun:
    """A run of Snakemake that submits to Slurm, with the profile that users give."""

    started: ClassVar[list[subprocess.Popen[bytes]]] = []

    def __init__(self, project: Project, *arguments: str, targets: Iterable[str] = ()) -> None:
        (project.folder / "my.yaml").write_text(yaml.safe_dump(project.config))
        self.said = project.folder / "said.txt"
        command = [
            *(sys.executable, "-m", "snakemake", "--configfile", "my.yaml"),
            *("--snakefile", str(project.repository / "Snakefile")),
            *("--workflow-profile", str(REPOSITORY / "profiles" / "slurm")),
            *("--latency-wait", "5"),  # the disk is this host's
            *("--slurm-init-seconds-before-status-checks", "2"),
            *(*arguments, "--", *targets),
        ]
        with open(self.said, "wb") as said:
            self.process = subprocess.Popen(
                command,
                cwd=project.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
        self.started.append(self.process)

    def succeed(self) -> Run:
        """Wait for the end, and fail the test if it is not a good one."""
        ended = self.process.wait(timeout=1200)
        assert ended == 0, self.said.read_text()
        return Run(self.said.read_text())

    def fail(self) -> str:
        """Wait for the end, and fail the test if it is a good one."""
        assert self.process.wait(timeout=1200) != 0, self.said.read_text()
        return self.said.read_text()


@pytest.fixture(autouse=True)
def _end_runs() -> Iterator[None]:
    """End what a test that failed has left running."""
    yield
    while SlurmRun.started:
        run = SlurmRun.started.pop()
        run.kill()
        run.wait()


@pytest.fixture
def probed(tiny: Project) -> Project:
    """A project of which only the first stage is done, so that one job finds a subject's faces."""
    for place in tiny.results.iterdir():
        if place.is_dir() and place.name != "videos":
            shutil.rmtree(place)
        elif place.is_file():
            place.unlink()
    return tiny


@pytest.fixture
def expected(finished_tiny: Project) -> str:
    """The digest of the faces that a local run has found."""
    return finished_tiny.digests()[FACES]


def freeze(cluster: Cluster, rule: str) -> tuple[str, str]:
    """Stop a job in the middle of its work, and return its number and node."""
    number, node = cluster.wait_for_job(rule)
    for process in cluster.scripts(number):
        os.kill(process, signal.SIGSTOP)
    return number, node


def thaw(cluster: Cluster, number: str) -> None:
    """Let a job go on."""
    for process in cluster.scripts(number):
        os.kill(process, signal.SIGCONT)


def block(project: Project, rule: str) -> Path:
    """Make a rule fail on one of two subjects: its log cannot be written."""
    obstacle = project.results / "logs" / rule / "Subject_01.log"
    obstacle.mkdir(parents=True)
    (obstacle / "full").touch()
    return obstacle


def of_subject(project: Project, subject: str) -> dict[str, str]:
    """Return the digests of a subject's tables."""
    return {path: digest for path, digest in project.digests().items() if f"/{subject}." in path}


def submit(cluster: Cluster, project: Project, *arguments: str) -> None:
    """Submit the script for batches, with options for Slurm first, and wait for its end."""
    (project.folder / "my.yaml").write_text(yaml.safe_dump(project.config))
    options = [word for word in arguments if word.startswith("--array")]
    words = [word for word in arguments if word not in options]
    subprocess.run(
        [
            *("sbatch", "--wait", "--cpus-per-task=1", "--mem=8G", *options),
            *(str(REPOSITORY / "profiles" / "slurm" / "batch.sh"), *words),
            *("--configfile", "my.yaml", "--snakefile", str(project.repository / "Snakefile")),
        ],
        cwd=project.folder,
        env=os.environ
        | {"SLURM_CONF": str(cluster.conf)}
        | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        timeout=300,
    )


def state_of(cluster: Cluster, number: str) -> str:
    return cluster.call("squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={number}")


def test_a_subject_that_fails_takes_no_other_along(
    cluster: Cluster, fresh: Project, finished_tiny: Project
) -> None:
    obstacle = block(fresh, "align_faces")
    said = SlurmRun(fresh, "--retries", "0").fail()
    assert len(of_subject(fresh, "Subject_02")) == len(of_subject(finished_tiny, "Subject_02"))
    assert not of_subject(fresh, "Subject_01")
    assert "results/logs/align_faces/Subject_01.log" in said
    shutil.rmtree(obstacle)
    again = SlurmRun(fresh).succeed().output
    assert "subject=Subject_02" not in again
    assert again.count("has been submitted with SLURM jobid") == 3
    assert fresh.digests() == finished_tiny.digests()


def test_an_array_of_batches_makes_what_one_run_makes(
    cluster: Cluster, fresh: Project, finished_tiny: Project
) -> None:
    obstacle = block(fresh, "align_faces")
    # All subjects in one batch: the one that fails is left out, and tried again by the last job.
    submit(cluster, fresh, "--array=1", "--of", "1")
    assert of_subject(fresh, "Subject_02") == of_subject(finished_tiny, "Subject_02")
    assert "faces/Subject_01.parquet" in of_subject(fresh, "Subject_01")
    assert "manifests/Subject_01.parquet" not in of_subject(fresh, "Subject_01")
    shutil.rmtree(obstacle)
    submit(cluster, fresh)
    assert fresh.digests() == finished_tiny.digests()


def test_tasks_of_an_array_run_side_by_side(
    cluster: Cluster, fresh: Project, finished_tiny: Project
) -> None:
    submit(cluster, fresh, "--array=1-3", "--of", "3")
    for subject in ("Subject_01", "Subject_02"):
        assert of_subject(fresh, subject) == of_subject(finished_tiny, subject)
    assert not (fresh.results / "clips.parquet").exists()


def test_a_job_that_is_cancelled_is_tried_again(
    cluster: Cluster, probed: Project, expected: str
) -> None:
    run = SlurmRun(probed, targets=TARGETS)
    number, _ = freeze(cluster, "detect_faces")
    cluster.call("scancel", number)
    run.succeed()
    assert probed.digests()[FACES] == expected
    assert state_of(cluster, number) == "CANCELLED"


def test_a_job_that_takes_too_much_memory_gets_more(
    cluster: Cluster, probed: Project, expected: str
) -> None:
    # Less than Snakemake itself has for seconds: Slurm looks once in a second.
    little = "detect_faces:mem_mb=50*attempt**5"
    said = SlurmRun(probed, "--set-resources", little, targets=TARGETS).succeed().output
    assert probed.digests()[FACES] == expected
    asked = [int(number) for number in re.findall(r"\bmem_mb=(\d+)", said)]
    assert asked[0] == 50
    assert asked[-1] == 1600


def test_a_job_that_takes_too_long_gets_more_time(
    cluster: Cluster, probed: Project, expected: str
) -> None:
    run = SlurmRun(probed, targets=TARGETS)
    number, _ = freeze(cluster, "detect_faces")
    cluster.call("scontrol", "update", f"JobId={number}", "EndTime=now")
    said = run.succeed().output
    assert probed.digests()[FACES] == expected
    assert state_of(cluster, number) == "TIMEOUT"
    assert "runtime=12" in said


def test_a_job_whose_node_dies_runs_on_another(
    cluster: Cluster, probed: Project, expected: str
) -> None:
    run = SlurmRun(probed, targets=TARGETS)
    number, node = freeze(cluster, "detect_faces")
    cluster.kill_node(node)
    try:
        run.succeed()
    finally:
        cluster.start_node(node)
        cluster.wait_for_nodes()
    assert probed.digests()[FACES] == expected
    assert state_of(cluster, number) == "COMPLETED"
    assert " Restarts=1 " in cluster.call("scontrol", "show", "job", number)


def test_jobs_do_not_notice_a_new_controller(
    cluster: Cluster, probed: Project, expected: str
) -> None:
    run = SlurmRun(probed, targets=TARGETS)
    number, _ = freeze(cluster, "detect_faces")
    # A look at the jobs while nobody answers loses them to the plugin; see docs/hpc.md.
    run.process.send_signal(signal.SIGSTOP)
    cluster.wait_for_save(number)
    cluster.kill_controller()
    cluster.start_controller()
    run.process.send_signal(signal.SIGCONT)
    thaw(cluster, number)
    run.succeed()
    assert probed.digests()[FACES] == expected
    assert state_of(cluster, number) == "COMPLETED"


def test_the_same_command_goes_on_after_snakemake_was_killed(
    cluster: Cluster, probed: Project, expected: str
) -> None:
    killed = SlurmRun(probed, targets=TARGETS)
    number, _ = freeze(cluster, "detect_faces")
    killed.process.kill()
    killed.process.wait()
    again = SlurmRun(probed, targets=TARGETS)
    thaw(cluster, number)  # what nobody waits for goes on all the same
    again.succeed()
    assert probed.digests()[FACES] == expected
    wait_for(lambda: not cluster.jobs(), "the jobs of the killed run have ended")
    assert probed.digests()[FACES] == expected
    assert SlurmRun(probed, targets=TARGETS).succeed().idle


def test_a_job_that_a_killed_run_has_left_in_the_queue_touches_nothing(
    cluster: Cluster, probed: Project, expected: str
) -> None:
    cluster.call(
        "scontrol", "update", f"NodeName={','.join(cluster.nodes)}", "State=DRAIN", "Reason=x"
    )
    killed = SlurmRun(probed, targets=TARGETS)
    wait_for(lambda: bool(cluster.jobs("PENDING")), "a job waits")
    killed.process.kill()
    killed.process.wait()
    ((number, _, _),) = cluster.jobs("PENDING")
    probed.succeed(*TARGETS)
    made = (probed.results / FACES).stat().st_mtime_ns
    cluster.call("scontrol", "update", f"NodeName={','.join(cluster.nodes)}", "State=RESUME")
    wait_for(lambda: not cluster.jobs(), "the job has ended")
    assert state_of(cluster, number) == "FAILED"
    assert (probed.results / FACES).stat().st_mtime_ns == made
    assert probed.digests()[FACES] == expected


def test_a_subject_is_verified_on_a_node(cluster: Cluster, tiny: Project) -> None:
    said = SlurmRun(tiny, targets=["results/verify/Subject_01.verified"]).succeed().output
    assert said.count("has been submitted with SLURM jobid") == 1
    clips = pd.read_parquet(tiny.results / "verify" / "Subject_01.parquet")
    assert set(clips["verdict"]) == {"identical"}


# The last one: it has the most to compute, and what CI runs beside these tests has ended by then.
def test_the_results_are_those_of_a_local_run(
    cluster: Cluster, demo: Path, demo_run: Project, tmp_path: Path
) -> None:
    project = Project(tmp_path, {"dataset": {"root": str(demo)}})
    said = SlurmRun(project).succeed().output
    assert project.digests() == demo_run.digests()
    # Three subjects, and what is made of all of them: ledger with report, and splits.
    assert said.count("has been submitted with SLURM jobid") == 5
    assert project.succeed().idle

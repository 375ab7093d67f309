"""What a job asks of a cluster grows with its subject and with its attempts."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Project

SUBJECT_RULES = [
    *("probe_videos", "index_subject", "detect_faces", "align_faces", "extract_frames"),
    *("measure_motion", "write_manifest", "report_subject"),
]
RULES = [*SUBJECT_RULES, "index_clips", "make_splits", "report_dataset"]


@pytest.fixture(scope="module")
def unequal(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A subject with 3 clips and one with 1,000, without results. Not to be changed."""
    folder = tmp_path_factory.mktemp("unequal")
    videos = folder / "CMED" / "FinalFullVideos_subjects" / "Happy"
    rows = ["subject,filename,emotion,apex_frame"]
    source = next(tiny_set.rglob("vid1.mp4"))
    for subject, clips in (("Few", 3), ("Many", 1000)):
        (videos / subject).mkdir(parents=True)
        shutil.copy(source, videos / subject / "vid0.mp4")
        for number in range(clips):
            if number:
                (videos / subject / f"vid{number}.mp4").hardlink_to(videos / subject / "vid0.mp4")
            rows.append(f"{subject},vid{number}.mp4,Happy,3")
    (folder / "CMED" / "video_emotion_metadata.csv").write_text("\n".join(rows) + "\n")
    return Project(folder, {"dataset": {"root": "CMED"}, "motion": {"methods": ["dis"]}})


def planned(project: Project, *arguments: str) -> dict[str, dict[str, int]]:
    """Return the threads and resources of each planned job, by `rule` or `rule subject`."""
    said = project.succeed("--dry-run", *arguments).output
    found = {}
    for rule, details in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", said, re.M):
        subject = re.search(r"wildcards: .*?subject=([^,\s]+)", details)
        numbers = dict(re.findall(r"\b(mem_mb|runtime|threads)(?:=|: )(\d+)", details))
        name = f"{rule} {subject[1]}" if subject else rule
        found[name] = {key: int(number) for key, number in numbers.items()}
    return found


@pytest.fixture(scope="module")
def asked(unequal: Project) -> dict[str, dict[str, int]]:
    return planned(unequal)


def test_every_job_says_what_it_needs(asked: dict[str, dict[str, int]]) -> None:
    jobs = {job: needs for job, needs in asked.items() if job not in ("all", "results")}
    assert {job.split()[0] for job in jobs} == set(RULES)
    for job, needs in jobs.items():
        assert needs["runtime"] >= 5, job
        assert needs["mem_mb"] >= 1000, job
        assert needs.get("threads", 1) == 1, job


@pytest.mark.parametrize("rule", SUBJECT_RULES)
def test_a_subject_with_many_clips_gets_more(asked: dict[str, dict[str, int]], rule: str) -> None:
    few, many = asked[f"{rule} Few"], asked[f"{rule} Many"]
    assert few["runtime"] < many["runtime"]
    assert few["mem_mb"] < many["mem_mb"]


def test_memory_hardly_grows_with_the_clips(asked: dict[str, dict[str, int]]) -> None:
    assert asked["detect_faces Many"]["mem_mb"] < 1.2 * asked["detect_faces Few"]["mem_mb"]


def test_the_decoder_of_unknown_videos_has_its_limit_on_top(unequal: Project) -> None:
    limited = Project(unequal.folder, unequal.config | {"limits": {"memory_mb": 777}})
    asked = planned(limited, "results/videos/Few.parquet", "results/faces/Few.parquet")
    probe, detect = asked["probe_videos Few"], asked["detect_faces Few"]
    assert probe["mem_mb"] == detect["mem_mb"] + 777


def test_what_is_asked_can_be_overridden(unequal: Project) -> None:
    asked = planned(unequal, "--set-resources", "detect_faces:mem_mb=attempt*321", "--")
    assert asked["detect_faces Few"]["mem_mb"] == asked["detect_faces Many"]["mem_mb"] == 321


def test_another_attempt_gets_more(fresh: Project, own_repository: Path) -> None:
    script = own_repository / "workflow" / "scripts" / "probe_videos.py"
    script.write_text("raise SystemExit('fails as often as it is tried')\n")
    own = Project(fresh.folder, fresh.config, own_repository)
    said = own.fail("--retries", "1", "--", "results/videos/Subject_01.parquet").output
    minutes = [int(number) for number in re.findall(r"runtime=(\d+)", said)]
    assert len(minutes) == 2, said
    assert minutes[1] == 2 * minutes[0]


def test_what_is_asked_reruns_nothing(tiny: Project) -> None:
    assert tiny.succeed(
        "--set-resources", "detect_faces:mem_mb=9999", "align_faces:runtime=999"
    ).idle


# -- an array of batches ----------------------------------------------------------------------


def words_of_batch(folder: Path, *arguments: str, **job: str) -> list[str]:
    """Return what the script for batches calls Snakemake with, in a job of some variables."""
    (folder / "snakemake").write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    (folder / "snakemake").chmod(0o755)
    return subprocess.run(
        ["bash", REPOSITORY / "profiles" / "slurm" / "batch.sh", *arguments],
        env={"PATH": f"{folder}:{os.environ['PATH']}"} | job,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout.splitlines()


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"SLURM_MEM_PER_NODE": "12288"}, ["--resources", "mem_mb=12288"]),
        ({"SLURM_MEM_PER_CPU": "3000"}, ["--resources", "mem_mb=12000"]),
        ({}, []),
    ],
)
def test_a_batch_takes_no_more_than_its_job_has(
    tmp_path: Path, job: dict[str, str], expected: list[str]
) -> None:
    words = words_of_batch(tmp_path, "--configfile", "my.yaml", SLURM_CPUS_PER_TASK="4", **job)
    assert words == [*("--cores", "4"), *expected, *("--retries", "2", "--configfile", "my.yaml")]


def test_a_task_of_an_array_is_a_batch_and_may_be_given_targets(tmp_path: Path) -> None:
    words = words_of_batch(tmp_path, "--of", "40", "a target", SLURM_ARRAY_TASK_ID="3")
    batch = ["--nolock", "--config", "batch=3/40"]
    assert words == ["--cores", "1", *batch, "--retries", "2", "a target"]

"""What is gone of the results is made anew, though a run names only what it makes last."""

from itertools import combinations
from pathlib import Path

import pytest

from cmedplan.output import find_lost
from tests.conftest import Project

TABLES = ("videos", "index", "faces", "alignment", "frames", "expression", "manifests")
PARTS = ("samples/one", "samples/two", "motion/dis")
PAGE, OVERVIEW = "reports/S.html", "reports/index.html"
MEASURED = ("index", "faces", "alignment", "frames", "expression")
JOBS = {
    "probe_videos": ((), ("videos",)),
    "index_subject": (("videos",), ("index",)),
    "detect_faces": (("videos",), ("faces",)),
    "align_faces": (("videos", "faces"), ("alignment",)),
    "extract_frames": (("videos", "faces", "alignment"), ("frames", "expression")),
    "measure_motion": (MEASURED, ("motion/dis",)),
    "write_manifest": ((*MEASURED, "motion/dis"), ("manifests", "samples/one", "samples/two")),
    "report_subject": (("manifests",), (PAGE,)),
    "report_dataset": ((PAGE,), (OVERVIEW,)),
}
"""What each job reads and makes."""


def made_anew(missing: set[str], asked: set[str]) -> set[str]:
    """Return what Snakemake makes of what is asked for: jobs that are needed, and what follows."""
    running: set[str] = set()
    while True:
        needed = asked.union(*(JOBS[job][0] for job in running)) & missing
        fresh = {output for job in running for output in JOBS[job][1]}
        more = {
            job for job, (reads, makes) in JOBS.items() if needed & {*makes} or fresh & {*reads}
        }
        if more <= running:
            return fresh
        running |= more


def place(output: str) -> str:
    return output if output.endswith(".html") else f"{output}/S.parquet"


@pytest.mark.parametrize("batch", [False, True])
def test_whatever_is_gone_is_made_anew(tmp_path: Path, batch: bool) -> None:
    """Of the outputs of a subject, every choice of those that are gone: thousands."""
    outputs = [*TABLES, *PARTS, PAGE, OVERVIEW]
    for output in outputs:
        (tmp_path / place(output)).parent.mkdir(parents=True, exist_ok=True)
    asked = {PAGE} if batch else {OVERVIEW}
    for there in (there for n in range(len(outputs) + 1) for there in combinations(outputs, n)):
        for output in outputs:
            path = tmp_path / place(output)
            path.touch() if output in there else path.unlink(missing_ok=True)
        lost = find_lost(tmp_path, [*TABLES, *PARTS], ["S"])
        missing = {*outputs} - {*there}
        fresh = made_anew(missing, asked | {path.removesuffix("/S.parquet") for path in lost})
        assert missing - (set() if not batch else {OVERVIEW}) <= fresh, there


def test_nothing_is_asked_for_by_name_before_the_first_run_and_after_it(
    tmp_path: Path, finished_tiny: Project
) -> None:
    assert find_lost(tmp_path / "nowhere", TABLES, ["S"]) == []
    tables = [*TABLES, "samples/phase11"]
    assert find_lost(finished_tiny.results, tables, ["Subject_01", "Subject_02"]) == []


@pytest.mark.parametrize(
    ("gone", "job"),
    [
        ("videos/Subject_01.parquet", "probe_videos Subject_01"),
        ("index/Subject_01.parquet", "index_subject Subject_01"),
        ("expression/Subject_01.parquet", "extract_frames Subject_01"),
        ("samples/window5/Subject_01.parquet", "write_manifest Subject_01"),
        ("manifests/Subject_01.parquet", "write_manifest Subject_01"),
        ("reports/Subject_01.html", "report_subject Subject_01"),
        ("splits/loso_3class.parquet", "make_splits"),
        ("clips.parquet", "index_clips"),
    ],
)
def test_a_run_makes_an_output_anew_that_is_gone(tiny: Project, gone: str, job: str) -> None:
    (tiny.results / gone).unlink()
    run = tiny.succeed("--dry-run")
    assert run.jobs[job] == 1
    assert not any("Subject_02" in job for job in run.jobs)


def test_several_that_are_gone_come_back_with_the_same_bytes(tiny: Project) -> None:
    before = tiny.digests()
    for name in ("videos", "alignment", "samples/phase11"):
        (tiny.results / name / "Subject_01.parquet").unlink()
    tiny.succeed()
    assert tiny.digests() == before
    assert tiny.succeed().idle


def test_the_samples_of_all_subjects_have_a_name_to_be_asked_for(tiny: Project) -> None:
    assert tiny.succeed("sample_apex").idle
    (tiny.results / "samples/phase11/Subject_02.parquet").unlink()
    run = tiny.succeed("sample_apex")
    assert "write_manifest Subject_02" in run.jobs
    assert not any("Subject_01" in job for job in run.jobs)
    assert (tiny.results / "samples/phase11/Subject_02.parquet").is_file()


def test_a_page_alone_says_which_table_is_gone(tiny: Project) -> None:
    (tiny.results / "faces" / "Subject_01.parquet").unlink()
    (tiny.results / "reports" / "Subject_01.html").unlink()
    said = tiny.fail("results/reports/Subject_01.html").output
    assert "results/faces/Subject_01.parquet is gone" in said
    assert "without naming a target" in said
    tiny.succeed()
    assert tiny.succeed().idle

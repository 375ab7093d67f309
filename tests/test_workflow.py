"""The workflow as a user runs it: real Snakemake on small data sets."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from cmedplan.digests import digest_file
from cmedplan.stages import SPLITS
from cmedprep import schemas
from tests.conftest import REPOSITORY, Project
from tests.test_plan import lay_out

METADATA = "video_emotion_metadata.csv"
BOTH = ("Subject_01", "Subject_02")


def jobs_of(subject: str, *rules: str) -> Counter[str]:
    """Return the jobs of some rules for a subject."""
    return Counter(f"{rule} {subject}" for rule in rules)


def videos(root: Path) -> list[Path]:
    return sorted((root / "FinalFullVideos_subjects").rglob("*.mp4"))


def read(project: Project, table: str) -> pd.DataFrame:
    return pd.read_parquet(project.results / table)


def read_metadata(project: Project) -> pd.DataFrame:
    """Read the metadata file, every cell as it is written."""
    return pd.read_csv(project.root / METADATA, dtype=str, keep_default_na=False)


# -- what comes out ---------------------------------------------------------------------------


def test_every_output_lies_where_the_contract_says(finished_tiny: Project) -> None:
    found = {path for path in finished_tiny.digests() if path.endswith(".parquet")}
    per_subject = ["videos", "index", "faces", "alignment", "frames", "expression", "manifests"]
    per_subject += [f"samples/{name}" for name in ("phase11", "window5", "keyframes")]
    expected = {f"{table}/{subject}.parquet" for table in per_subject for subject in BOTH}
    assert found == expected | {"clips.parquet"} | {f"splits/{name}.parquet" for name in SPLITS}


@pytest.mark.parametrize(
    ("table", "schema"),
    [
        ("clips.parquet", schemas.CLIPS),
        ("videos/Subject_01.parquet", schemas.VIDEOS),
        ("index/Subject_01.parquet", schemas.INDEX),
        ("faces/Subject_01.parquet", schemas.FACES),
        ("alignment/Subject_01.parquet", schemas.ALIGNMENT),
        ("frames/Subject_01.parquet", schemas.FRAMES),
        ("expression/Subject_01.parquet", schemas.EXPRESSION),
        ("samples/phase11/Subject_01.parquet", schemas.SAMPLES),
        ("splits/loso_3class.parquet", schemas.SPLITS),
        ("manifests/Subject_01.parquet", schemas.MANIFEST),
    ],
)
def test_tables_have_their_columns_and_provenance(finished_tiny: Project, table, schema) -> None:
    from cmedprep.tables import read_provenance

    path = finished_tiny.results / table
    assert pq.read_schema(path).equals(schema)
    provenance = read_provenance(path)
    assert provenance["schema_version"] == schemas.SCHEMA_VERSION
    assert len(provenance["models"]) == 3
    assert {"mediapipe", "av", "pyarrow"} <= provenance["packages"].keys()
    for place, digest in provenance["inputs"].items():
        assert digest_file(finished_tiny.results / place) == digest
    assert bool(provenance["inputs"]) == (not table.startswith("videos"))


def test_every_image_is_in_the_table_with_its_digest(finished_tiny: Project) -> None:
    digests = finished_tiny.digests()
    frames = read(finished_tiny, "frames")
    on_disk = {path: digest for path, digest in digests.items() if path.startswith("images/")}
    assert dict(zip(frames["image"], frames["sha256"], strict=True)) == on_disk
    image = cv2.imread(str(finished_tiny.results / frames["image"][0]))
    assert image.shape == (224, 224, 3)


def test_every_job_says_what_it_took(finished_tiny: Project) -> None:
    def places(folder: str, suffix: str) -> set[Path]:
        found = finished_tiny.results / folder
        return {path.relative_to(found).with_suffix("") for path in found.rglob(f"*{suffix}")}

    assert places("benchmarks", ".tsv") == places("logs", ".log") > {Path("make_splits")}


def test_a_page_and_a_manifest_say_which_tables_they_are_made_from(finished_tiny: Project) -> None:
    """A page's job declares the manifest alone, and samples are made by the manifest's job."""
    from cmedprep.tables import read_provenance

    name, results = "Subject_01.parquet", finished_tiny.results
    samples = {f"samples/{scheme}/{name}" for scheme in ("phase11", "window5", "keyframes")}
    summed = {f"{folder}/{name}" for folder in ("faces", "alignment", "frames", "expression")}
    assert read_provenance(results / "manifests" / name)["inputs"].keys() == (
        {f"index/{name}"} | summed | samples
    )
    for sample in samples:
        assert read_provenance(results / sample)["inputs"].keys() == {
            f"{folder}/{name}" for folder in ("index", "frames", "expression")
        }
    page = (results / "reports" / "Subject_01.html").read_text()
    assert all(path in page for path in summed | samples)


def test_a_folder_of_tables_reads_as_one(finished_tiny: Project) -> None:
    samples = read(finished_tiny, "samples/phase11")
    assert set(samples["subject"]) == set(BOTH)
    assert len(samples) == 4 * 11


def test_manifests_and_rows_of_nobody_add_up_to_the_ledger(demo_run: Project) -> None:
    clips, manifests = read(demo_run, "clips.parquet"), read(demo_run, "manifests")
    nobody = clips[clips["subject"].isna()]
    assert sorted([*manifests["clip_id"], *nobody["clip_id"]]) == sorted(clips["clip_id"])
    assert clips["clip_id"].is_unique


# -- what reruns (test_rerun_matrix has every case, as dry runs) --------------------------------


def test_second_run_has_nothing_to_do(tiny: Project) -> None:
    assert tiny.succeed().idle


def test_new_crop_size_reruns_extraction_and_what_follows(tiny: Project) -> None:
    before = tiny.digests()
    tiny.config["crop"] = {"size": 112}
    run = tiny.succeed()
    rules = ("extract_frames", "write_manifest", "report_subject")
    once = Counter({"make_splits": 1, "report_dataset": 1})
    assert run.jobs == sum((jobs_of(subject, *rules) for subject in BOTH), once)
    after = tiny.digests()
    kept = ("videos/", "index/", "faces/", "alignment/", "clips.parquet")
    assert {p: d for p, d in after.items() if p.startswith(kept)} == {
        p: d for p, d in before.items() if p.startswith(kept)
    }
    image = cv2.imread(str(tiny.results / read(tiny, "frames")["image"][0]))
    assert image.shape == (112, 112, 3)


def test_a_changed_scheme_leaves_the_bytes_of_the_others(tiny: Project) -> None:
    schemes: list[dict[str, Any]] = [
        {"name": "phase11", "method": "phase", "slots": 11},
        {"name": "tim4", "method": "tim", "slots": 4},
        {"name": "changing", "method": "window", "radius": 1, "boundary": "edge"},
    ]
    tiny.config["sampling"] = {"schemes": schemes}
    tiny.succeed()

    def of_others() -> dict[str, str]:
        kept = ("samples/phase11/", "samples/tim4/", "interpolated/", "frames/", "images/")
        return {path: digest for path, digest in tiny.digests().items() if path.startswith(kept)}

    before, changing = of_others(), tiny.digests()["samples/changing/Subject_01.parquet"]
    schemes[2]["radius"] = 2
    rules = ("write_manifest", "report_subject")
    once = Counter({"make_splits": 1, "report_dataset": 1})
    assert tiny.succeed().jobs == sum((jobs_of(subject, *rules) for subject in BOTH), once)
    assert of_others() == before
    assert tiny.digests()["samples/changing/Subject_01.parquet"] != changing

    del schemes[2]
    tiny.succeed()
    assert of_others() == before
    assert not (tiny.results / "samples/changing").exists()


def test_video_replaced_under_an_older_time_is_seen(tiny: Project) -> None:
    first, second = (path for path in videos(tiny.root) if path.parent.name == "Subject_01")
    shutil.copyfile(second, first)
    os.utime(first, (0, 0))
    before = tiny.digests()
    assert tiny.succeed().jobs["detect_faces Subject_01"] == 1
    after = tiny.digests()
    assert before["faces/Subject_01.parquet"] != after["faces/Subject_01.parquet"]


def test_results_are_not_stale_after_a_job_failed_once(
    tiny: Project, tiny_set: Path, tmp_path: Path
) -> None:
    # Snakemake records the parameters of a failed job, and would take them for done.
    saboteur = tmp_path / "saboteur"
    saboteur.mkdir()
    (saboteur / "sitecustomize.py").write_text(
        "import sys\n"
        "if any('align_faces' in word for word in sys.orig_argv):\n"
        "    raise SystemExit('sabotaged')\n"
    )
    tiny.config["alignment"] = {"method": "first_frame"}
    failed = tiny.fail(environment={"PYTHONPATH": str(saboteur)})
    assert failed.jobs["align_faces Subject_01"] == 1
    run = tiny.succeed()
    assert run.jobs["align_faces Subject_01"] == run.jobs["write_manifest Subject_01"] == 1

    clean = Project(tmp_path / "clean", tiny.config)
    clean.folder.mkdir()
    clean.succeed()
    assert clean.digests() == tiny.digests()


# -- one subject ------------------------------------------------------------------------------


def test_one_subject_is_a_target(fresh: Project, finished_tiny: Project) -> None:
    run = fresh.succeed("results/manifests/Subject_01.parquet")
    assert not any("Subject_02" in job for job in run.jobs)
    everything = finished_tiny.digests()
    alone = fresh.digests()
    assert alone == {path: everything[path] for path in alone}
    assert "manifests/Subject_01.parquet" in alone


def test_one_subject_is_a_filter(fresh: Project, finished_tiny: Project) -> None:
    fresh.config["subjects"] = ["subject 02"]
    run = fresh.succeed()
    assert not any("Subject_01" in job for job in run.jobs)
    clips = read(fresh, "clips.parquet").set_index("subject")
    assert set(clips.loc["Subject_01", "status"]) == {"not_selected"}
    assert set(clips.loc["Subject_02", "status"]) == {"ok"}
    name = "manifests/Subject_02.parquet"
    assert fresh.digests()[name] == finished_tiny.digests()[name]


def test_batches_and_what_gathers_them_are_a_run_of_all(
    fresh: Project, finished_tiny: Project
) -> None:
    for number in (2, 1):
        fresh.config["batch"] = f"{number}/2"
        run = fresh.succeed("--nolock")
        assert {job.split()[-1] for job in run.jobs} == {f"Subject_0{number}"}
        assert fresh.succeed("--nolock").idle
    fresh.config["batch"] = "3/3"
    assert not fresh.succeed("--nolock").jobs  # more batches than subjects
    del fresh.config["batch"]
    assert set(fresh.succeed().jobs) == {*("index_clips", "make_splits", "report_dataset")}
    assert fresh.digests() == finished_tiny.digests()


def test_unknown_subject_is_a_clear_error(fresh: Project) -> None:
    for arguments, config in (
        (["results/manifests/Subject_99.parquet"], {}),
        ([], {"subjects": ["Subject_99"]}),
    ):
        project = replace(fresh, config=fresh.config | config)
        output = project.fail(*arguments).output
        assert "Subject_99" in output
        assert "`Subject_01`, `Subject_02`" in output
        assert "Traceback (most recent call last)" not in output


# -- same bytes (see test_same_bytes) -----------------------------------------------------------


def test_flat_layout_gives_the_same_images(fresh: Project, finished_tiny: Project) -> None:
    # Filenames need not be unique in folders by subject; in the flat layout they have to be.
    table = read_metadata(fresh)
    for path in videos(fresh.root):
        emotion, subject = path.parent.parent.name, path.parent.name
        target = fresh.root / "FinalFullVideos" / emotion / f"{subject}-{path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(target)
    table["filename"] = table["subject"] + "-" + table["filename"]
    table.to_csv(fresh.root / METADATA, index=False)
    shutil.rmtree(fresh.root / "FinalFullVideos_subjects")
    fresh.succeed()
    images = {p: d for p, d in fresh.digests().items() if p.startswith("images/")}
    expected = {p: d for p, d in finished_tiny.digests().items() if p.startswith("images/")}
    assert sorted(images.values()) == sorted(expected.values())
    assert set(read(fresh, "clips.parquet")["status"]) == {"ok"}


def test_killed_run_ends_in_the_same_result(fresh: Project, finished_tiny: Project) -> None:
    (fresh.folder / "my.yaml").write_text(yaml.safe_dump(fresh.config))
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--configfile", "my.yaml", "--cores", "2"]
    process = subprocess.Popen(
        command, cwd=fresh.folder, start_new_session=True, stderr=subprocess.DEVNULL
    )
    faces = fresh.results / "logs" / "detect_faces"
    deadline = time.monotonic() + 60
    while not faces.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (fresh.results / "manifests").exists()
    fresh.succeed()
    assert fresh.digests() == finished_tiny.digests()


# -- clear errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"crop": {"sise": 112}}, ["crop.sise", "did you mean `size`"]),
        ({"crop": {"size": "big"}}, ["crop.size", "'big'"]),
        ({"dataset": {}}, ["dataset.root", "nothing"]),
        ({"dataset": {"root": "/nowhere"}}, ["/nowhere", "No such file"]),
    ],
)
def test_wrong_config_is_one_clear_error(fresh: Project, config: dict, words: list[str]) -> None:
    run = replace(fresh, config=fresh.config | config).fail()
    assert all(word in run.output for word in words), run.output
    assert "Traceback" not in run.output
    assert not run.jobs
    assert not fresh.results.exists()


def test_missing_column_is_one_clear_error(fresh: Project) -> None:
    path = fresh.root / METADATA
    path.write_text(path.read_text().replace("apex_frame", "peak"))
    output = fresh.fail().output
    assert METADATA in output
    assert "one column `apex_frame`" in output
    assert "`peak`" in output
    fresh.config["dataset"]["columns"] = {"apex_frame": "peak"}
    assert fresh.succeed("-n").jobs["index_clips"] == 1


# -- as part of other workflows ---------------------------------------------------------------


@pytest.mark.parametrize("where", ["local", "git"])
def test_workflow_is_usable_as_a_module(
    fresh: Project, finished_tiny: Project, own_repository: Path, where: str
) -> None:
    if where == "git":
        git = ["git", "-C", str(own_repository), "-c", "user.name=a", "-c", "user.email=a@b"]
        for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"], ["tag", "v1"]):
            subprocess.run([*git, *words], check=True)
        source = f'gitfile("{own_repository}", path="workflow/Snakefile", tag="v1")'
    else:
        source = f'"{own_repository / "workflow" / "Snakefile"}"'
    user = fresh.folder / "Snakefile"
    user.write_text(
        f"module cmed:\n    snakefile:\n        {source}\n    config:\n        config\n\n\n"
        "use rule * from cmed as cmed_*\n\n\n"
        "rule mine:\n    default_target: True\n    input:\n        rules.cmed_all.input,\n"
    )
    project = replace(fresh, repository=fresh.folder)
    # The trigger `code`, which our profile leaves out, fails on scripts from git.
    project.succeed("--rerun-triggers", "mtime", "params", "input")
    assert project.digests() == finished_tiny.digests()
    if where == "local":  # Snakemake runs no hooks of a module
        other = fresh.folder / "other"
        lay_out(other, ["Happy/Kid_01/a.mp4"], [("Kid_01", "a.mp4", "Happy", "1")])
        project.config["dataset"]["root"] = str(other)
        run = project.fail("--rerun-triggers", "mtime", "params", "input")
        assert "results of another data set" in run.output
        assert finished_tiny.digests().items() - project.digests().items() <= {
            ("clips.parquet", finished_tiny.digests()["clips.parquet"])  # Snakemake's own doing
        }


def test_a_module_may_have_a_prefix_and_run_our_hooks(
    fresh: Project, finished_tiny: Project
) -> None:
    (fresh.folder / "Snakefile").write_text(
        f'module cmed:\n    snakefile:\n        "{REPOSITORY / "workflow" / "Snakefile"}"\n'
        '    config:\n        config\n    prefix:\n        "pre"\n\n\nuse rule * from cmed\n\n\n'
        "onstart:\n    cmed.onstart()\n\n\nonsuccess:\n    cmed.onsuccess()\n"
    )
    project = replace(fresh, repository=fresh.folder)
    triggers = ("--rerun-triggers", "mtime", "params", "input", "--max-checksum-file-size", "1TB")
    page = "The page to look at first: pre/results/reports/index.html"
    assert page in project.succeed(*triggers).output
    made = Project(fresh.folder / "pre", fresh.config)
    assert made.digests() == finished_tiny.digests()

    for video in fresh.root.rglob("*.mp4"):
        os.utime(video)
    assert project.succeed(*triggers).idle
    project.succeed(*triggers, "pre/results/verify/Subject_01.verified")

    (made.results / "reports" / "index.html").unlink()
    holder = os.open(made.results / "logs" / ".lock", os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    assert "expected: a folder that no other run is writing to" in project.fail(*triggers).output
    os.close(holder)
    assert project.succeed(*triggers).jobs == {"report_dataset": 1}


def test_a_project_that_was_copied_elsewhere_is_up_to_date(
    finished_tiny: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "from a stick"
    shutil.copytree(finished_tiny.folder, folder, copy_function=shutil.copyfile)  # new times
    assert Project(folder, finished_tiny.config).succeed().idle


def test_workflow_folder_has_the_same_default_target(tiny: Project) -> None:
    assert tiny.succeed(snakefile="workflow/Snakefile").idle


def test_no_config_file_is_needed(tiny: Project) -> None:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")]
    command += ["--cores", "1", "--config", f"dataset={{root: {tiny.root}}}"]
    done = subprocess.run(command, cwd=tiny.folder, capture_output=True, text=True)
    assert "Nothing to be done" in done.stdout + done.stderr

"""What all rules share: the checked config, the plan of the data set, and paths."""

import atexit
import gc
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError


def find_scripts():
    """Return the folder of scripts and packages, fetched first where the workflow is hosted.

    Snakemake fetches a hosted workflow file by file and knows nothing of what scripts import.
    """
    here = Path(workflow.current_basedir.get_path_or_uri(secret_free=False))
    if here.is_dir():
        return here.parent / "scripts"
    names = Path(workflow.source_path("../scripts/modules.txt")).read_text().split()
    folder = Path(".snakemake").absolute() / "cmed-scripts"
    for name in names:
        target = folder / name
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(Path(workflow.source_path(f"../scripts/{name}")).read_bytes())
        os.replace(part, target)
    # Jobs inherit it, and remote ones parse this file again.
    inherited = [path for path in [os.getenv("PYTHONPATH")] if path]
    os.environ.update(PYTHONPATH=os.pathsep.join([str(folder), *inherited]))
    return folder


# Jobs inherit this: each has one thread, and libraries would take all there are.
os.environ.update(
    dict.fromkeys(
        ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"),
        "1",
    )
)
# What is planned stays until the end: to look through it for garbage again and again, as Python
# does by itself, and once more when all is over, takes a third of the time that thousands of jobs
# take to plan.
GARBAGE_THRESHOLDS = gc.get_threshold()
gc.set_threshold(2_000_000, 100, 100)
atexit.register(gc.freeze)
SCRIPTS = find_scripts()
sys.path.insert(0, str(SCRIPTS))

from cmedplan.config import complete_config
from cmedplan.digests import digest_file
from cmedplan.errors import PlanError
from cmedplan.fingerprint import code_fingerprint
from cmedplan.locks import begin_run, check_run, hold_folder, hold_output, sign_output
from cmedplan.output import check_folder, check_owner, check_writable, claim_output, is_forgotten
from cmedplan.stages import stage_chain, stage_parameters, stage_parts, stage_recipes
from cmedplan.survey import Survey

try:
    complete_config(config, Path(workflow.source_path("../schemas/config.schema.yaml")))
    OUTPUT = config["output"].rstrip("/")
    # Where that is: Snakemake puts a module's `prefix` before what rules name, and nowhere else.
    PLACE = workflow.modifier.path_modifier.replace_prefix(f"{OUTPUT}/").rstrip("/")
    RESULTS = Path(PLACE)
    check_folder(RESULTS)
    if workflow.is_main_process:
        begin_run()
    elif not config["batch"]:  # batches share a folder, and none of them signs it
        check_run(RESULTS)
    # A job on another machine parses this file again, for the sake of one subject.
    SURVEY = Survey(config, RESULTS, whole=workflow.is_main_process)
except PlanError as error:
    raise WorkflowError(str(error)) from None

SUBJECTS = SURVEY.selected
SCHEMES = stage_parts("sample_apex", config)
METHODS = stage_parts("measure_motion", config)


wildcard_constraints:
    subject=r"[^/]+",
    method=r"\w+",


def videos_digest(wildcards):
    """Return what changes when a video of the subject may have changed."""
    try:
        return SURVEY.videos_digest(wildcards.subject)
    except PlanError as error:
        raise WorkflowError(str(error)) from None


def rows_digest(wildcards):
    """Return what changes when a metadata row of the subject has changed."""
    try:
        return SURVEY.rows_digest(wildcards.subject)
    except PlanError as error:
        raise WorkflowError(str(error)) from None


def verify_reference(wildcards):
    """Return the manifest that is to be verified."""
    named = config["verify"]["reference"]
    path = Path(named or RESULTS / "manifests")
    return str(path if path.suffix == ".parquet" else path / f"{wildcards.subject}.parquet")


def reference_digest(wildcards):
    """Return the checksum of the manifest that is to be verified, or None without one."""
    path = Path(verify_reference(wildcards))
    return digest_file(path) if path.is_file() else None


# Held until this process ends; the jobs that parse this file again have no part in it.
if workflow.is_main_process and hold_folder(Path(".snakemake"), PLACE):
    print("An earlier run was killed: its lock is cleared.", file=sys.stderr)


if workflow.is_main_process and is_forgotten(RESULTS, Path(".snakemake", "metadata")):
    print(
        f"Snakemake has no record here of how `{RESULTS}` was made: its folder .snakemake is gone, or "
        "the run starts in another folder. What has changed since is not noticed, but for files that are "
        "newer than what was made of them; with --forceall everything is made anew.",
        file=sys.stderr,
    )


# Only here is it certain that something will be written.
onstart:
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        check_writable(RESULTS)
        check_owner(RESULTS, Path(config["dataset"]["root"]), SURVEY.probed())
        if not hold_output(RESULTS, SUBJECTS if config["batch"] else None):
            print(
                f"The disk of `{RESULTS}` keeps no locks: start no second run there.",
                file=sys.stderr,
            )
        claim_output(RESULTS, Path(config["dataset"]["root"]))
        if not config["batch"]:
            sign_output(RESULTS)
    except PlanError as error:
        raise WorkflowError(str(error)) from None


onsuccess:
    page = RESULTS / "reports" / "index.html"
    if workflow.is_main_process and page.is_file():
        print(f"The page to look at first: {page}", file=sys.stderr)

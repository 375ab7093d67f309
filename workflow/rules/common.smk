"""What all rules share: the checked config, the plan of the data set, and paths."""

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
SCRIPTS = find_scripts()
sys.path.insert(0, str(SCRIPTS))

from cmedplan.config import complete_config
from cmedplan.digests import digest_file
from cmedplan.errors import PlanError
from cmedplan.fingerprint import code_fingerprint
from cmedplan.inventory import files_digest
from cmedplan.locks import hold_folder, hold_output
from cmedplan.output import check_folder, check_owner, check_writable
from cmedplan.plan import digest_clips, make_plan
from cmedplan.stages import SPLITS, stage_chain, stage_parameters, stage_parts

try:
    complete_config(config, Path(workflow.source_path("../schemas/config.schema.yaml")))
    check_folder(Path(config["output"]))
    PLAN = make_plan(config)
except PlanError as error:
    raise WorkflowError(str(error)) from None

OUTPUT = config["output"].rstrip("/")
SUBJECTS = PLAN.selected
SCHEMES = stage_parts("sample_apex", config)
METHODS = stage_parts("measure_motion", config)


wildcard_constraints:
    subject=r"[^/]+",
    scheme="|".join(SCHEMES),
    method=r"\w+",


def clips_of(wildcards):
    """Return the planned clips of a job's subject."""
    try:
        return PLAN.clips(wildcards.subject)
    except PlanError as error:
        raise WorkflowError(str(error)) from None


def videos_digest(wildcards):
    """Return what changes when a video of the subject may have changed."""
    table = Path(f"{OUTPUT}/videos/{wildcards.subject}.parquet")
    return files_digest(clips_of(wildcards), Path(config["dataset"]["root"]), table)


def rows_digest(wildcards):
    """Return what changes when a metadata row of the subject has changed."""
    return digest_clips(clips_of(wildcards), files=False)


def verify_reference(wildcards):
    """Return the manifest that is to be verified."""
    named = config["verify"]["reference"]
    path = Path(named or f"{OUTPUT}/manifests")
    return str(path if path.suffix == ".parquet" else path / f"{wildcards.subject}.parquet")


def reference_digest(wildcards):
    """Return the checksum of the manifest that is to be verified, or None without one."""
    path = Path(verify_reference(wildcards))
    return digest_file(path) if path.is_file() else None


# Held until this process ends; the jobs that parse this file again have no part in it.
if workflow.is_main_process and hold_folder(Path(".snakemake"), OUTPUT):
    print("An earlier run was killed: its lock is cleared.", file=sys.stderr)


# Only here is it certain that something will be written.
onstart:
    try:
        check_writable(Path(OUTPUT))
        check_owner(Path(OUTPUT), PLAN.subjects.keys())
        hold_output(Path(OUTPUT))
    except PlanError as error:
        raise WorkflowError(str(error)) from None

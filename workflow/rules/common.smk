"""What all rules share: the checked config, the plan of the data set, and paths."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

# Snakemake fetches a hosted workflow file by file, so what scripts import has to be named.
if workflow.current_basedir.is_local:
    RULES = Path(workflow.current_basedir.get_path_or_uri(secret_free=False))
else:
    for name in Path(workflow.source_path("../scripts/modules.txt")).read_text().split():
        workflow.source_path(f"../scripts/{name}")
    RULES = Path(workflow.source_path("common.smk")).parent
SCRIPTS = RULES.parent / "scripts"
SCHEMA = workflow.source_path("../schemas/config.schema.yaml")
sys.path.insert(0, str(SCRIPTS))

from cmedplan.config import complete_config
from cmedplan.errors import PlanError
from cmedplan.plan import digest_clips, make_plan
from cmedplan.stages import stage_chain, stage_parameters

try:
    complete_config(config, Path(SCHEMA))
    PLAN = make_plan(config)
except PlanError as error:
    raise WorkflowError(str(error)) from None

OUTPUT = config["output"].rstrip("/")
SUBJECTS = PLAN.selected
SCHEMES = [scheme["name"] for scheme in config["sampling"]["schemes"]]


wildcard_constraints:
    subject=r"[^/]+",
    scheme="|".join(SCHEMES),


def clips_of(wildcards):
    """Return the planned clips of a job's subject."""
    try:
        return PLAN.clips(wildcards.subject)
    except PlanError as error:
        raise WorkflowError(str(error)) from None


def files_digest(wildcards):
    """Return what changes when a video of the subject may have changed."""
    return digest_clips(clips_of(wildcards), files=True)


def rows_digest(wildcards):
    """Return what changes when a metadata row of the subject has changed."""
    return digest_clips(clips_of(wildcards), files=False)


def digest_plan():
    """Return what changes when any row of the ledger of the whole data set has."""
    return digest_clips(PLAN.all_clips(), files=False, numbers=True)

"""What a run was made by, as far as it is known before a job runs, for others to read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cmedplan.digests import digest_file
from cmedplan.stages import PARTS, STAGES, stage_chain, stage_recipes


def run_chains(config: Mapping[str, Any], scripts: Path) -> dict[str, str]:
    """Return the chain that tables carry when they are up to date.

    By stage, and by stage and part (``sample_apex/phase11``) where there is one for each.
    """
    chains = {stage: stage_chain(stage, config, scripts) for stage in STAGES}
    return chains | {
        f"{stage}/{part}": recipe["chain"]
        for stage in PARTS
        for part, recipe in stage_recipes(stage, config, scripts).items()
    }


def run_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a run, without what says where things lie on this machine."""
    dataset = {key: config["dataset"][key] for key in ("layout", "columns")}
    stages = {name: config[name] for stage in STAGES.values() for name in stage.parameters}
    return {"dataset": dataset, "subjects": config["subjects"]} | stages


def metadata_facts(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return name, size in bytes and SHA-256 of the data set's metadata file."""
    path = Path(config["dataset"]["root"]) / config["dataset"]["metadata"]
    return {"name": path.name, "size": path.stat().st_size, "sha256": digest_file(path)}

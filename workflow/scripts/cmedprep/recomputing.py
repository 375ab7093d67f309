"""Run the workflow for one subject, from its videos, in a folder of its own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cmedplan.errors import PlanError
from cmedprep.schemas import SCHEMA_VERSION
from cmedprep.tables import read_provenance, read_rows

_SECTIONS = {
    "index_subject": ("apex", "labels"),
    "detect_faces": ("detection",),
    "align_faces": ("alignment",),
    "extract_frames": ("crop", "images"),
}


def read_manifest(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return a manifest's rows, and what it says of its own making.

    Raises
    ------
    PlanError
        There is no such file, it is no manifest, or it is one that cannot be compared.
    """
    if not path.is_file():
        raise PlanError(
            f"manifest to verify: {path}",
            expected="a manifest that the workflow has written",
            found="no such file",
            remedy="run the workflow first, or set `verify.reference` to a manifest or to a "
            "folder of manifests",
        )
    origin = read_provenance(path)
    if origin.get("stage") != "write_manifest":
        raise PlanError(
            f"manifest to verify: {path}",
            expected="a manifest that the workflow has written",
            found=f"a table of {origin.get('stage', 'something else')}",
            remedy="give a file of `results/manifests`",
        )
    if "upstream" not in origin or _major_minor(origin) != _major_minor({}):
        raise PlanError(
            f"manifest to verify: {path}",
            expected=f"tables of schema version {SCHEMA_VERSION}",
            found=f"schema version {origin['schema_version']}",
            remedy="verify it with the version of the workflow that has made it (CHANGELOG says "
            "which has which schema), or have it made anew",
        )
    return read_rows(path), origin


def recomputing_config(
    config: Mapping[str, Any], subject: str, origin: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the config that recomputes a subject as its manifest says it was made.

    Where the data set lies is the own config's; all that changes results is the manifest's.
    """
    upstream = origin["upstream"]
    sections = {
        section: upstream[stage]["parameters"][section]
        for stage, names in _SECTIONS.items()
        for section in names
    }
    samplings = [made["parameters"]["sampling"] for made in upstream["sample_apex"].values()]
    sampling = {
        "without_apex": samplings[0]["without_apex"],
        "schemes": [sampling["scheme"] for sampling in samplings],
    }
    dataset = dict(config["dataset"])
    dataset["root"] = str(Path(dataset["root"]).absolute())
    return {
        "dataset": dataset,
        "limits": config["limits"],
        "subjects": [subject],
        "output": "results",
        "sampling": sampling,
        "motion": {"methods": sorted(upstream.get("measure_motion", {}))},
        **sections,
    }


@contextmanager
def recompute_subject(
    subject: str, config: Mapping[str, Any], snakefile: Path, scratch: Path, threads: int
) -> Iterator[Path]:
    """Give the manifest of a subject that is made anew; it is gone when the block ends.

    Parameters
    ----------
    subject : str
        The subject.
    config : mapping
        See `recomputing_config`.
    snakefile : Path
        The workflow.
    scratch : Path
        A folder to work in; what is there is removed before and after.
    threads : int
        Cores to use.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        # JSON is YAML, too.
        (scratch / "config.yaml").write_text(json.dumps(config, indent=1), encoding="utf-8")
        manifest = f"results/manifests/{subject}.parquet"
        command = [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile)),
            *("--directory", str(scratch), "--configfile", str(scratch / "config.yaml")),
            *("--cores", str(threads), "--scheduler", "greedy", "--nocolor"),
            *("--rerun-triggers", "mtime", "params", "input", "--", manifest),
        ]
        # A user's own profile may be that of a cluster.
        environment = {name: os.environ[name] for name in os.environ if name != "SNAKEMAKE_PROFILE"}
        run = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
        )
        if run.returncode:
            raise RuntimeError(
                f"{subject} could not be recomputed: the run in {scratch} failed, see above"
            )
        yield scratch / manifest
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _major_minor(origin: Mapping[str, Any]) -> str:
    return ".".join(str(origin.get("schema_version", SCHEMA_VERSION)).split(".")[:2])

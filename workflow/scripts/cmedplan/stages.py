"""The stages of the workflow: on what each depends, and which config keys it reads.

This is the one place that says so. A stage's *chain* is a digest of its own code and
parameters and of the chains of all stages before it; each rule carries its chain as a
parameter, so Snakemake reruns a job exactly when something that it depends on has changed,
even when an earlier job of the chain failed in between and left its output to be made anew.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmedplan.fingerprint import code_fingerprint


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage reads: the outputs of `after`, and the config sections `parameters`."""

    after: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


STAGES = {
    "probe_videos": Stage(parameters=("limits",)),
    "index_subject": Stage(after=("probe_videos",), parameters=("apex", "labels")),
    "index_clips": Stage(after=("index_subject",)),
    "detect_faces": Stage(after=("probe_videos",), parameters=("detection",)),
    "align_faces": Stage(after=("detect_faces",), parameters=("alignment",)),
    "extract_frames": Stage(after=("align_faces",), parameters=("crop",)),
    "sample_apex": Stage(after=("extract_frames", "index_subject"), parameters=("sampling",)),
    "write_manifest": Stage(after=("sample_apex",)),
    "write_crate": Stage(after=("write_manifest", "index_clips")),
}


def stage_parameters(
    stage: str, config: Mapping[str, Any], scheme: str | None = None
) -> dict[str, Any]:
    """Return the part of the config that a stage reads, keys sorted: their order means nothing.

    With `scheme`, `sampling` holds that scheme alone: a new scheme leaves the others be.
    """
    parameters = {section: config[section] for section in STAGES[stage].parameters}
    if scheme is not None:
        (entry,) = [s for s in config["sampling"]["schemes"] if s["name"] == scheme]
        without_apex = config["sampling"]["without_apex"]
        parameters["sampling"] = {"without_apex": without_apex, "scheme": entry}
    ordered: dict[str, Any] = json.loads(json.dumps(parameters, sort_keys=True))
    return ordered


def stage_chain(
    stage: str, config: Mapping[str, Any], scripts: Path, scheme: str | None = None
) -> str:
    """Return the digest of everything but data that a stage's output depends on."""
    own = (
        stage,
        code_fingerprint(scripts / f"{stage}.py"),
        stage_parameters(stage, config, scheme),
    )
    before = [stage_chain(name, config, scripts) for name in STAGES[stage].after]
    return hashlib.sha256(json.dumps([own, before], sort_keys=True).encode()).hexdigest()[:16]

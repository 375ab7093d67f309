"""The stages of the workflow: on what each depends, and which config keys it reads.

This is the one place that says so. A stage's *chain* is a digest of its own code and
parameters and of the chains of all stages before it; each rule carries its chain as a
parameter, so Snakemake reruns a job exactly when something that it depends on has changed,
even when an earlier job of the chain failed in between and left its output to be made anew.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmedplan.fingerprint import code_fingerprint


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage reads: the outputs of `after`, and the config sections `parameters`."""

    after: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()


SPLITS = tuple(
    f"{protocol}_{labels}"
    for protocol in ("loso", "kfold", "repeated")
    for labels in ("emotion", "emotion_with_none", "3class", "3class_with_none")
)
"""The tables of `make_splits`: a protocol, and what counts as a class."""

STAGES = {
    "probe_videos": Stage(parameters=("limits",)),
    "index_subject": Stage(after=("probe_videos",), parameters=("apex", "labels")),
    "index_clips": Stage(after=("index_subject",)),
    "detect_faces": Stage(after=("probe_videos",), parameters=("detection",)),
    "align_faces": Stage(after=("detect_faces",), parameters=("alignment",)),
    "extract_frames": Stage(after=("align_faces",), parameters=("crop", "images")),
    "sample_apex": Stage(after=("extract_frames", "index_subject"), parameters=("sampling",)),
    "measure_motion": Stage(after=("extract_frames", "index_subject"), parameters=("motion",)),
    "write_manifest": Stage(after=("sample_apex", "measure_motion")),
    "make_splits": Stage(after=("write_manifest",), parameters=("labels", "splits")),
    "report_subject": Stage(after=("write_manifest",), parameters=("report",)),
    "report_dataset": Stage(
        after=("report_subject", "index_clips"), parameters=("labels", "report")
    ),
    "write_crate": Stage(after=("make_splits", "report_dataset")),
}


def _schemes(config: Mapping[str, Any]) -> dict[str, Any]:
    without_apex = config["sampling"]["without_apex"]
    return {
        scheme["name"]: {"sampling": {"without_apex": without_apex, "scheme": scheme}}
        for scheme in config["sampling"]["schemes"]
    }


def _methods(config: Mapping[str, Any]) -> dict[str, Any]:
    without_apex = config["sampling"]["without_apex"]
    return {
        method: {"motion": {"without_apex": without_apex, "method": method}}
        for method in config["motion"]["methods"]
    }


PARTS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "sample_apex": _schemes,
    "measure_motion": _methods,
}
"""Stages that make a folder of tables for each of several parts, and what each part reads."""


def stage_parts(stage: str, config: Mapping[str, Any]) -> list[str]:
    """Return the names of a stage's folders: sampling schemes, methods of motion."""
    return list(PARTS[stage](config)) if stage in PARTS else []


def stage_parameters(
    stage: str, config: Mapping[str, Any], part: str | None = None
) -> dict[str, Any]:
    """Return the part of the config that a stage reads, keys sorted: their order means nothing.

    With `part`, it is what one of the stage's folders reads: a new scheme leaves the others be.
    """
    if stage in PARTS:
        parameters = PARTS[stage](config) if part is None else PARTS[stage](config)[part]
    else:
        parameters = {section: config[section] for section in STAGES[stage].parameters}
    ordered: dict[str, Any] = json.loads(json.dumps(parameters, sort_keys=True))
    return ordered


def stage_chain(
    stage: str, config: Mapping[str, Any], scripts: Path, part: str | None = None
) -> str:
    """Return the digest of everything but data that a stage's output depends on.

    A stage without any part is switched off: nothing depends on it.
    """
    if stage in PARTS and not stage_parts(stage, config):
        return ""
    own = (
        stage,
        code_fingerprint(scripts / f"{stage}.py"),
        stage_parameters(stage, config, part),
    )
    before = [stage_chain(name, config, scripts) for name in STAGES[stage].after]
    return hashlib.sha256(json.dumps([own, before], sort_keys=True).encode()).hexdigest()[:16]


def stage_recipes(
    stage: str, config: Mapping[str, Any], scripts: Path
) -> dict[str, dict[str, Any]]:
    """Return chain and parameters of each of a stage's folders, sorted by name."""
    return {
        part: {
            "chain": stage_chain(stage, config, scripts, part),
            "parameters": stage_parameters(stage, config, part),
        }
        for part in sorted(stage_parts(stage, config))
    }

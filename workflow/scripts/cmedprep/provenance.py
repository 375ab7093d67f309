"""What every table says of its own making."""

import os
from collections.abc import Iterable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cmedplan.digests import digest_file
from cmedplan.fingerprint import code_fingerprint
from cmedprep.schemas import SCHEMA_VERSION
from cmedprep.tables import BY_PART, read_provenance

PACKAGES = (
    *("av", "mediapipe", "numpy", "opencv-python-headless", "pyarrow"),
    *("scikit-image", "scikit-learn"),
)
MODELS = (
    "modules/face_detection/face_detection_full_range_sparse.tflite",
    "modules/face_detection/face_detection_short_range.tflite",
    "modules/face_landmark/face_landmark_with_attention.tflite",
)
"""The models behind `faces`, as files of the MediaPipe package."""

_SCRIPTS = Path(__file__).parent.parent


def provenance_of(
    stage: str, job: Any, inputs: Iterable[str | Path] | None = None
) -> dict[str, Any]:
    """Return the provenance of a stage's table, equal for equal circumstances.

    Parameters
    ----------
    stage : str
        Name of the stage, and of its script.
    job : snakemake.script.Snakemake
        The job: its params, `chain`, and `parameters` where the stage reads any; the tables
        that it reads (videos have their digests in the rows of `videos`); what it makes.
    inputs : iterable of path, optional
        The tables that the stage reads, where they are not those of the job.
    """
    inputs = list(map(str, job.input if inputs is None else inputs))
    # What a job reads lies in another folder than what it makes, both in that of all results.
    results = os.path.commonpath([job.output[0], *inputs])
    return {
        "stage": stage,
        "schema_version": SCHEMA_VERSION,
        "chain": job.params.chain,
        "code": code_fingerprint(_SCRIPTS / f"{stage}.py"),
        "parameters": job.params.get("parameters", {}),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "models": _model_digests(),
        "inputs": {
            Path(os.path.relpath(path, results)).as_posix(): digest_file(Path(path))
            for path in inputs
        },
    }


def upstream_of(tables: Iterable[Path]) -> dict[str, Any]:
    """Return by which code and parameters some tables say they were made, by stage.

    Those of a stage with a folder for each of its parts are by stage and part.
    """
    upstream: dict[str, Any] = {}
    for table in tables:
        made = read_provenance(table)
        origin = {"code": made["code"], "parameters": made["parameters"]}
        if made["stage"] in BY_PART.values():
            upstream.setdefault(made["stage"], {})[table.parent.name] = origin
        else:
            upstream[made["stage"]] = origin
    return upstream


def _model_digests() -> dict[str, str]:
    """Return the SHA-256 of each model file, without importing MediaPipe."""
    spec = find_spec("mediapipe")
    package = Path(spec.origin).parent  # type: ignore[union-attr, arg-type]
    return {Path(model).name: digest_file(package / model) for model in MODELS}

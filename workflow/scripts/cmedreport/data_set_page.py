"""The page of the data set: the ledger, how clips are spread, label check, provenance."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from cmedprep.crate import NAME, VERSION
from cmedprep.manifest import GRADES
from cmedprep.tables import read_provenance, read_rows
from cmedreport import data_set
from cmedreport.methods_text import BIBTEX, methods_text
from cmedreport.pages import link_to, render
from cmedreport.series import json_number

ASSETS = ("data_set.html.j2", "data_set.css", "data_set.js")
"""Files of the folder `assets` that make this page; they count as its code."""

_CLIPS = (
    *("clip_id", "subject", "emotion", "filename", "status", "reason", "processed"),
    *("emotion_3class", "apex_frame", "apex_source", "n_frames", "fps", "metadata_row"),
    "same_video",
)
_MANIFEST = (
    *("clip_id", "status", "reason", "n_written", "grade", "inter_ocular_px", "samples"),
    *("residual_jitter_px", "landmark_jitter_px", "motion_apex_frame", "motion_apex_distance"),
    *("motion_peak_px", "motion_snr", "n_repeats"),
)


def write_data_set_page(
    clips: Path,
    manifests: Sequence[Path],
    page: Path,
    classes: Mapping[str, str | None],
    show_faces: bool,
    provenance: Mapping[str, Any],
) -> None:
    """Write the page of the data set.

    Parameters
    ----------
    clips : Path
        The ledger.
    manifests : sequence of Path
        Those of all subjects that were processed.
    page : Path
        The HTML file.
    classes : mapping
        The config's `labels.three_class`.
    show_faces : bool
        The config's `report.faces`: pages of subjects show them.
    provenance : mapping
        How the page was made.
    """
    summed = [row for path in manifests for row in read_rows(path, _MANIFEST)]
    rows = data_set.merge_rows(read_rows(clips, _CLIPS), summed)
    made = [read_provenance(path) for path in manifests]
    balance = data_set.balance(rows, classes)
    emotions = [entry["name"] for entry in balance["emotions"]]
    subjects = data_set.subjects(rows, emotions)
    linked = {path.stem for path in manifests}
    checked = data_set.label_check(rows)
    counts = {
        "rows": sum(row["metadata_row"] is not None for row in rows),
        "strays": sum(row["metadata_row"] is None for row in rows),
        "usable": sum(row["status"] == "ok" for row in rows),
        "aligned": sum(bool(row.get("n_written")) for row in rows),
        "subjects": len(subjects),
    }
    jitters = [r["residual_jitter_px"] for r in rows if r.get("residual_jitter_px") is not None]
    before = [r["landmark_jitter_px"] for r in rows if r.get("landmark_jitter_px") is not None]
    stages, variants = _stages(made)
    render(
        page,
        "data_set.html.j2",
        ASSETS,
        data={
            "ledger": data_set.ledger(rows),
            "balance": balance,
            "subjects": subjects,
            "clips": _columns(rows),
            "grades": {name: {"jitter": j} for name, _, _, j, _ in GRADES},
        },
        context={
            "title": "Data set",
            "faces": show_faces,
            "counts": counts,
            "statuses": data_set.statuses(rows),
            "copies": [row["clip_id"] for row in rows if row.get("same_video")],
            "balance": balance,
            "emotions": emotions,
            "subjects": subjects,
            "linked": linked,
            "check": checked,
            "least": data_set.LEAST_DISTANCE,
            "sure": data_set.SURE_SNR,
            "grades": Counter(row["grade"] for row in rows if row.get("grade")),
            "jitter": median(jitters) if jitters else None,
            "jitter_before": median(before) if before else None,
            "repeats": sum(row.get("n_repeats") or 0 for row in rows),
            "stages": stages,
            "variants": variants,
            "packages": made[0]["packages"] if made else {},
            "models": made[0]["models"] if made else {},
            "methods": methods_text(made[0]["upstream"], made[0]["packages"], counts)
            if made
            else (),
            "bibtex": BIBTEX,
            "workflow": f"{NAME} {VERSION}",
            "address": link_to,
        },
        provenance=provenance,
    )


def _columns(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return what is drawn of clips with images, column by column."""
    drawn = [row for row in rows if row.get("n_written")]
    numbers = (
        *("n_frames", "fps", "inter_ocular_px", "residual_jitter_px", "landmark_jitter_px"),
        *("apex_frame", "motion_apex_frame", "motion_apex_distance", "motion_snr"),
    )
    texts = ("clip_id", "subject", "emotion", "grade", "apex_source")
    return {name: [json_number(row[name], 2) for row in drawn] for name in numbers} | {
        name: [row[name] for row in drawn] for name in texts
    }


def _stages(made: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, str]], list[str]]:
    """Return code and parameters of each stage, and stages of which subjects differ."""
    listed: dict[str, set[tuple[str, str]]] = {}
    for provenance in made:
        upstream = dict(provenance["upstream"])
        upstream["write_manifest"] = {"code": provenance["code"], "parameters": {}}
        for stage, origin in upstream.items():
            parts = {"": origin} if "code" in origin else origin
            for part, own in parts.items():
                name = f"{stage}, {part}" if part else stage
                said = (own["code"], json.dumps(own["parameters"], sort_keys=True))
                listed.setdefault(name, set()).add(said)
    stages = [
        {"stage": name, "code": code[:12], "parameters": parameters if parameters != "{}" else ""}
        for name, found in listed.items()
        for code, parameters in sorted(found)
    ]
    return stages, [name for name, found in listed.items() if len(found) > 1]

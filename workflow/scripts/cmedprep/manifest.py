"""Sum up what became of a clip."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmedprep.fingerprints import fingerprint_clip, with_landmarks
from cmedprep.landmarks import inter_ocular_distance
from cmedprep.schemas import RESIDUALS, SCHEMA_VERSION
from cmedprep.tables import digest_rows, iterate_clips, to_array

GRADES = (("A", 1.0, 0.95, 0.25, 0.75), ("B", 0.9, 0.75, 0.6, 1.5))
"""Grade; least share of frames written, and of these stabilised; most jitter and drift in px."""


def summarise_clip(
    clip: Mapping[str, Any],
    stages: Sequence[Mapping[str, Any]],
    samples: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a clip's row of `schemas.MANIFEST`.

    Parameters
    ----------
    clip : mapping
        The clip's row of `schemas.INDEX`.
    stages : sequence of mappings
        What faces, alignment and frames add to the row; empty for a clip they have no rows of.
    samples : mapping
        What each sampling scheme has of the clip; empty where it was not sampled.
    """
    row = dict(clip)
    for stage in stages:
        row |= stage
    row["samples"] = [
        {"scheme": scheme, "n_slots": 0, "n_without_image": 0, **sample}
        for scheme, sample in sorted(samples.items())
    ]
    row["schema_version"] = SCHEMA_VERSION
    if not clip["processed"]:
        return row
    written = row.pop("frames", [])
    edges = np.array([-1, *written, clip["n_frames"]])
    row |= {"n_written": len(written), "longest_gap": int(np.diff(edges).max()) - 1}
    row["grade"] = grade_clip(row)
    apex = clip["apex_frame"]
    if not written:
        row |= {"status": "no_face", "reason": "no frame of the video has a face"}
    elif apex is not None and apex not in written:
        row |= {"status": "apex_without_face", "reason": f"the apex frame {apex} has no face"}
    return row


def grade_clip(row: Mapping[str, Any]) -> str | None:
    """Grade how well a clip is aligned: A, B or C; None for a clip without images.

    =====  =============  ===========================  ====================  ===================
    grade  frames         of these, stabilised         `residual_jitter_px`  `residual_drift_px`
    =====  =============  ===========================  ====================  ===================
    A      all written    95 % or more                 at most 0.25          at most 0.75
    B      90 % written   75 % or more                 at most 0.6           at most 1.5
    C      any other
    =====  =============  ===========================  ====================  ===================

    A clip that was aligned by another method than ``stabilised`` measures nothing and has C.
    """
    if not row["n_written"]:
        return None
    written = row["n_written"] / row["n_frames"]
    stabilised = row["n_stabilised"] / row["n_written"]
    jitter, drift = row["residual_jitter_px"], row["residual_drift_px"]
    if jitter is None or drift is None:
        return "C"
    for grade, least_written, least_stabilised, most_jitter, most_drift in GRADES:
        if (
            written >= least_written
            and stabilised >= least_stabilised
            and jitter <= most_jitter
            and drift <= most_drift
        ):
            return grade
    return "C"


def sum_up_clips(
    table: str | Path, sum_up: Callable[[pa.Table], dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return what a function says of the rows of each clip of a table."""
    return {clip_id: sum_up(rows) for clip_id, rows in iterate_clips(Path(table))}


def sum_up_faces(faces: pa.Table, written: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Count faces, and measure their size, in a clip's rows of `schemas.FACES`.

    The fingerprints of its images, which `sum_up_frames` has taken for each clip that has any,
    get their landmarks.
    """
    fingerprints = written.get(faces["clip_id"][0].as_py(), {}).get("fingerprints", [])
    distances = inter_ocular_distance(to_array(faces["landmarks"], (-1, 3)))
    seen = ~np.isnan(distances)
    return {
        "n_detected": int(seen.sum()),
        "n_several_faces": int(np.sum(faces["n_faces"].to_numpy() > 1)),
        "inter_ocular_px": float(np.median(distances[seen])) if seen.any() else None,
        "faces_sha256": digest_rows(faces),
        "fingerprints": with_landmarks(fingerprints, faces),
    }


def sum_up_alignment(alignment: pa.Table) -> dict[str, Any]:
    """Count frames by method, and gather what the clip's rows of `schemas.ALIGNMENT` certify."""
    residuals = {
        field.name: next((v for v in alignment[field.name].to_pylist() if v is not None), None)
        for field in RESIDUALS
    }
    return residuals | {
        "n_interpolated": pc.sum(alignment["interpolated"]).as_py(),
        "n_stabilised": pc.sum(pc.equal(alignment["method"], "stabilised")).as_py() or 0,
        "alignment_sha256": digest_rows(alignment),
    }


def sum_up_frames(frames: pa.Table, results: Path) -> dict[str, Any]:
    """List the written frames in a clip's rows of `schemas.FRAMES`, and take fingerprints.

    The digest is of pixels and not of files: an encoder's other build may write other bytes
    for the same pixels.
    """
    return {
        "frames": frames["frame_index"].to_pylist(),
        "frames_sha256": digest_rows(frames.drop_columns(["sha256"])),
        "crop_px": frames["width"][0].as_py(),
        "fingerprints": fingerprint_clip(frames, results),
    }


def sum_up_sample(sample: pa.Table) -> dict[str, Any]:
    """Count slots, and those without an image, in a clip's rows of `schemas.SAMPLES`."""
    return {
        "n_slots": sample.num_rows,
        "n_without_image": sample["image"].null_count,
        "sha256": digest_rows(sample),
    }

"""Sum up what became of a clip."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import groupby
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

Sums = Mapping[str, dict[str, Any]]
"""What is said of each clip, by its id."""


def summarise_clip(
    clip: Mapping[str, Any],
    stages: Sequence[Sums],
    schemes: Mapping[str, Sums],
    methods: Mapping[str, Sums],
) -> dict[str, Any]:
    """Return a clip's row of `schemas.MANIFEST`.

    Parameters
    ----------
    clip : mapping
        The clip's row of `schemas.INDEX`.
    stages : sequence of Sums
        What faces, alignment, frames and expression add to the rows of the clips they have.
    schemes, methods : mapping of Sums
        What each sampling scheme, and each method of motion, has of them.
    """
    row = dict(clip)
    clip_id = clip["clip_id"]
    for stage in stages:
        row |= stage.get(clip_id, {})
    row["samples"] = [
        {"scheme": name, "n_slots": 0, "n_without_image": 0, **sums.get(clip_id, {})}
        for name, sums in sorted(schemes.items())
    ]
    row["motion"] = [
        {"method": name, **sums.get(clip_id, {})} for name, sums in sorted(methods.items())
    ]
    row["schema_version"] = SCHEMA_VERSION
    if not clip["processed"]:
        return row
    written, with_face = row.pop("frames", []), row.pop("with_face", [])
    edges = np.array([-1, *written, clip["n_frames"]])
    row |= {"n_written": len(written), "longest_gap": int(np.diff(edges).max()) - 1}
    row["grade"] = grade_clip(row)
    by_motion = clip["apex_source"] == "motion"
    spotted = row.get("motion_apex_frame")
    apex = spotted if by_motion else clip["apex_frame"]
    if apex is not None and spotted is not None and clip["apex_source"] == "annotated":
        row["motion_apex_distance"] = spotted - apex
    if not written:
        row |= {"status": "no_face", "reason": "no frame of the video has a face"}
    elif by_motion and apex is None:
        row |= {
            "status": "apex_not_found",
            "reason": "the apex was to be that of the motion, which has none",
        }
    elif apex is not None and apex not in with_face:
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
    table: str | Path, sum_up: Callable[[pa.Table], dict[str, Any]], without: Collection[str] = ()
) -> Sums:
    """Return what a function says of the rows of each clip of a table; see `iterate_clips`."""
    return {clip_id: sum_up(rows) for clip_id, rows in iterate_clips(Path(table), without)}


def sum_up_parts(
    tables: Iterable[str | Path], sum_up: Callable[[pa.Table], dict[str, Any]]
) -> dict[str, Sums]:
    """Return the same for tables of several folders, by the folder's name."""
    return {
        Path(table).parent.name: sum_up_clips(table, sum_up, without=("encoded",))
        for table in tables
    }


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
    for the same pixels, and they may be kept inside the table or outside.
    """
    freezes = [len(list(run)) for frozen, run in groupby(_repeats(frames)) if frozen]
    return {
        "frames": frames["frame_index"].to_pylist(),
        "with_face": frames.filter(pc.invert(frames["interpolated"]))["frame_index"].to_pylist(),
        "frames_sha256": _digest(frames, "sha256", "encoded"),
        "n_repeats": sum(freezes),
        "longest_freeze": max(freezes, default=0),
        "crop_px": frames["width"][0].as_py(),
        "fingerprints": fingerprint_clip(frames, results),
    }


def sum_up_expression(expression: pa.Table) -> dict[str, Any]:
    """Say where a clip's rows of `schemas.EXPRESSION` have the apex, and how clear it is."""
    apexes = expression.filter(expression["motion_apex"])["frame_index"].to_pylist()
    return {
        "motion_apex_frame": apexes[0] if apexes else None,
        "motion_peak_px": expression["motion_peak_px"][0].as_py(),
        "motion_snr": expression["motion_snr"][0].as_py(),
        "expression_sha256": digest_rows(expression),
    }


def sum_up_sample(sample: pa.Table) -> dict[str, Any]:
    """Count slots, and those without an image, in a clip's rows of `schemas.SAMPLES`.

    One digest is of what is sampled, the other of the images' pixels.
    """
    return {
        "n_slots": sample.num_rows,
        "n_without_image": sample["image"].null_count,
        "sha256": _digest(sample, "sha256", "pixels_sha256", "encoded"),
        "pixels_sha256": digest_rows(sample.select(["pixels_sha256"])),
    }


def sum_up_motion(motion: pa.Table) -> dict[str, Any]:
    """Say how large the motion in a clip's row of `schemas.MOTION` is."""
    mean_px, mean_strain = motion["mean_px"][0].as_py(), motion["mean_strain"][0].as_py()
    return {"mean_px": mean_px, "mean_strain": mean_strain, "sha256": digest_rows(motion)}


def _repeats(frames: pa.Table) -> list[bool]:
    repeated: list[bool] = frames["repeats_frame"].is_valid().to_pylist()
    return repeated


def _digest(table: pa.Table, *without: str) -> str:
    return digest_rows(table.drop_columns([n for n in without if n in table.column_names]))

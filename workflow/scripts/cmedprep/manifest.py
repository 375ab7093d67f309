"""Sum up what became of a clip."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cmedprep.geometry import inter_ocular_distance
from cmedprep.schemas import SCHEMA_VERSION
from cmedprep.tables import digest_rows, to_array


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
    apex = clip["apex_frame"]
    if not written:
        row |= {"status": "no_face", "reason": "no frame of the video has a face"}
    elif apex is not None and apex not in written:
        row |= {"status": "apex_without_face", "reason": f"the apex frame {apex} has no face"}
    return row


def sum_up_faces(faces: pa.Table) -> dict[str, Any]:
    """Count faces, and measure their size, in a clip's rows of `schemas.FACES`."""
    distances = inter_ocular_distance(to_array(faces["landmarks"], (-1, 3)))
    seen = ~np.isnan(distances)
    return {
        "n_detected": int(seen.sum()),
        "n_several_faces": int(np.sum(faces["n_faces"].to_numpy() > 1)),
        "inter_ocular_px": float(np.median(distances[seen])) if seen.any() else None,
        "faces_sha256": digest_rows(faces),
    }


def sum_up_alignment(alignment: pa.Table) -> dict[str, Any]:
    """Count interpolated frames in a clip's rows of `schemas.ALIGNMENT`."""
    return {
        "n_interpolated": pc.sum(alignment["interpolated"]).as_py(),
        "alignment_sha256": digest_rows(alignment),
    }


def sum_up_frames(frames: pa.Table) -> dict[str, Any]:
    """List the written frames in a clip's rows of `schemas.FRAMES`.

    The digest is of pixels and not of files: an encoder's other build may write other bytes
    for the same pixels.
    """
    return {
        "frames": frames["frame_index"].to_pylist(),
        "frames_sha256": digest_rows(frames.drop_columns(["sha256"])),
    }


def sum_up_sample(sample: pa.Table) -> dict[str, Any]:
    """Count slots, and those without an image, in a clip's rows of `schemas.SAMPLES`."""
    return {
        "n_slots": sample.num_rows,
        "n_without_image": sample["image"].null_count,
        "sha256": digest_rows(sample),
    }

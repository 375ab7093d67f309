"""Write the manifest of a subject: what became of each clip, with digests of its results."""

from pathlib import Path

from cmedprep.job import logged
from cmedprep.manifest import (
    sum_up_alignment,
    sum_up_faces,
    sum_up_frames,
    sum_up_sample,
    summarise_clip,
)
from cmedprep.provenance import origin_of, provenance_of
from cmedprep.schemas import MANIFEST
from cmedprep.stale import remove_schemes
from cmedprep.tables import iterate_clips, read_rows, write_table


def write_manifest(index, faces, alignment, frames, samples, output, provenance):
    """Write one row for each clip of the subject, processed or not."""
    results = Path(output).parent.parent
    written = {clip: sum_up_frames(rows, results) for clip, rows in iterate_clips(Path(frames))}
    aligned = {clip: sum_up_alignment(rows) for clip, rows in iterate_clips(Path(alignment))}
    found = {
        clip: sum_up_faces(rows, written.get(clip, {}).get("fingerprints", []))
        for clip, rows in iterate_clips(Path(faces))
    }
    stages = [written, aligned, found]
    schemes = {
        Path(path).parent.name: {
            clip_id: sum_up_sample(rows) for clip_id, rows in iterate_clips(Path(path))
        }
        for path in samples
    }
    rows = [
        summarise_clip(
            clip,
            [stage.get(clip["clip_id"], {}) for stage in stages],
            {scheme: clips.get(clip["clip_id"], {}) for scheme, clips in schemes.items()},
        )
        for clip in read_rows(Path(index))
    ]
    made_by = {
        stage: origin_of(Path(path))
        for stage, path in (
            ("index_subject", index),
            ("detect_faces", faces),
            ("align_faces", alignment),
            ("extract_frames", frames),
        )
    }
    made_by["sample_apex"] = {Path(path).parent.name: origin_of(Path(path)) for path in samples}
    remove_schemes(results, Path(output).stem, schemes)
    write_table(Path(output), MANIFEST, rows, provenance | {"upstream": made_by})


if __name__ == "__main__":
    with logged(snakemake.log[0], f"write_manifest {snakemake.wildcards.subject}"):
        write_manifest(
            **{name: snakemake.input[name] for name in ("index", "faces", "alignment", "frames")},
            samples=snakemake.input.samples,
            output=snakemake.output[0],
            provenance=provenance_of("write_manifest", snakemake.params, snakemake.input),
        )

"""Choose the samples of a subject, and write its manifest: what became of each clip."""

from pathlib import Path

from cmedprep import manifest
from cmedprep.job import logged
from cmedprep.provenance import provenance_of, upstream_of
from cmedprep.schemas import MANIFEST
from cmedprep.stale import remove_parts
from cmedprep.tables import read_rows, write_table
from sample_apex import sample_schemes


def write_manifest(
    index, faces, alignment, frames, expression, samples, motion, output, provenance
):
    """Write one row for each clip of the subject, processed or not."""
    results = Path(output).parent.parent
    clips = {clip["clip_id"]: clip for clip in read_rows(Path(index))}
    written = manifest.sum_up_clips(frames, lambda rows: manifest.sum_up_frames(rows, results))
    stages = [
        written,
        manifest.sum_up_clips(alignment, manifest.sum_up_alignment),
        manifest.sum_up_clips(faces, lambda rows: manifest.sum_up_faces(rows, written)),
        manifest.sum_up_clips(expression, manifest.sum_up_expression),
    ]
    schemes = manifest.sum_up_parts(samples, manifest.sum_up_sample)
    methods = manifest.sum_up_parts(motion, manifest.sum_up_motion)
    rows = [manifest.summarise_clip(clip, stages, schemes, methods) for clip in clips.values()]
    read = (index, faces, alignment, frames, expression, *samples, *motion)
    upstream = upstream_of(Path(path) for path in read)
    remove_parts(results, Path(output).stem, {"samples": schemes, "motion": methods})
    write_table(Path(output), MANIFEST, rows, provenance | {"upstream": upstream})


if __name__ == "__main__":
    with logged(snakemake.log[0], f"write_manifest {snakemake.wildcards.subject}"):
        index, faces, alignment, frames, expression, *motion = snakemake.input
        output, *samples = snakemake.output
        sample_schemes(snakemake, index, frames, expression, samples)
        write_manifest(
            index=index,
            faces=faces,
            alignment=alignment,
            frames=frames,
            expression=expression,
            samples=samples,
            motion=motion,
            output=output,
            provenance=provenance_of("write_manifest", snakemake, (*snakemake.input, *samples)),
        )

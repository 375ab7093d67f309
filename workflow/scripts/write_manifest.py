"""Write the manifest of a subject: what became of each clip, with digests of its results."""

from pathlib import Path

from cmedprep import manifest
from cmedprep.job import logged
from cmedprep.provenance import provenance_of, upstream_of
from cmedprep.schemas import MANIFEST
from cmedprep.stale import remove_schemes
from cmedprep.tables import read_rows, write_table


def write_manifest(index, faces, alignment, frames, samples, output, provenance):
    """Write one row for each clip of the subject, processed or not."""
    results = Path(output).parent.parent
    clips = {clip["clip_id"]: clip for clip in read_rows(Path(index))}
    written = manifest.sum_up_clips(frames, lambda rows: manifest.sum_up_frames(rows, results))
    aligned = manifest.sum_up_clips(alignment, manifest.sum_up_alignment)
    found = manifest.sum_up_clips(faces, lambda rows: manifest.sum_up_faces(rows, written))
    schemes = {
        Path(path).parent.name: manifest.sum_up_clips(path, manifest.sum_up_sample)
        for path in samples
    }
    rows = [
        manifest.summarise_clip(
            clip,
            [stage.get(clip_id, {}) for stage in (written, aligned, found)],
            {scheme: sampled.get(clip_id, {}) for scheme, sampled in schemes.items()},
        )
        for clip_id, clip in clips.items()
    ]
    upstream = upstream_of(Path(path) for path in (index, faces, alignment, frames, *samples))
    remove_schemes(results, Path(output).stem, schemes)
    write_table(Path(output), MANIFEST, rows, provenance | {"upstream": upstream})


if __name__ == "__main__":
    with logged(snakemake.log[0], f"write_manifest {snakemake.wildcards.subject}"):
        write_manifest(
            **{name: snakemake.input[name] for name in ("index", "faces", "alignment", "frames")},
            samples=snakemake.input.samples,
            output=snakemake.output[0],
            provenance=provenance_of("write_manifest", snakemake.params, snakemake.input),
        )

"""Choose the frames of a subject's clips around the apex, by one sampling scheme."""

from pathlib import Path

from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedprep.samples import sample_rows
from cmedprep.schemas import SAMPLES
from cmedprep.tables import TableWriter, iterate_clips, read_rows


def sample_apex(scheme, without_apex, index, frames, output, provenance):
    """Write one row for each slot of each clip that can be sampled."""
    clips = {clip["clip_id"]: clip for clip in read_rows(Path(index))}
    with TableWriter(Path(output), SAMPLES, provenance) as table:
        for clip_id, written in iterate_clips(Path(frames)):
            table.write(sample_rows(clips[clip_id], written, scheme, without_apex))


if __name__ == "__main__":
    wildcards = snakemake.wildcards
    with logged(snakemake.log[0], f"sample_apex {wildcards.subject} {wildcards.scheme}"):
        sample_apex(
            **snakemake.params.parameters["sampling"],
            index=snakemake.input.index,
            frames=snakemake.input.frames,
            output=snakemake.output[0],
            provenance=provenance_of("sample_apex", snakemake.params, snakemake.input),
        )

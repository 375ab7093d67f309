"""Measure how far the expression of each frame is from the onset's, and spot its apex."""

from pathlib import Path

from cmedprep.expression import spot_clip
from cmedprep.geometry import Template
from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedprep.schemas import EXPRESSION
from cmedprep.tables import TableWriter, join_clips, read_provenance


def spot_apex(faces, alignment, frames, output, provenance, progress):
    """Write one row for each image of each clip."""
    aligned_to = read_provenance(Path(alignment))["parameters"]["alignment"]["template"]
    template = Template.from_config(aligned_to)
    results = Path(output).parent.parent
    with TableWriter(Path(output), EXPRESSION, provenance) as table:
        for clip_id, written, found in join_clips(Path(frames), Path(faces)):
            table.write(spot_clip(written, found, results, template))
            progress.advance(clip_id, written.num_rows)


if __name__ == "__main__":
    with logged(snakemake.log[0], f"spot_apex {snakemake.wildcards.subject}") as progress:
        spot_apex(
            **{name: snakemake.input[name] for name in ("faces", "alignment", "frames")},
            output=snakemake.output[0],
            provenance=provenance_of("spot_apex", snakemake.params, snakemake.input),
            progress=progress,
        )

"""Say which clips are tested in which fold: subjects left out one by one, and in groups."""

from pathlib import Path

from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedprep.schemas import SPLITS
from cmedprep.splits import make_split
from cmedprep.tables import read_rows, write_table

COLUMNS = ("clip_id", "subject", "emotion", "filename", "emotion_3class", "status")


def make_splits(parameters, manifests, outputs, provenance):
    """Write one table for each protocol and set of labels."""
    clips = [row for path in manifests for row in read_rows(Path(path), COLUMNS)]
    for output in map(Path, outputs):
        protocol, labels = output.stem.split("_", 1)
        rows, facts = make_split(
            clips,
            protocol,
            labels,
            **parameters["splits"],
            without_expression=parameters["labels"]["without_expression"],
        )
        write_table(output, SPLITS, rows, provenance | {"split": facts})


if __name__ == "__main__":
    with logged(snakemake.log[0], "make_splits"):
        make_splits(
            parameters=snakemake.params.parameters,
            manifests=snakemake.input,
            outputs=snakemake.output,
            provenance=provenance_of("make_splits", snakemake),
        )

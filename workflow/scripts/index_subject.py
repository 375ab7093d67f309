"""Judge every metadata row and stray video of a subject, now that its videos are known."""

from pathlib import Path

from cmedplan.plan import plan_subject
from cmedprep.job import logged
from cmedprep.ledger import assess_clip
from cmedprep.provenance import provenance_of
from cmedprep.schemas import INDEX
from cmedprep.tables import read_rows, write_table


def index_subject(subject, config, parameters, videos, output, provenance):
    """Write the ledger of a subject, one row for each clip."""
    facts = {row["clip_id"]: row for row in read_rows(Path(videos))}
    rows = [
        assess_clip(
            clip,
            facts[clip.clip_id],
            rules=parameters["apex"],
            labels=parameters["labels"],
        )
        for clip in plan_subject(config, subject)
    ]
    write_table(Path(output), INDEX, rows, provenance)


if __name__ == "__main__":
    with logged(snakemake.log[0], f"index_subject {snakemake.wildcards.subject}"):
        index_subject(
            subject=snakemake.wildcards.subject,
            config=snakemake.config,
            parameters=snakemake.params.parameters,
            videos=snakemake.input[0],
            output=snakemake.output[0],
            provenance=provenance_of("index_subject", snakemake),
        )

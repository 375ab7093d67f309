"""Gather the ledger of the whole data set: every metadata row and every stray video."""

from pathlib import Path

from cmedplan.plan import make_plan
from cmedprep.job import logged
from cmedprep.ledger import list_unprocessed
from cmedprep.probing import Prober
from cmedprep.provenance import provenance_of
from cmedprep.schemas import CLIPS
from cmedprep.stale import remove_subjects
from cmedprep.tables import read_rows, write_table


def index_clips(config, index, output, provenance, progress):
    """Write one row for each clip of each subject, and for those that belong to none."""
    plan = make_plan(config)
    parts = {
        "samples": [scheme["name"] for scheme in config["sampling"]["schemes"]],
        "motion": config["motion"]["methods"],
    }
    for subject in remove_subjects(Path(output).parent, plan.subjects.keys(), parts):
        progress.say(f"removed the results of {subject}, which the data set no longer has")
    indexed = {row["clip_id"]: row for path in index for row in read_rows(Path(path))}
    root = Path(config["dataset"]["root"])
    with Prober(config["limits"]) as prober:
        rows = [
            (indexed.get(clip.clip_id) or list_unprocessed(clip, root, config["labels"], prober))
            | {"metadata_row": clip.row.number if clip.row else None}
            for clip in plan.all_clips()
        ]
    write_table(Path(output), CLIPS, rows, provenance)


if __name__ == "__main__":
    with logged(snakemake.log[0], "index_clips") as progress:
        index_clips(
            config=snakemake.config,
            index=snakemake.input.index,
            output=snakemake.output[0],
            provenance=provenance_of("index_clips", snakemake.params, snakemake.input),
            progress=progress,
        )

"""Gather the ledger of the whole data set: every metadata row and every stray video."""

from pathlib import Path

from cmedplan.output import check_claim, claim_output
from cmedplan.plan import plan_subjects
from cmedprep.gathering import Gathering
from cmedprep.job import logged
from cmedprep.ledger import list_unprocessed
from cmedprep.probing import Prober
from cmedprep.provenance import provenance_of
from cmedprep.schemas import CLIPS
from cmedprep.stale import remove_subjects
from cmedprep.tables import TableWriter


def index_clips(config, index, output, provenance, progress):
    """Write one row for each clip of each subject, and for those that belong to none."""
    root, results = Path(config["dataset"]["root"]), Path(output).parent
    check_claim(results, root)
    claim_output(results, root)
    gathering = Gathering({Path(path).stem: Path(path) for path in index})
    with Prober(config["limits"]) as prober:
        for subject, clips in plan_subjects(config):
            if not gathering.expect(subject, clips):
                rows = [list_unprocessed(clip, root, config["labels"], prober) for clip in clips]
                gathering.add(subject, clips, rows)
    parts = {
        "samples": [scheme["name"] for scheme in config["sampling"]["schemes"]],
        "motion": config["motion"]["methods"],
    }
    for subject in remove_subjects(results, gathering.subjects(), parts):
        progress.say(f"removed the results of {subject}, which the data set no longer has")
    with TableWriter(Path(output), CLIPS, provenance) as writer:
        for rows in gathering.tables():
            writer.write(rows)


if __name__ == "__main__":
    with logged(snakemake.log[0], "index_clips") as progress:
        index_clips(
            config=snakemake.config,
            index=snakemake.input,
            output=snakemake.output[0],
            provenance=provenance_of("index_clips", snakemake),
            progress=progress,
        )

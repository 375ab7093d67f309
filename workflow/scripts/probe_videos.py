"""Decode and digest every video of a subject, once, to learn what it is."""

from pathlib import Path

from cmedplan.inventory import Inventory, write_record
from cmedplan.plan import plan_subject
from cmedprep.job import logged
from cmedprep.known_videos import keep_copy, known_videos
from cmedprep.ledger import probe_clip
from cmedprep.probing import Prober
from cmedprep.provenance import provenance_of
from cmedprep.schemas import VIDEOS
from cmedprep.tables import write_table


def probe_videos(subject, config, files, output, provenance, progress):
    """Write the facts of a subject's videos, one row for each clip; known ones are not opened."""
    root, output = Path(config["dataset"]["root"]), Path(output)
    clips = plan_subject(config, subject)
    if Inventory(clips, root, output).digest() != files:
        raise RuntimeError(
            f"The videos of {subject} have changed since the workflow was started. Run it again."
        )
    progress.expect(len(clips), 0)
    known = known_videos(clips, output, files, provenance)
    if known:
        progress.say(f"{len(known)} videos have not changed and are not opened again")
    rows = []
    with Prober(config["limits"]) as prober:
        for clip in clips:
            rows.append(probe_clip(clip, root, prober, known))
            progress.advance(clip.clip_id, rows[-1]["n_frames"] or 0)
    write_table(output, VIDEOS, rows, provenance)
    keep_copy(output)
    write_record(clips, output, files, {row["path"]: row["sha256"] for row in rows if row["path"]})


if __name__ == "__main__":
    with logged(snakemake.log[0], f"probe_videos {snakemake.wildcards.subject}") as progress:
        probe_videos(
            subject=snakemake.wildcards.subject,
            config=snakemake.config,
            files=snakemake.params.files,
            output=snakemake.output[0],
            provenance=provenance_of("probe_videos", snakemake),
            progress=progress,
        )

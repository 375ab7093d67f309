"""Recompute a subject from its videos in a scratch folder, and compare with a manifest."""

from pathlib import Path

from cmedprep.job import logged
from cmedprep.recomputing import read_manifest, recompute_subject, recomputing_config
from cmedprep.schemas import VERIFICATION
from cmedprep.tables import write_table
from cmedprep.verification import compare_manifests, worst_verdict
from cmedprep.verification_page import render_page


def verify_subject(subject, config, reference, snakefile, table, page, progress, threads=1):
    """Write the verdict on each clip, as a table and as a page to look at."""
    published, origin = read_manifest(Path(reference))
    config = recomputing_config(config, subject, origin)
    scratch = Path(table).with_name(f".{subject}.scratch")
    progress.say(f"recomputing in {scratch}")
    with recompute_subject(subject, config, Path(snakefile), scratch, threads) as manifest:
        recomputed, here = read_manifest(manifest)
    rows = compare_manifests(published, recomputed)
    write_table(Path(table), VERIFICATION, rows, {"published": origin, "recomputed": here})
    render_page(Path(page), subject, rows, origin, here)
    progress.say(f"{worst_verdict(rows)}, {len(rows)} clips against {reference}")


if __name__ == "__main__":
    with logged(snakemake.log[0], f"verify_subject {snakemake.wildcards.subject}") as progress:
        verify_subject(
            subject=snakemake.wildcards.subject,
            config=snakemake.config,
            reference=snakemake.params.reference,
            snakefile=snakemake.params.snakefile,
            table=snakemake.output.table,
            page=snakemake.output.page,
            progress=progress,
            threads=snakemake.threads,
        )

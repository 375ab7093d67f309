"""Write the page of a subject, which shows of every clip what became of it."""

from pathlib import Path

from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedreport.subject_page import write_subject_page

BESIDE = ("faces", "alignment", "frames", "expression")
"""The folders of the tables that are made before the manifest, and that it sums up."""


def find_tables(manifest, schemes):
    """Return the tables behind a manifest, and those of its samples, by folder and by scheme.

    Raises
    ------
    RuntimeError
        One is gone.
    """
    results, name = manifest.parent.parent, manifest.name
    tables = {folder: results / folder / name for folder in BESIDE}
    samples = {scheme: results / "samples" / scheme / name for scheme in schemes}
    for path in (*tables.values(), *samples.values()):
        if not path.is_file():
            raise RuntimeError(
                f"{path} is gone, and the manifest is still there. "
                "Run the workflow without naming a target: it makes anew what is missing."
            )
    return tables, samples


def report_subject(manifest, tables, samples, faces, output, provenance):
    """Write the page; `faces` tells whether it may show them."""
    write_subject_page(
        manifest=manifest,
        **tables,
        samples=samples,
        page=Path(output),
        show_faces=faces,
        provenance=provenance,
    )


if __name__ == "__main__":
    with logged(snakemake.log[0], f"report_subject {snakemake.wildcards.subject}"):
        manifest = Path(snakemake.input[0])
        schemes = [scheme["name"] for scheme in snakemake.config["sampling"]["schemes"]]
        tables, samples = find_tables(manifest, schemes)
        read = (manifest, *tables.values(), *samples.values())
        report_subject(
            manifest=manifest,
            tables=tables,
            samples=samples,
            faces=snakemake.params.parameters["report"]["faces"],
            output=snakemake.output[0],
            provenance=provenance_of("report_subject", snakemake, read),
        )

"""Write the page of a subject, which shows of every clip what became of it."""

from pathlib import Path

from cmedprep.job import logged
from cmedprep.provenance import provenance_of
from cmedreport.subject_page import write_subject_page

TABLES = ("manifest", "faces", "alignment", "frames", "expression")


def report_subject(tables, samples, faces, output, provenance):
    """Write the page; `faces` tells whether it may show them."""
    write_subject_page(
        **{name: Path(path) for name, path in tables.items()},
        samples={Path(path).parent.name: Path(path) for path in samples},
        page=Path(output),
        show_faces=faces,
        provenance=provenance,
    )


if __name__ == "__main__":
    with logged(snakemake.log[0], f"report_subject {snakemake.wildcards.subject}"):
        report_subject(
            tables={name: snakemake.input[name] for name in TABLES},
            samples=snakemake.input.samples,
            faces=snakemake.params.parameters["report"]["faces"],
            output=snakemake.output[0],
            provenance=provenance_of("report_subject", snakemake),
        )

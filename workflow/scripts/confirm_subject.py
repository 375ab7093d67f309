"""Say what a verification has found, and fail unless everything is reproduced."""

from pathlib import Path

from cmedprep.job import logged
from cmedprep.tables import read_provenance, read_rows
from cmedprep.verification import REPRODUCED, describe, explain, worst_verdict


def confirm_subject(table):
    """Print the verdicts, and raise an error if a clip is not reproduced."""
    rows, provenance = read_rows(Path(table)), read_provenance(Path(table))
    print(describe(rows), explain(provenance["published"], provenance["recomputed"]), sep="\n")
    if worst_verdict(rows) not in REPRODUCED:
        raise RuntimeError(f"not reproduced: see {Path(table).with_suffix('.html')}")


if __name__ == "__main__":
    with logged(snakemake.log[0], f"confirm_subject {snakemake.wildcards.subject}"):
        confirm_subject(snakemake.input.table)

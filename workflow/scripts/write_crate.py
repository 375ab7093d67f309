"""Write the Workflow Run RO-Crate of a finished run: what was read, with what, what came out."""

from pathlib import Path

from cmedplan.atomic import write_whole
from cmedprep.crate import check_tables, describe_run, list_sources, read_facts
from cmedprep.job import logged


def write_crate(tables, chains, metadata, parameters, snakefile, snakemake_version, output):
    """Write the crate, and the Snakefile beside it, which is its main workflow."""
    results = Path(output["crate"]).parent.parent
    facts = [read_facts(results, Path(path)) for path in sorted(tables)]
    check_tables(facts, chains)
    crate = describe_run(
        tables=facts,
        sources=list_sources(results / table.name for table in facts if table.kind == "videos"),
        metadata=metadata,
        parameters=parameters,
        snakefile=snakefile,
        snakemake_version=snakemake_version,
    )
    write_whole(Path(output["snakefile"]), snakefile)
    write_whole(Path(output["crate"]), crate)


if __name__ == "__main__":
    with logged(snakemake.log[0], "write_crate"):
        write_crate(
            tables=snakemake.input,
            **{name: snakemake.params[name] for name in ("chains", "metadata", "parameters")},
            snakefile=snakemake.params.snakefile,
            snakemake_version=snakemake.params.snakemake,
            output=snakemake.output,
        )

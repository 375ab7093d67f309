"""Describe the finished run, for others to check: a Workflow Run RO-Crate. Made when asked for."""

from snakemake import __version__ as SNAKEMAKE

from cmedplan.recipe import metadata_facts, run_chains, run_parameters

# A workflow that is fetched with git may have lost its last line end.
SNAKEFILE = Path(workflow.source_path("../Snakefile")).read_text(encoding="utf-8").rstrip() + "\n"


# Its input is all that `all` makes, so the run is finished when it starts. Snakemake would take
# the braces in the text of the Snakefile for wildcards, but for the function.
rule write_crate:
    input:
        every_output,
    output:
        snakefile=f"{OUTPUT}/provenance/Snakefile",
        crate=f"{OUTPUT}/provenance/ro-crate-metadata.json",
    log:
        f"{OUTPUT}/logs/write_crate.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("write_crate"),
    params:
        chain=stage_chain("write_crate", config, SCRIPTS),
        chains=lambda wildcards: run_chains(config, SCRIPTS),
        metadata=lambda wildcards: metadata_facts(config),
        parameters=lambda wildcards: run_parameters(config),
        snakefile=lambda wildcards: SNAKEFILE,
        snakemake=SNAKEMAKE,
    script:
        "../scripts/write_crate.py"

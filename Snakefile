"""CMED preprocessing: videos and a CSV in, aligned faces, samples and Parquet manifests out.

The workflow itself is in workflow/Snakefile, where the workflow catalog and modules look for
it: Snakemake cannot follow the includes of a hosted Snakefile that lies at the root.
"""


include: "workflow/Snakefile"


# Snakemake takes no default target from an included file.
rule results:
    default_target: True
    input:
        last_outputs,

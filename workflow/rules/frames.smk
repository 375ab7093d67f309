"""Resample every aligned frame once, from the source; write it; measure the expression in it."""


# The images are no declared output: Snakemake does not notice what happens inside a folder.
# The table names each of them with its checksum, and is written after the last one. The apex is
# spotted here as well, in images that need not be read again: whatever changes these, changes it.
rule extract_frames:
    input:
        f"{OUTPUT}/videos/{{subject}}.parquet",
        f"{OUTPUT}/faces/{{subject}}.parquet",
        f"{OUTPUT}/alignment/{{subject}}.parquet",
    output:
        f"{OUTPUT}/frames/{{subject}}.parquet",
        f"{OUTPUT}/expression/{{subject}}.parquet",
    log:
        f"{OUTPUT}/logs/extract_frames/{{subject}}.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("extract_frames"),
    params:
        chain=stage_chain("extract_frames", config, SCRIPTS),
        parameters=stage_parameters("extract_frames", config),
    script:
        "../scripts/extract_frames.py"

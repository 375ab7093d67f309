"""Choose the frames around the apex; one row for each clip of a subject: what became of it."""


# One job for the samples of all schemes and for the manifest: to choose takes less time than to
# start, and the manifest has a digest of every sample. A table of samples says of its own scheme
# alone how it was made, so whatever happens to the rest, it comes out with the same bytes.
rule write_manifest:
    input:
        f"{OUTPUT}/index/{{subject}}.parquet",
        f"{OUTPUT}/faces/{{subject}}.parquet",
        f"{OUTPUT}/alignment/{{subject}}.parquet",
        f"{OUTPUT}/frames/{{subject}}.parquet",
        f"{OUTPUT}/expression/{{subject}}.parquet",
        expand(
            f"{OUTPUT}/motion/{{method}}/{{subject}}.parquet", method=METHODS, allow_missing=True
        ),
    output:
        f"{OUTPUT}/manifests/{{subject}}.parquet",
        expand(
            f"{OUTPUT}/samples/{{scheme}}/{{subject}}.parquet", scheme=SCHEMES, allow_missing=True
        ),
    log:
        f"{OUTPUT}/logs/write_manifest/{{subject}}.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("write_manifest"),
    params:
        chain=stage_chain("write_manifest", config, SCRIPTS),
        schemes=stage_recipes("sample_apex", config, SCRIPTS),
    script:
        "../scripts/write_manifest.py"


# A name for the samples of all subjects, to be asked for; the job above makes them.
rule sample_apex:
    input:
        every_sample,

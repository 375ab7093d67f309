"""One row for each clip of a subject: what became of it, and the digests that prove it."""


rule write_manifest:
    input:
        index=f"{OUTPUT}/index/{{subject}}.parquet",
        faces=f"{OUTPUT}/faces/{{subject}}.parquet",
        alignment=f"{OUTPUT}/alignment/{{subject}}.parquet",
        frames=f"{OUTPUT}/frames/{{subject}}.parquet",
        expression=f"{OUTPUT}/expression/{{subject}}.parquet",
        samples=expand(
            f"{OUTPUT}/samples/{{scheme}}/{{subject}}.parquet", scheme=SCHEMES, allow_missing=True
        ),
        motion=expand(
            f"{OUTPUT}/motion/{{method}}/{{subject}}.parquet", method=METHODS, allow_missing=True
        ),
    output:
        f"{OUTPUT}/manifests/{{subject}}.parquet",
    log:
        f"{OUTPUT}/logs/write_manifest/{{subject}}.log",
    benchmark:
        f"{OUTPUT}/benchmarks/write_manifest/{{subject}}.tsv"
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("write_manifest"),
    params:
        chain=stage_chain("write_manifest", config, SCRIPTS),
    script:
        "../scripts/write_manifest.py"

"""Say which clips are tested in which fold, no subject on both sides."""


rule make_splits:
    input:
        expand(f"{OUTPUT}/manifests/{{subject}}.parquet", subject=SUBJECTS),
    output:
        expand(f"{OUTPUT}/splits/{{split}}.parquet", split=SPLITS),
    log:
        f"{OUTPUT}/logs/make_splits.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("make_splits"),
    params:
        chain=stage_chain("make_splits", config, SCRIPTS),
        parameters=stage_parameters("make_splits", config),
    script:
        "../scripts/make_splits.py"

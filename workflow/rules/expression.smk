"""Measure the motion of the expression in the aligned images, and spot its apex."""


rule spot_apex:
    input:
        faces=f"{OUTPUT}/faces/{{subject}}.parquet",
        alignment=f"{OUTPUT}/alignment/{{subject}}.parquet",
        frames=f"{OUTPUT}/frames/{{subject}}.parquet",
    output:
        f"{OUTPUT}/expression/{{subject}}.parquet",
    log:
        f"{OUTPUT}/logs/spot_apex/{{subject}}.log",
    benchmark:
        f"{OUTPUT}/benchmarks/spot_apex/{{subject}}.tsv"
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("spot_apex"),
    params:
        chain=stage_chain("spot_apex", config, SCRIPTS),
    script:
        "../scripts/spot_apex.py"

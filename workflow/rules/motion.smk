"""Measure optical flow and strain from onset to apex, one folder for each method."""

MOTION = stage_recipes("measure_motion", config, SCRIPTS)


rule measure_motion:
    input:
        f"{OUTPUT}/index/{{subject}}.parquet",
        f"{OUTPUT}/faces/{{subject}}.parquet",
        f"{OUTPUT}/alignment/{{subject}}.parquet",
        f"{OUTPUT}/frames/{{subject}}.parquet",
        f"{OUTPUT}/expression/{{subject}}.parquet",
    output:
        f"{OUTPUT}/motion/{{method}}/{{subject}}.parquet",
    log:
        f"{OUTPUT}/logs/measure_motion/{{method}}/{{subject}}.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("measure_motion"),
    params:
        chain=lambda wildcards: MOTION[wildcards.method]["chain"],
        parameters=lambda wildcards: MOTION[wildcards.method]["parameters"],
    script:
        "../scripts/measure_motion.py"

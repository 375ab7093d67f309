"""Bring every face to the canonical template: one matrix for each frame."""


rule align_faces:
    input:
        f"{OUTPUT}/videos/{{subject}}.parquet",
        f"{OUTPUT}/faces/{{subject}}.parquet",
    output:
        f"{OUTPUT}/alignment/{{subject}}.parquet",
    log:
        f"{OUTPUT}/logs/align_faces/{{subject}}.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("align_faces"),
    params:
        chain=stage_chain("align_faces", config, SCRIPTS),
        parameters=stage_parameters("align_faces", config),
    script:
        "../scripts/align_faces.py"

"""Find and follow the face in every frame."""


rule detect_faces:
    input:
        f"{OUTPUT}/videos/{{subject}}.parquet",
    output:
        f"{OUTPUT}/faces/{{subject}}.parquet",
    log:
        f"{OUTPUT}/logs/detect_faces/{{subject}}.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("detect_faces"),
    params:
        chain=stage_chain("detect_faces", config, SCRIPTS),
        parameters=stage_parameters("detect_faces", config),
    script:
        "../scripts/detect_faces.py"

"""The ledger: what every video is, and what became of every metadata row."""


# `files` changes when the content of the subject's videos has changed; see `inventory`.
rule probe_videos:
    output:
        f"{OUTPUT}/videos/{{subject}}.parquet",
    log:
        f"{OUTPUT}/logs/probe_videos/{{subject}}.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=guarded_memory_mb,
        runtime=minutes_for("probe_videos"),
    params:
        chain=stage_chain("probe_videos", config, SCRIPTS),
        parameters=stage_parameters("probe_videos", config),
        files=videos_digest,
    script:
        "../scripts/probe_videos.py"


rule index_subject:
    input:
        f"{OUTPUT}/videos/{{subject}}.parquet",
    output:
        f"{OUTPUT}/index/{{subject}}.parquet",
    log:
        f"{OUTPUT}/logs/index_subject/{{subject}}.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("index_subject"),
    params:
        chain=stage_chain("index_subject", config, SCRIPTS),
        rows=rows_digest,
        parameters=stage_parameters("index_subject", config),
    script:
        "../scripts/index_subject.py"


rule index_clips:
    input:
        expand(f"{OUTPUT}/index/{{subject}}.parquet", subject=SUBJECTS),
    output:
        f"{OUTPUT}/clips.parquet",
    log:
        f"{OUTPUT}/logs/index_clips.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("index_clips"),
    params:
        chain=stage_chain("index_clips", config, SCRIPTS),
        rows=lambda wildcards: SURVEY.all_rows_digest(),
        files=lambda wildcards: SURVEY.homeless_videos_digest(),
    script:
        "../scripts/index_clips.py"

"""Choose the frames around the apex, one folder for each sampling scheme."""

SAMPLE_CHAINS = {scheme: stage_chain("sample_apex", config, SCRIPTS, scheme) for scheme in SCHEMES}
SAMPLE_PARAMETERS = {scheme: stage_parameters("sample_apex", config, scheme) for scheme in SCHEMES}


rule sample_apex:
    input:
        index=f"{OUTPUT}/index/{{subject}}.parquet",
        frames=f"{OUTPUT}/frames/{{subject}}.parquet",
        expression=f"{OUTPUT}/expression/{{subject}}.parquet",
    output:
        f"{OUTPUT}/samples/{{scheme}}/{{subject}}.parquet",
    log:
        f"{OUTPUT}/logs/sample_apex/{{scheme}}/{{subject}}.log",
    benchmark:
        f"{OUTPUT}/benchmarks/sample_apex/{{scheme}}/{{subject}}.tsv"
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("sample_apex"),
    params:
        chain=lambda wildcards: SAMPLE_CHAINS[wildcards.scheme],
        parameters=lambda wildcards: SAMPLE_PARAMETERS[wildcards.scheme],
    script:
        "../scripts/sample_apex.py"

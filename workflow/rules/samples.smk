"""Choose the frames around the apex, one folder for each sampling scheme."""


# One job for all schemes: to choose takes less time than to start. A table says of its own scheme
# alone how it was made, so whatever happens to the others, it comes out with the same bytes.
rule sample_apex:
    input:
        index=f"{OUTPUT}/index/{{subject}}.parquet",
        frames=f"{OUTPUT}/frames/{{subject}}.parquet",
        expression=f"{OUTPUT}/expression/{{subject}}.parquet",
    output:
        expand(
            f"{OUTPUT}/samples/{{scheme}}/{{subject}}.parquet", scheme=SCHEMES, allow_missing=True
        ),
    log:
        f"{OUTPUT}/logs/sample_apex/{{subject}}.log",
    benchmark:
        f"{OUTPUT}/benchmarks/sample_apex/{{subject}}.tsv"
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("sample_apex"),
    params:
        chain=stage_chain("sample_apex", config, SCRIPTS),
        schemes=stage_recipes("sample_apex", config, SCRIPTS),
    script:
        "../scripts/sample_apex.py"

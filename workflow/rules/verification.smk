"""Recompute a subject from its videos, and compare with a published manifest. When asked for."""


# The reference is no input: it is to be verified as it is, and not to be made anew before.
rule verify_subject:
    output:
        table=f"{OUTPUT}/verify/{{subject}}.parquet",
        page=f"{OUTPUT}/verify/{{subject}}.html",
    log:
        f"{OUTPUT}/logs/verify_subject/{{subject}}.log",
    conda:
        "../../envs/cmed.yaml"
    threads: 4
    resources:
        mem_mb=guarded_memory_mb,
        runtime=minutes_for("verify_subject"),
    params:
        # Its result is of these files, this manifest, and this code, and of no later ones.
        chain=stage_chain("write_manifest", config, SCRIPTS),
        code=code_fingerprint(SCRIPTS / "verify_subject.py"),
        files=videos_digest,
        rows=rows_digest,
        published=reference_digest,
        reference=verify_reference,
        snakefile=str(SCRIPTS.parent / "Snakefile"),
    script:
        "../scripts/verify_subject.py"


rule confirm_subject:
    input:
        table=f"{OUTPUT}/verify/{{subject}}.parquet",
    output:
        touch(f"{OUTPUT}/verify/{{subject}}.verified"),
    log:
        f"{OUTPUT}/logs/confirm_subject/{{subject}}.log",
    localrule: True
    conda:
        "../../envs/cmed.yaml"
    script:
        "../scripts/confirm_subject.py"

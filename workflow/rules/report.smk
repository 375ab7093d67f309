"""Pages to look at: one of each subject, and one of the data set."""


# The page shows what the manifest sums up: tables that are there when it is, and of which none is
# made anew without it.
rule report_subject:
    input:
        f"{OUTPUT}/manifests/{{subject}}.parquet",
    output:
        report(
            f"{OUTPUT}/reports/{{subject}}.html",
            caption="../report/subject.rst",
            category="Subjects",
            labels={"subject": "{subject}"},
        ),
    log:
        f"{OUTPUT}/logs/report_subject/{{subject}}.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("report_subject"),
    params:
        chain=stage_chain("report_subject", config, SCRIPTS),
        parameters=stage_parameters("report_subject", config),
    script:
        "../scripts/report_subject.py"


# No subject has this name: its page would be in the way.
ruleorder: report_dataset > report_subject


rule report_dataset:
    input:
        clips=f"{OUTPUT}/clips.parquet",
        pages=expand(f"{OUTPUT}/reports/{{subject}}.html", subject=SUBJECTS),
    output:
        report(
            f"{OUTPUT}/reports/index.html",
            caption="../report/dataset.rst",
            category="Data set",
            labels={"page": "data set"},
        ),
    log:
        f"{OUTPUT}/logs/report_dataset.log",
    conda:
        "../../envs/cmed.yaml"
    resources:
        mem_mb=memory_mb,
        runtime=minutes_for("report_dataset"),
    params:
        chain=stage_chain("report_dataset", config, SCRIPTS),
        parameters=stage_parameters("report_dataset", config),
    script:
        "../scripts/report_dataset.py"

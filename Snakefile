"""CMED preprocessing: videos and a CSV in, aligned faces, samples and Parquet manifests out."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/index.smk"
include: "workflow/rules/faces.smk"
include: "workflow/rules/alignment.smk"
include: "workflow/rules/frames.smk"
include: "workflow/rules/samples.smk"
include: "workflow/rules/manifests.smk"


# Every output of every stage is a target, not only the last one: a job that failed is then
# found by its missing output, whatever Snakemake has recorded of it.
rule all:
    default_target: True
    input:
        clips=f"{OUTPUT}/clips.parquet",
        videos=expand(f"{OUTPUT}/videos/{{subject}}.parquet", subject=SUBJECTS),
        index=expand(f"{OUTPUT}/index/{{subject}}.parquet", subject=SUBJECTS),
        faces=expand(f"{OUTPUT}/faces/{{subject}}.parquet", subject=SUBJECTS),
        alignment=expand(f"{OUTPUT}/alignment/{{subject}}.parquet", subject=SUBJECTS),
        frames=expand(f"{OUTPUT}/frames/{{subject}}.parquet", subject=SUBJECTS),
        samples=expand(
            f"{OUTPUT}/samples/{{scheme}}/{{subject}}.parquet",
            scheme=SCHEMES,
            subject=SUBJECTS,
        ),
        manifests=expand(f"{OUTPUT}/manifests/{{subject}}.parquet", subject=SUBJECTS),

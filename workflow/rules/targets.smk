"""What a run makes, and what it names of that."""

from cmedplan.output import find_lost
from cmedplan.stages import SPLITS

# Rules give what they read and write no names: a table's folder is its name, and every other one
# costs Snakemake some 300 bytes for each job that it plans.
TABLES = [
    *("videos", "index", "faces", "alignment", "frames", "expression", "manifests"),
    *(f"samples/{scheme}" for scheme in SCHEMES),
    *(f"motion/{method}" for method in METHODS),
]
# What is made of all subjects is not for a batch of them.
OF_ALL = [
    *(f"{OUTPUT}/{name}" for name in ("clips.parquet", "reports/index.html")),
    *(f"{OUTPUT}/splits/{split}.parquet" for split in SPLITS),
]


# Functions, so that their names are made when a plan asks for them, and not in every job.
def every_output(wildcards):
    """Return all that a run makes."""
    return [
        *([] if config["batch"] else OF_ALL),
        *(f"{OUTPUT}/{table}/{subject}.parquet" for table in TABLES for subject in SUBJECTS),
        *(f"{OUTPUT}/reports/{subject}.html" for subject in SUBJECTS),
    ]


def every_sample(wildcards):
    """Return the tables of samples of all subjects."""
    return [
        f"{OUTPUT}/samples/{scheme}/{subject}.parquet" for scheme in SCHEMES for subject in SUBJECTS
    ]


def last_outputs(wildcards):
    """Return what a run makes last, and what is gone of all that is made on the way to it.

    What leads to an output that is missing is made for its sake, and need not be named. So this
    asks for all that `every_output` names, with a tenth of the names.
    """
    lost = find_lost(RESULTS, TABLES, SUBJECTS)
    return [
        *([] if config["batch"] else OF_ALL),
        *(f"{OUTPUT}/reports/{subject}.html" for subject in SUBJECTS if config["batch"]),
        *(f"{OUTPUT}/{path}" for path in lost),
    ]

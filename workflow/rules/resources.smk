"""What jobs ask of a cluster: memory and time that grow with a subject's clips."""

from functools import cache
from math import ceil

# Some times what was measured (docs/hpc.md), as the price of much is a place in the queue, and
# that of too little the whole job once more.
START_MINUTES = 5
SECONDS_PER_CLIP = {
    "probe_videos": 2,
    "index_subject": 0.1,
    "index_clips": 0.05,
    "detect_faces": 6,
    "align_faces": 6,
    "extract_frames": 5,
    "measure_motion": 4,
    "write_manifest": 3 + 0.1 * len(SCHEMES),
    "make_splits": 0.05,
    "report_subject": 1,
    "report_dataset": 0.05,
    "write_crate": 0.1,
    "verify_subject": 40,
}
# The script and the two Snakemakes around it on a node.
START_MB = 1500
MB_PER_CLIP = 0.2


@cache
def size_of(subject=None):
    """Return how much there is to do of a subject, or of all: its clips and its megabytes."""
    clips, n_bytes = SURVEY.size(subject)
    return clips + n_bytes / 1e6


def minutes_for(rule):
    """Return the function that gives the minutes that a job of the rule may take."""

    def minutes(wildcards, attempt):
        seconds = SECONDS_PER_CLIP[rule] * size_of(wildcards.get("subject"))
        return attempt * (START_MINUTES + ceil(seconds / 60))

    return minutes


def memory_mb(wildcards, attempt):
    """Return the memory that a job may take."""
    return attempt * ceil(START_MB + MB_PER_CLIP * size_of(wildcards.get("subject")))


def guarded_memory_mb(wildcards, attempt):
    """Return the memory of a job that opens videos nobody has opened before.

    The config's limit is to end the decoder of one video before the cluster ends the job.
    """
    return memory_mb(wildcards, attempt) + config["limits"]["memory_mb"]

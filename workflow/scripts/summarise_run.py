"""Say in a few lines what a run has made and where: `summarise_run.py [results]`."""

import sys
from collections import Counter
from pathlib import Path
from statistics import median

from cmedprep.tables import read_rows


def summarise_run(results):
    """Print the ledger, the counts of frames and samples, and the places to look at."""
    clips = read_rows(results / "clips.parquet")
    manifests = [
        row for path in sorted((results / "manifests").glob("*.parquet")) for row in read_rows(path)
    ]
    rows = sum(clip["metadata_row"] is not None for clip in clips)
    strays = len(clips) - rows
    print(f"\n{rows} metadata rows, and {strays} video{'s'[: strays != 1]} without a row:")
    status = {row["clip_id"]: row["status"] for row in clips}
    status |= {row["clip_id"]: row["status"] for row in manifests}
    for name, count in Counter(status.values()).most_common():
        print(f"  {count:6d}  {name}")
    frames = sum(row["n_frames"] for row in manifests if row["processed"])
    written = sum(row["n_written"] or 0 for row in manifests)
    print(f"{written} of {frames} frames aligned and written")
    grades = Counter(row["grade"] for row in manifests if row["grade"])
    jitter = [row["residual_jitter_px"] for row in manifests if row["residual_jitter_px"]]
    if jitter:
        listed = ", ".join(f"{grade} {count}" for grade, count in sorted(grades.items()))
        print(f"Grades of alignment: {listed}; median residual jitter {median(jitter):.2f} px")
    distances = [
        abs(row["motion_apex_distance"])
        for row in manifests
        if row["motion_apex_distance"] is not None
    ]
    if distances:
        near = sum(distance <= 1 for distance in distances)
        print(
            f"Apex of the motion within a frame of the annotated: {near} of {len(distances)} clips"
        )
    if frozen := sum(row["n_repeats"] or 0 for row in manifests):
        print(f"{frozen} frames repeat an earlier one")
    samples = Counter(
        sample["scheme"] for row in manifests for sample in row["samples"] if sample["n_slots"]
    )
    print("Samples: " + ", ".join(f"{name} of {n} clips" for name, n in sorted(samples.items())))
    print(f"""
  {results}/clips.parquet        every metadata row and video, with status and reason
  {results}/manifests/           one table per subject: counts, quality, digests of its clips
  {results}/samples/             one folder per sampling scheme, one table per subject
  {results}/splits/              which clips are tested in which fold, no subject on both sides
  {results}/images/              aligned faces: {{subject}}/{{emotion}}/{{clip}}/{{frame}}.png
""")


if __name__ == "__main__":
    summarise_run(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))

"""Say in a few lines what a run has made and where: `summarise_run.py [results]`."""

import sys
from collections import Counter
from pathlib import Path
from statistics import median

from cmedprep.tables import read_rows

PLACES = """
  {0}/reports/index.html   start here: pages to look at, of the data set and of every subject
  {0}/clips.parquet        every metadata row and video, with status and reason
  {0}/manifests/           one table per subject: counts, quality, digests of its clips
  {0}/samples/             one folder per sampling scheme, one table per subject
  {0}/splits/              which clips are tested in which fold, no subject on both sides
  {0}/images/              aligned faces: {{subject}}/{{emotion}}/{{clip}}/{{frame}}.png
"""


def summarise_run(results):
    """Print the ledger, the counts of frames and samples, and the places to look at."""
    clips = read_rows(results / "clips.parquet")
    manifests = [
        row for path in sorted((results / "manifests").glob("*.parquet")) for row in read_rows(path)
    ]
    rows = sum(clip["metadata_row"] is not None for clip in clips)
    strays = len(clips) - rows
    print(f"\n{rows} metadata rows, and {strays} video{'s'[: strays != 1]} without a row:")
    status = {row["clip_id"]: row["status"] for row in (*clips, *manifests)}
    for name, count in Counter(status.values()).most_common():
        print(f"  {count:6d}  {name}")
    if copies := sum(clip["same_video"] is not None for clip in clips):
        print(f"  {copies:6d}  with the bytes of another clip's video (`same_video`)")
    done = [row for row in manifests if row["processed"]]
    written, frames = (sum(row[name] or 0 for row in done) for name in ("n_written", "n_frames"))
    print(f"{written} of {frames} frames aligned and written, ", end="")
    print(f"{sum(row['n_repeats'] or 0 for row in done)} of them repeat an earlier one")
    grades = Counter(row["grade"] for row in done if row["grade"])
    if jitter := [row["residual_jitter_px"] for row in done if row["residual_jitter_px"]]:
        listed = ", ".join(f"{grade} {count}" for grade, count in sorted(grades.items()))
        print(f"Grades of alignment: {listed}; median residual jitter {median(jitter):.2f} px")
    if apart := [d for row in done if (d := row["motion_apex_distance"]) is not None]:
        near = sum(abs(distance) <= 1 for distance in apart)
        print(f"Motion apex within a frame of the annotated one: {near} of {len(apart)} clips")
    samples = Counter(part["scheme"] for row in done for part in row["samples"] if part["n_slots"])
    print("Samples: " + ", ".join(f"{name} of {n} clips" for name, n in sorted(samples.items())))
    print(PLACES.format(results))


if __name__ == "__main__":
    summarise_run(Path(sys.argv[1] if len(sys.argv) > 1 else "results"))

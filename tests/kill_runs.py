"""Kill runs at random moments and see that the same command still ends in the same bytes.

    python tests/kill_runs.py --kills 50 --seed 0

Killed, by SIGKILL, are in turn a job, Snakemake alone, whose jobs live on, and all of them at
once. After each kill every file that has its final name is compared with that of an undisturbed
run; then the same command runs again, to its end or to the next kill.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

if __package__ in (None, ""):  # Run as a file and not as a module.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.conftest import Project
from tests.makers import make_demo

KINDS = ("job", "snakemake", "all")


def start(project: Project) -> subprocess.Popen[bytes]:
    """Start the command that a user gives, as the leader of a process group."""
    (project.folder / "my.yaml").write_text(yaml.safe_dump(project.config))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", "my.yaml"]
    with open(project.folder / "said.txt", "ab") as said:
        return subprocess.Popen(
            [*command, "--snakefile", str(project.repository / "Snakefile")],
            cwd=project.folder,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes], kind: str, after_s: float, rng: random.Random) -> str:
    """Kill a run, or one of its jobs, some time after its start, and say what was hit.

    Returns an empty string when the run was over before.
    """
    deadline = time.monotonic() + after_s
    while process.poll() is None:
        jobs = jobs_of(process.pid)
        if time.monotonic() >= deadline and (jobs or kind != "job"):
            break
        time.sleep(0.002)
    else:
        return ""
    at_work = ", ".join(sorted(set(jobs.values()))) or "no job"
    if kind == "job":
        victim = rng.choice(sorted(jobs))
        os.kill(victim, signal.SIGKILL)
        at_work = jobs[victim]
    elif kind == "snakemake":
        process.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return at_work


def jobs_of(process: int) -> dict[int, str]:
    """Return the jobs that a Snakemake process is running, with their rules' names."""
    found = {}
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in _text(task).split():
            words = _text(Path(f"/proc/{child}/cmdline")).split("\0")
            scripts = [word for word in words if ".snakemake/scripts/" in word]
            if scripts:
                found[int(child)] = scripts[0].split(".")[-2]
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended in the meantime
        return ""


def leftovers(project: Project) -> list[str]:
    """Return the files and folders that were being made and are not finished."""
    return sorted(str(path) for path in project.results.rglob(".*.part"))


def differences(project: Project, expected: Mapping[str, str]) -> list[str]:
    """Return the files under final names that an undisturbed run has not, or not so."""
    while True:
        try:
            found = project.digests()
        except FileNotFoundError:  # by a job that outlived Snakemake
            continue
        return sorted(
            path
            for path, digest in found.items()
            if ".part/" not in path and not path.endswith(".part") and expected.get(path) != digest
        )


def kill_runs(
    project: Project, expected: Mapping[str, str], kills: int, length_s: float, rng: random.Random
) -> Iterator[str]:
    """Kill runs of a project, and yield a line about each; a fault is an AssertionError.

    Parameters
    ----------
    project : Project
        A data set without results, to be changed.
    expected : mapping
        The digests of an undisturbed run.
    kills : int
        How often to kill.
    length_s : float
        How long an undisturbed run takes.
    rng : random.Random
        Chooses the moments, and whether the next run is killed, too.
    """
    for number in range(kills):
        kind, hit = KINDS[number % len(KINDS)], ""
        while not hit:
            after_s = rng.uniform(0, length_s)
            hit = kill(start(project), kind, after_s, rng)
            if not hit:
                start_anew(project, expected)
        half_made = len(leftovers(project))
        wrong = differences(project, expected)
        assert not wrong, f"taken for finished after a kill of {kind}: {wrong}"
        finish = number + 1 == kills or rng.random() < 0.5
        if finish:
            assert start(project).wait() == 0, (project.folder / "said.txt").read_text()[-4000:]
            start_anew(project, expected)
        yield (
            f"{number + 1:3d}  {kind:9}  after {after_s:4.1f} s, in {hit}; half-made: {half_made}"
            f"{'; then the same bytes' if finish else ''}"
        )


def start_anew(project: Project, expected: Mapping[str, str]) -> None:
    """Check that a run that came to its end has made what it should, and remove it."""
    found = project.digests()
    wrong = sorted(
        path for path in found.keys() | expected if found.get(path) != expected.get(path)
    )
    assert not wrong, f"differs from an undisturbed run: {wrong}"
    assert not leftovers(project), leftovers(project)
    subprocess.run(["rm", "-r", project.results, project.folder / ".snakemake"], check=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        make_demo.make_tiny(folder / "CMED", subjects=2, clips=2, frames=6)
        config = {"dataset": {"root": str(folder / "CMED")}}
        undisturbed = Project(folder / "undisturbed", config)
        undisturbed.folder.mkdir()
        begin = time.monotonic()
        undisturbed.succeed()
        length = time.monotonic() - begin
        print(f"undisturbed: {length:.1f} s, {len(undisturbed.digests())} files", flush=True)
        disturbed = Project(folder / "disturbed", config)
        disturbed.folder.mkdir()
        hits: Counter[str] = Counter()
        chosen = random.Random(options.seed)
        for line in kill_runs(disturbed, undisturbed.digests(), options.kills, length, chosen):
            print(line, flush=True)
            hits[line.split()[1]] += 1
        print(f"{hits.total()} kills ({dict(hits)}); seed {options.seed}: same bytes every time")

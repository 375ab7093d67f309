"""What the tests share: data sets, and real runs of the workflow on them."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from skimage.data import astronaut

from tests.makers import make_demo

if TYPE_CHECKING:
    from cmedprep.cascade import FaceFinder

REPOSITORY = Path(__file__).resolve().parents[1]
REAL_VIDEOS = REPOSITORY.parent / "shared" / "videos"


@pytest.fixture(autouse=True)
def _no_real_time() -> Iterator[None]:
    """See that no test leaves the others starved; `ordinary_scheduling` says how one could."""
    scheduling = getattr(os, "sched_getscheduler", lambda process: None)
    before = scheduling(0)
    yield
    assert scheduling(0) == before


@dataclass(frozen=True)
class Project:
    """A working directory with a config, in which the workflow runs.

    `repository` holds the Snakefile: ours, or a copy that a test may edit.
    """

    folder: Path
    config: dict[str, Any]
    repository: Path = REPOSITORY

    @property
    def root(self) -> Path:
        return Path(self.config["dataset"]["root"])

    @property
    def results(self) -> Path:
        return self.folder / self.config.get("output", "results")

    def run(
        self,
        *arguments: str,
        cores: int = 2,
        snakefile: str = "Snakefile",
        prefix: tuple[str, ...] = (),
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run Snakemake here, as a user would, and return what it said."""
        (self.folder / "my.yaml").write_text(yaml.safe_dump(self.config))
        command = [
            *(*prefix, sys.executable, "-m", "snakemake"),
            *("--snakefile", str(self.repository / snakefile)),
            *("--configfile", "my.yaml", "--cores", str(cores)),
            *arguments,
        ]
        return subprocess.run(
            command,
            cwd=self.folder,
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
        )

    def succeed(self, *arguments: str, **options: Any) -> "Run":
        """Run, and fail the test with Snakemake's words if it fails."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, done.stdout
        return Run(done.stdout)

    def fail(self, *arguments: str, **options: Any) -> "Run":
        """Run, and fail the test if it does not fail."""
        done = self.run(*arguments, **options)
        assert done.returncode != 0, done.stdout
        return Run(done.stdout)

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of every result, without logs and timings.

        Hidden records are left out, too: they hold the times of the videos.
        """
        return {
            path.relative_to(self.results).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.results.rglob("*"))
            if path.is_file()
            and path.relative_to(self.results).parts[0] not in ("logs", "benchmarks")
            and not path.name.startswith(".")
        }


@dataclass(frozen=True)
class Run:
    """What a run of Snakemake said."""

    output: str

    @property
    def idle(self) -> bool:
        return "Nothing to be done" in self.output

    @property
    def jobs(self) -> Counter[str]:
        """The jobs that were run or planned, as `rule` or `rule subject`."""
        found: Counter[str] = Counter()
        for block in re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", self.output, re.M):
            rule, details = block
            wildcards = re.search(r"wildcards: .*?subject=([^,\s]+)", details)
            if rule not in ("all", "results"):
                found[f"{rule} {wildcards[1]}" if wildcards else rule] += 1
        return found


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo data set: the one that `make run` has made, or a new one."""
    made = REPOSITORY / "demo"
    if not make_demo.is_current(made, seed=0):
        made = tmp_path_factory.mktemp("demo") / "demo"
        make_demo.make_demo(made, seed=0)
    return made


@pytest.fixture(scope="session")
def demo_run(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run on the demo data set. Not to be changed."""
    project = Project(tmp_path_factory.mktemp("demo_run"), {"dataset": {"root": str(demo)}})
    project.succeed()
    return project


@pytest.fixture(scope="session")
def tiny_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two subjects with two clips each of a few frames. Not to be changed."""
    root = tmp_path_factory.mktemp("tiny") / "CMED"
    make_demo.make_tiny(root, subjects=2, clips=2, frames=6)
    return root


@pytest.fixture(scope="session")
def finished_tiny(tiny_set: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished run on the tiny data set, which lies inside it. Not to be changed."""
    folder = tmp_path_factory.mktemp("finished_tiny")
    shutil.copytree(tiny_set, folder / "CMED")
    project = Project(folder, {"dataset": {"root": "CMED"}})
    project.succeed()
    return project


@pytest.fixture
def tiny(finished_tiny: Project, tmp_path: Path) -> Project:
    """A finished run of one's own on the tiny data set, to be changed at will."""
    folder = tmp_path / "project"
    shutil.copytree(finished_tiny.folder, folder)  # copies modification times, too
    return Project(folder, {"dataset": {"root": str(folder / "CMED")}})


@pytest.fixture
def fresh(tiny_set: Path, tmp_path: Path) -> Project:
    """The tiny data set and no results yet."""
    folder = tmp_path / "project"
    folder.mkdir()
    shutil.copytree(tiny_set, folder / "CMED")
    return Project(folder, {"dataset": {"root": str(folder / "CMED")}})


@pytest.fixture
def own_repository(tmp_path: Path) -> Path:
    """A copy of the workflow that a test may edit."""
    copy = tmp_path / "repository"
    for name in ("Snakefile", "workflow", "config", "envs", "profiles"):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            copy.mkdir(exist_ok=True)
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """A face of 92 x 108 pixels in an image of 320 x 320. Not to be changed."""
    return np.ascontiguousarray(astronaut()[:320, 60:380])


@pytest.fixture(scope="session")
def finder() -> Iterator["FaceFinder"]:
    """Finds faces by all ways of looking."""
    from cmedprep.cascade import FaceFinder  # most tests need no MediaPipe

    with FaceFinder(min_confidence=0.5, max_faces=3) as finder:
        yield finder

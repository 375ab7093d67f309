"""Equal input gives equal bytes, whatever the circumstances of a run are.

Runs are slow, so several circumstances change in one. Where its bytes differ, each of them is
tried alone, and the test that fails is that of the one that matters.
"""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import Project
from tests.disks import read_only

LAST_SUBJECT_FIRST = ("--prioritize", "results/manifests/Subject_02.parquet")


@dataclass(frozen=True)
class Circumstances:
    """How a run is made; by default as that of `finished_tiny`, all at once and from scratch."""

    cores: int = 2
    folder: str = "project"
    output: str = "results"
    absolute_root: bool = False
    other_times: bool = False
    mounted_read_only: bool = False
    first_until: str | None = None
    arguments: tuple[str, ...] = ()
    again: bool = False
    LC_ALL: str | None = None
    TZ: str | None = None
    PYTHONHASHSEED: str | None = None


RUNS: dict[str, dict[str, Any]] = {
    "one": {
        "cores": 1,
        "folder": "Ein anderer Ort/Gr\u00f6\u00dfe",
        "absolute_root": True,
        "first_until": "detect_faces",
        "arguments": LAST_SUBJECT_FIRST,
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
        "PYTHONHASHSEED": "7",
    },
    "two": {
        "cores": 8,
        "output": "samples",
        "other_times": True,
        "again": True,
        "LC_ALL": "tr_TR.UTF-8",
        "TZ": "America/St_Johns",
        "PYTHONHASHSEED": "random",
    },
}

Make = Callable[..., dict[str, str]]


@pytest.fixture(scope="module")
def make(finished_tiny: Project, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Run the workflow on a copy of the data set, and return the digests of its results."""

    def make(**changed: Any) -> dict[str, str]:
        how = Circumstances(**changed)
        folder = tmp_path_factory.mktemp("bytes") / how.folder
        folder.parent.mkdir(exist_ok=True)
        if how.again:
            shutil.copytree(finished_tiny.folder, folder)
        copy = shutil.copyfile if how.other_times else shutil.copy2
        root = folder / "CMED"
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(finished_tiny.folder / "CMED", root, copy_function=copy)
        root_given = str(root) if how.absolute_root else "CMED"
        config = {"dataset": {"root": root_given}, "output": how.output}
        project = Project(folder, config)
        names = ("LC_ALL", "TZ", "PYTHONHASHSEED")
        environment = {name: value for name in names if (value := getattr(how, name))}

        def run(*arguments: str) -> None:
            project.succeed(*arguments, cores=how.cores, environment=environment)

        if how.first_until:
            run("--until", how.first_until)
        arguments = (*how.arguments, *(["--forceall"] if how.again else []))
        if how.mounted_read_only:
            with read_only(root):
                run(*arguments)
        else:
            run(*arguments)
        return project.digests()

    return make


@pytest.fixture(scope="module")
def together(make: Make) -> Callable[[str], dict[str, str]]:
    """Return the digests of a run in which all its circumstances are changed."""
    return cache(lambda name: make(**RUNS[name]))


@pytest.mark.parametrize(
    ("run", "circumstance"), [(run, name) for run, changed in RUNS.items() for name in changed]
)
def test_a_circumstance_changes_no_byte(
    finished_tiny: Project,
    make: Make,
    together: Callable[[str], dict[str, str]],
    run: str,
    circumstance: str,
) -> None:
    expected = finished_tiny.digests()
    if together(run) != expected:
        assert make(**{circumstance: RUNS[run][circumstance]}) == expected


@pytest.mark.parametrize("run", RUNS)
def test_circumstances_together_change_no_byte(
    finished_tiny: Project, together: Callable[[str], dict[str, str]], run: str
) -> None:
    assert together(run) == finished_tiny.digests()


def test_a_data_set_on_a_read_only_mount_gives_the_same_bytes(
    finished_tiny: Project, make: Make
) -> None:
    assert make(mounted_read_only=True) == finished_tiny.digests()


def test_tables_hold_no_date(finished_tiny: Project) -> None:
    for path in finished_tiny.results.rglob("*.parquet"):
        footer = pq.read_metadata(path)
        assert footer.metadata.keys() == {b"cmed", b"ARROW:schema"}
        said = footer.created_by.encode() + footer.metadata[b"cmed"]
        said = re.sub(rb"[0-9a-f]{16,64}", b"", said)  # digests may hold any figures
        assert not re.search(rb"20\d\d-?[01]\d|\d\d:\d\d", said), path

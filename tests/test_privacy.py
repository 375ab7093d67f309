"""Children's faces never leave the machine."""

import base64
import json
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from signal import SIGSYS

import pyarrow.parquet as pq
import pytest

from tests import traces
from tests.conftest import REPOSITORY, Project
from tests.offline import filter_jobs

OFFLINE = (sys.executable, str(REPOSITORY / "tests" / "offline.py"))


@pytest.fixture(scope="module")
def seccomp() -> None:
    """Skip where the kernel does not offer what these tests need."""
    probe = subprocess.run([*OFFLINE, "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"the kernel cannot forbid sockets here: {probe.stderr[-200:]}")


# -- no network -------------------------------------------------------------------------------


@pytest.mark.usefixtures("seccomp")
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_filter_works(family: str) -> None:
    ask = f"import socket; socket.socket(socket.{family}, socket.SOCK_DGRAM)"
    refused = subprocess.run([*OFFLINE, sys.executable, "-c", ask], capture_output=True, text=True)
    assert "PermissionError" in refused.stderr
    deadly = f"from tests.offline import forbid_sockets; forbid_sockets(deadly=True); {ask}"
    assert subprocess.run([sys.executable, "-c", deadly], cwd=REPOSITORY).returncode == -SIGSYS


@pytest.mark.usefixtures("seccomp")
def test_no_job_opens_a_socket(fresh: Project, finished_tiny: Project, tmp_path: Path) -> None:
    # Snakemake itself, which has no picture in hand, asks for a socket when it starts, only to
    # see whether the machine has IPv6 (urllib3 does): it is refused. A job that asks dies.
    run = fresh.succeed(prefix=OFFLINE, environment=filter_jobs(tmp_path))
    assert run.output.count("filtered") == sum(run.jobs.values())
    assert fresh.digests() == finished_tiny.digests()


@pytest.fixture(scope="module")
def no_interface() -> tuple[str, ...]:
    """What to put before a command for a network without any interface that is up."""
    ask = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('127.0.0.1', 9))"
    for options in (["--net"], ["--net", "--map-root-user"]):
        command = ("unshare", *options)
        try:
            asked = subprocess.run([*command, sys.executable, "-c", ask], stderr=subprocess.PIPE)
        except FileNotFoundError:
            pytest.skip("unshare(1) is missing")
        if b"Network is unreachable" in asked.stderr:  # not even this machine itself
            return command
    pytest.skip(f"no network namespace can be made here: {asked.stderr.decode()[-200:]}")


def with_umask(umask: str) -> tuple[str, ...]:
    return ("sh", "-c", f'umask {umask}; exec "$@"', "sh")


def test_the_demo_runs_where_there_is_no_network_with_rights_for_the_owner_alone(
    demo: Path, demo_run: Project, tmp_path: Path, no_interface: tuple[str, ...]
) -> None:
    project = Project(tmp_path, {"dataset": {"root": str(demo)}})
    project.succeed(prefix=(*no_interface, *with_umask("077")))
    assert project.digests() == demo_run.digests()
    assert rights(project.results) == {("folder", 0o700), ("file", 0o600)}


@pytest.fixture(scope="module")
def traced(
    finished_tiny: Project, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Project, list[str], Path]:
    """A run in a home of its own, the calls for sockets in it, and that home."""
    if not traces.works():
        pytest.skip("strace is missing or may not trace")
    place = tmp_path_factory.mktemp("traced")
    for name in ("project", "home", "temporary"):
        (place / name).mkdir()
    root = finished_tiny.folder / finished_tiny.root
    project = Project(place / "project", {"dataset": {"root": str(root)}})
    project.succeed(
        prefix=(*traces.prefix(place / "trace", traces.SOCKETS), *with_umask("027")),
        environment={
            "HOME": str(place / "home"),
            "XDG_CACHE_HOME": str(place / "home" / ".cache"),
            "TMPDIR": str(place / "temporary"),
        },
    )
    assert project.digests() == finished_tiny.digests()
    assert not any((place / "temporary").iterdir())
    return project, (place / "trace").read_text().splitlines(), place / "home"


def test_no_process_of_a_run_speaks_to_a_network(
    traced: tuple[Project, list[str], Path],
) -> None:
    _, calls, _ = traced
    internet = [call for call in calls if "AF_INET" in call or "AF_NETLINK" in call]
    # urllib3, which Snakemake imports, asks once whether there is IPv6, by binding to this machine.
    first = calls[0].split()[0]
    for call in internet:
        assert call.split()[0] == first, "a job asked for a socket"
        assert "socket(" in call or ("bind(" in call and '"::1"' in call), call
    assert len(internet) <= 2


# -- rights -----------------------------------------------------------------------------------


def rights(folder: Path) -> set[tuple[str, int]]:
    """Return the rights of all folders and files from a folder on."""
    return {
        ("folder" if path.is_dir() else "file", stat.S_IMODE(path.stat().st_mode))
        for path in [folder, *folder.rglob("*")]
    }


def test_results_have_exactly_the_rights_that_the_umask_leaves(
    traced: tuple[Project, list[str], Path],
) -> None:
    project, _, _ = traced
    assert rights(project.results) == {("folder", 0o750), ("file", 0o640)}
    assert stat.S_IMODE((project.folder / ".snakemake").stat().st_mode) == 0o750


# -- where pictures are, and where not --------------------------------------------------------

SIGNATURES = [b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"ftypisom", b"ftypmp42"]
"""How pictures and videos begin."""


def holds_picture(content: bytes) -> bool:
    """Tell whether some bytes hold a picture, as it is or in base64."""
    coded = [base64.b64encode(start[: len(start) // 3 * 3]) for start in SIGNATURES]
    return any(start in content for start in SIGNATURES) or any(
        len(code) >= 8 and code in content for code in coded
    )


@pytest.mark.parametrize("encode", [bytes, base64.b64encode])
def test_a_picture_is_known_wherever_it_lies(
    finished_tiny: Project, encode: Callable[[bytes], bytes]
) -> None:
    image = next(finished_tiny.results.rglob("*.png"))
    assert holds_picture(b"..." + encode(image.read_bytes()))


def test_nothing_but_images_and_reports_holds_a_picture(
    traced: tuple[Project, list[str], Path],
) -> None:
    project, _, home = traced
    # What the pictures in reports show is tested in test_report_privacy.
    pictures = [project.results / name for name in ("images", "reports")]
    for path in [*project.folder.rglob("*"), *home.rglob("*")]:
        if path.is_file() and not any(path.is_relative_to(folder) for folder in pictures):
            assert not holds_picture(path.read_bytes()), path


def test_no_column_of_a_table_holds_a_picture(finished_tiny: Project) -> None:
    for path in finished_tiny.results.rglob("*.parquet"):
        table = pq.read_table(path)
        kinds = {str(field.type) for field in table.schema}
        assert not any("binary" in kind for kind in kinds), path
        assert not holds_picture(json.dumps(table.to_pylist(), default=str).encode()), path


def test_what_is_written_to_the_home_folder_is_what_the_docs_say(
    traced: tuple[Project, list[str], Path],
) -> None:
    _, _, home = traced
    made = {path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()}
    documented = (REPOSITORY / "docs" / "privacy.md").read_text()
    for path in made:
        assert path.startswith(".cache/snakemake/"), path
    assert "~/.cache/snakemake" in documented

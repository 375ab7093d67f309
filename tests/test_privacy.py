"""Children's faces never leave the machine."""

import os
import subprocess
import sys
from pathlib import Path
from signal import SIGSYS

import pytest

from tests.conftest import REPOSITORY, Project

OFFLINE = (sys.executable, str(REPOSITORY / "tests" / "offline.py"))


@pytest.fixture(scope="module", autouse=True)
def seccomp() -> None:
    """Skip where the kernel does not offer what these tests need."""
    probe = subprocess.run([*OFFLINE, "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"the kernel cannot forbid sockets here: {probe.stderr[-200:]}")


@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6"])
def test_filter_works(family: str) -> None:
    ask = f"import socket; socket.socket(socket.{family}, socket.SOCK_DGRAM)"
    refused = subprocess.run([*OFFLINE, sys.executable, "-c", ask], capture_output=True, text=True)
    assert "PermissionError" in refused.stderr
    deadly = f"from tests.offline import forbid_sockets; forbid_sockets(deadly=True); {ask}"
    assert subprocess.run([sys.executable, "-c", deadly], cwd=REPOSITORY).returncode == -SIGSYS


def test_no_job_opens_a_socket(fresh: Project, finished_tiny: Project, tmp_path: Path) -> None:
    # Snakemake itself, which has no picture in hand, asks for a socket when it starts, only to
    # see whether the machine has IPv6 (urllib3 does): it is refused. A job that asks dies.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if any('.snakemake/scripts/' in word for word in sys.orig_argv):\n"
        "    from tests.offline import forbid_sockets\n"
        "    forbid_sockets(deadly=True)\n"
        "    print('filtered', file=sys.stderr)\n"
    )
    paths = os.pathsep.join([str(tmp_path), str(REPOSITORY)])
    run = fresh.succeed(prefix=OFFLINE, environment={"PYTHONPATH": paths})
    assert run.output.count("filtered") == sum(run.jobs.values())
    assert fresh.digests() == finished_tiny.digests()


def test_results_other_than_images_hold_no_image(finished_tiny: Project) -> None:
    signatures = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8")
    for path in finished_tiny.results.rglob("*"):
        if path.is_file() and "images" not in path.relative_to(finished_tiny.results).parts:
            content = path.read_bytes()
            assert not any(signature in content for signature in signatures), path

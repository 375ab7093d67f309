"""One cluster for all tests of this folder, and a check that each test leaves it empty."""

import signal
from collections.abc import Iterator

import pytest

from tests.slurm.cluster import Cluster, missing, start_cluster, wait_for


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A Slurm with two nodes."""
    pytest.importorskip(
        "snakemake_executor_plugin_slurm", reason="the dependency group `slurm` is not installed"
    )
    if why := missing():
        pytest.skip(why)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # torn down then, too
    with start_cluster(nodes=2) as running:
        yield running


@pytest.fixture(autouse=True)
def _leave_nothing(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if request.session.testsfailed:
        cluster.call("scancel", "--user=root")
    wait_for(lambda: not cluster.jobs(), "no job is left in the queue")
    wait_for(lambda: not cluster.step_processes(), "no process of a job is left")

"""A Slurm of a few nodes on this host, without systemd, cgroups or a database.

    python -m tests.slurm.cluster [NODES]    keep one up until interrupted

Every daemon is started by us, in the foreground, so that its process is known and ends with us:
`munged` for the credentials, one `slurmctld`, and one `slurmd` for each node, on a port of its own.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

PROGRAMS = ("setpriv", "munged", "slurmctld", "slurmd", "sbatch", "squeue")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
SYSTEM_CONF = Path("/etc/slurm/slurm.conf")
NAME = "cmed-test"
FIRST_PORT = 17800

CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# Credentials are short-lived, as a job that lost its node waits for them to expire.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
# Nodes may claim processors and memory that this host has not.
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
# No database: `sacct` has nobody to ask. Memory is sampled, and who takes more is killed.
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MinJobAge=300
# A dead node is noticed in seconds, and one that comes back may work again.
SlurmdTimeout=5
ReturnToService=2
MessageTimeout=5
KillWait=2
{nodes}
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=16000"


class Cluster:
    """A running cluster; see `start_cluster`."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.folder = folder
        self.nodes = [f"node{number}" for number in range(1, nodes + 1)]
        self.conf = folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Start all daemons and wait until every node takes jobs."""
        (self.folder / "state").mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        host = platform.node().split(".")[0]
        nodes = [
            NODE.format(name=name, host=host, port=FIRST_PORT + number)
            for number, name in enumerate(self.nodes, start=1)
        ]
        self.conf.write_text(
            CONF.format(
                name=NAME, host=host, port=FIRST_PORT, folder=self.folder, nodes="\n".join(nodes)
            )
        )
        # A job step loses every SLURM_* variable, SLURM_CONF among them, and looks here.
        SYSTEM_CONF.parent.mkdir(exist_ok=True)
        SYSTEM_CONF.symlink_to(self.conf)
        files = {"key-file": key, "seed-file": "munge.seed", "log-file": "munged.log"}
        files |= {"socket": "munge.socket", "pid-file": "munged.pid"}
        options = [f"--{name}={self.folder / file}" for name, file in files.items()]
        self._start("munged", "--foreground", "--force", *options)
        wait_for(lambda: (self.folder / "munge.socket").exists(), "munged listens")
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self.wait_for_nodes()

    def stop(self) -> None:
        """End all daemons and what is left of jobs, whatever state they are in."""
        with suppress(OSError, subprocess.SubprocessError):
            self.call("scancel", "--user=root")
        for name in reversed(list(self._daemons)):
            self._kill(name, signal.SIGTERM)
        for process in self.step_processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if SYSTEM_CONF.is_symlink() and SYSTEM_CONF.readlink() == self.conf:
            SYSTEM_CONF.unlink()

    def start_controller(self) -> None:
        """Start `slurmctld`, which goes on with the jobs that it knew."""
        self._start("slurmctld", "-D", "-f", str(self.conf))
        wait_for(lambda: self.call("scontrol", "ping").endswith("is UP"), "slurmctld answers")

    def kill_controller(self) -> None:
        """End `slurmctld` as a crash of its host would."""
        self._kill("slurmctld", signal.SIGKILL)

    def wait_for_save(self, number: str) -> None:
        """Wait until `slurmctld` has written down that a job runs, as it does every few seconds.

        Killed before, it would start the job once more, and give up the node that has it.
        """
        since = time.time()
        self.call("scontrol", "update", f"JobId={number}", "Comment=saved")
        saved = self.folder / "state" / "job_state"
        wait_for(lambda: saved.exists() and saved.stat().st_mtime > since, "the job is saved")

    def start_node(self, node: str) -> None:
        """Start the `slurmd` of a node."""
        self._start(f"slurmd {node}", "-D", "-f", str(self.conf), "-N", node)

    def kill_node(self, node: str) -> None:
        """End a node as a power cut would: its `slurmd`, and all that its jobs had started."""
        self._kill(f"slurmd {node}", signal.SIGKILL)
        for process in self.step_processes(node):  # as asked before the node is missed
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def wait_for_nodes(self) -> None:
        """Wait until every node is ready for jobs."""

        def ready() -> bool:
            states = self.call("sinfo", "--noheader", "--Node", "--format=%T").split()
            return len(states) == len(self.nodes) and set(states) <= {"idle", "mixed", "allocated"}

        wait_for(ready, "all nodes are ready")

    def jobs(self, *states: str) -> list[tuple[str, str, str]]:
        """Return number, node and comment of each job; the comment names its rules."""
        chosen = f"--states={','.join(states or ('PENDING', 'RUNNING', 'COMPLETING'))}"
        lines = self.call("squeue", "--noheader", chosen, "--format=%i|%N|%k").splitlines()
        found = [line.split("|") for line in lines]
        return [(number, node, comment) for number, node, comment in found]

    def wait_for_job(self, rule: str) -> tuple[str, str]:
        """Wait until a job of a rule is running its script; return its number and node."""
        found: list[tuple[str, str]] = []

        def runs() -> bool:
            running = [job for job in self.jobs("RUNNING") if rule in job[2]]
            found[:] = [(number, node) for number, node, _ in running if self.scripts(number)]
            return bool(found)

        wait_for(runs, f"a job of {rule} is running", pause_s=0.02)
        return found[0]

    def scripts(self, number: str) -> list[int]:
        """Return the processes of a job that run a script of the workflow."""
        return [
            process
            for process, words in _processes()
            if any(".snakemake/scripts/" in word for word in words)
            and _environment(process).get("SLURM_JOB_ID") == number
        ]

    def step_processes(self, node: str | None = None) -> list[int]:
        """Return the processes that jobs have started, on one node or on all.

        First those of Slurm, which would otherwise report how the others ended.
        """
        place = [] if node is None else [f"--nodelist={node}"]
        numbers = set(self.call("squeue", "--noheader", "--format=%A", *place).split())
        daemons, others = [], []
        for process, words in _processes():
            step = re.match(r"slurmstepd: \[(\d+)\.", words[0])
            variables = _environment(process)
            if step and variables.get("SLURM_CONF") == str(self.conf):
                if node is None or step[1] in numbers:
                    daemons.append(process)
            elif variables.get("SLURM_CLUSTER_NAME") == NAME and (
                node in (None, variables.get("SLURMD_NODENAME"))
            ):
                others.append(process)
        return daemons + others

    def call(self, *command: str) -> str:
        """Ask Slurm, and return its answer, which is empty where nobody answers."""
        asked = subprocess.run(
            command,
            env=os.environ | {"SLURM_CONF": str(self.conf)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            timeout=60,
        )
        return asked.stdout.strip()

    def _start(self, name: str, *arguments: str) -> None:
        with open(self.folder / f"{name.replace(' ', '-')}.out", "ab") as said:
            self._daemons[name] = subprocess.Popen(
                # Even when this process is killed, its daemons go with it.
                ["setpriv", "--pdeathsig=TERM", _program(name.split()[0]), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def _kill(self, name: str, how: signal.Signals) -> None:
        daemon = self._daemons.pop(name)
        daemon.send_signal(how)
        try:
            daemon.wait(timeout=10)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()


@contextmanager
def start_cluster(nodes: int = 2) -> Iterator[Cluster]:
    """Give a cluster that is gone when the block ends, however it ends."""
    with TemporaryDirectory(prefix="slurm-") as folder:
        cluster = Cluster(Path(folder), nodes)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


def missing() -> str:
    """Install Slurm where that is possible; say what is missing for a cluster, or nothing."""
    if os.geteuid() != 0:
        return "Slurm's daemons are started as root"
    if not _installed() and shutil.which("apt-get"):
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", *PACKAGES]):
            subprocess.run(
                ["apt-get", "-qq", *command], env=quiet, stdout=subprocess.DEVNULL, check=False
            )
    if not _installed():
        return f"Slurm is not installed: {', '.join(PACKAGES)} of Debian"
    if SYSTEM_CONF.is_symlink() and not SYSTEM_CONF.exists():
        SYSTEM_CONF.unlink()  # left by a cluster of ours that was killed
    if SYSTEM_CONF.exists():
        return f"{SYSTEM_CONF} exists: this host belongs to a Slurm already"
    return ""


def _installed() -> bool:
    return all(map(_program, PROGRAMS))


def _program(name: str) -> str:
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") or ""


def _processes() -> Iterator[tuple[int, list[str]]]:
    for folder in Path("/proc").glob("[0-9]*"):
        words = _read(folder / "cmdline").split("\0")
        if words != [""]:
            yield int(folder.name), words


def _environment(process: int) -> dict[str, str]:
    lines = _read(Path(f"/proc/{process}/environ")).split("\0")
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:  # it has ended in the meantime
        return ""


def wait_for(
    happens: Callable[[], bool], what: str, timeout_s: float = 300, pause_s: float = 0.1
) -> None:
    deadline = time.monotonic() + timeout_s
    while not happens():
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s:.0f} s still not: {what}")
        time.sleep(pause_s)


if __name__ == "__main__":
    if why := missing():
        sys.exit(why)
    begin = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with start_cluster(int(sys.argv[1]) if len(sys.argv) > 1 else 2) as running:
        print(f"up in {time.monotonic() - begin:.1f} s: {', '.join(running.nodes)}", flush=True)
        with suppress(KeyboardInterrupt):
            signal.pause()
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one would leave it half stopped

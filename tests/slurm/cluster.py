"""A real Slurm of two simulated nodes on this machine, in a folder of its own, without accounting; root only."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

NODES = ("n1", "n2")
#: A process, and all that come from it, that see no others and end with it.
ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
NEEDED = ("unshare", "bash", "munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")

#: Everything the daemons write is below ``{folder}``. Short timeouts: a dead node is noticed within seconds.
CONFIGURATION = """
ClusterName=rnnbench
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
JobRequeue=1
SlurmdTimeout=10
SlurmctldTimeout=10
InactiveLimit=0
KillWait=20
MinJobAge=60
SlurmctldPort={port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={port1} CPUs=1
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={port2} CPUs=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=10
PartitionName=urgent Nodes=n1,n2 MaxTime=INFINITE State=UP PriorityTier=10
"""


def why_not() -> str:
    """Why no cluster can be made here, or nothing where one can."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing:
        return f"{missing[0]} is not installed: apt-get install slurm-wlm munge"
    if os.geteuid() != 0:
        return "Slurm's daemons are started as root"
    return "" if subprocess.run([*ALONE, "true"], capture_output=True).returncode == 0 else "name spaces are refused"


class Cluster:
    """The daemons of one cluster.

    Args:
        folder: Where everything of theirs goes; no other user can write to it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def start(self) -> None:
        """Start the daemons, and wait until both nodes are idle."""
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()
        port, port1, port2 = _free_ports(3)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(folder=self.folder, host=socket.gethostname(), port=port, port1=port1, port2=port2)
        )
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        names = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        places = [f"--{option}={self.folder}/munge.{end}" for option, end in names.items()]
        # By force, as it takes offence at a folder that others may not enter; nobody but root is to use this one.
        self._spawn("munged", "munged", "--foreground", "--force", f"--key-file={key}", *places)
        wait_for(lambda: (self.folder / "munge.socket").exists(), 10, "munged opens its socket")
        self._spawn("slurmctld", "slurmctld", "-D", "-c")
        for node in NODES:
            self.start_node(node)
        wait_for(lambda: self._states() == ["idle", "idle"], 30, "both nodes are idle")

    def stop(self) -> None:
        """End all jobs and daemons, whatever state they are in."""
        for node in NODES:
            self.kill_node(node)
        for name in ("slurmctld", "munged"):
            if daemon := self.daemons.pop(name, None):
                daemon.kill()
                daemon.wait()

    def start_node(self, node: str) -> None:
        """Let a node join, for the first time or again: a machine of its own as far as process numbers tell."""
        slurmd = f"slurmd -D -N {node} & wait"  # below a shell, which as the first process has to bury the orphans
        self._spawn(node, *ALONE, "bash", "-c", slurmd)

    def kill_node(self, node: str) -> None:
        """What a power cut does: the node's daemon and all processes of its jobs are gone at once."""
        if daemon := self.daemons.pop(node, None):
            daemon.kill()  # and the kernel everything in its name space
            daemon.wait()
        wait_for(lambda: not self.processes(node), 10, f"all processes of {node} are gone")

    def processes(self, node: str) -> dict[int, str]:
        """The processes of a node's jobs: by their numbers here, the commands that they were started as."""
        marks = f"SLURMD_NODENAME={node}\0".encode(), f"SLURM_CONF={self.folder}".encode()
        found = {}
        for path in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError):
                text = (path / "environ").read_bytes()
                if all(mark in text for mark in marks):
                    found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return found

    def run(self, *words: str) -> str:
        """What a command of Slurm's prints."""
        return subprocess.run(
            words, env=self.environment, capture_output=True, text=True, timeout=30, check=True
        ).stdout.strip()

    def queue(self, form: str = "%i %T %N") -> list[list[str]]:
        """The jobs that are queued, running or ending, each as the fields of ``form``."""
        return [line.split() for line in self.run("squeue", "--noheader", "--array", f"--format={form}").splitlines()]

    def hurry(self) -> None:
        """What was requeued need not wait the two minutes that Slurm makes it wait."""
        for id, reason in self.queue("%A %r"):
            if reason == "BeginTime":
                with suppress(subprocess.CalledProcessError):
                    self.run("scontrol", "update", f"JobId={id}", "StartTime=now")

    def _states(self) -> list[str]:
        try:
            return self.run("sinfo", "--noheader", "--Node", "--partition=all", "--format=%t").split()
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            return []

    def _spawn(self, name: str, *words: str) -> None:
        with open(self.folder / f"{name}.out", "ab") as output:
            self.daemons[name] = subprocess.Popen(
                words, env=self.environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL
            )


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Look ten times a second whether something has come to pass; fail where it has not after so long."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(0.1)


def running(folder: Path) -> Iterator[Cluster]:
    """A cluster that is up, and stopped at the end."""
    folder.mkdir(mode=0o755)
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()

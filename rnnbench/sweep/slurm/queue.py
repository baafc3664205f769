"""Slurm's side of an array of tasks: handing it in through submitit, and asking whether it is still there."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.errors import UserError
from rnnbench.sweep.slurm.task import NOTICE, ArrayTask

#: sbatch's own options by their long names; True for one without a value.
Parameters = Mapping[str, str | bool]
#: Where nothing else is asked for: an hour, after which a task is queued again, and one processor.
DEFAULTS: Parameters = {"time": "60", "cpus-per-task": "1", "requeue": True}
#: What the launcher decides itself.
OURS = {
    "array": "--jobs says how many tasks there are",
    "output": "logs go to the study's folder slurm/",
    "error": "logs go to the study's folder slurm/",
    "signal": "it is how a task learns that its time is over",
    "wrap": "what the tasks run is the sweep",
    "ntasks": "a task of the array is one process; --jobs says how many there are",
    "ntasks-per-node": "a task of the array is one process; --jobs says how many there are",
    "nodes": "a task of the array is on one node; --jobs says how many there are",
}
#: States that a task does not come back from; everything else is queued, running or ending.
OVER = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
)  # fmt: skip


@dataclass(frozen=True)
class Waiting:
    """A task in the queue: the array's name, the task's state, and what it waits for."""

    name: str
    state: str
    reason: str


def parse_parameters(texts: Iterable[str]) -> dict[str, str | bool]:
    """``partition=long,gres=gpu:1,exclusive`` as sbatch's options, by their long names.

    Raises:
        UserError: no name, or an option that is the launcher's to decide.
    """
    found: dict[str, str | bool] = {}
    for word in (word.strip() for text in texts for word in text.split(",")):
        match = re.fullmatch(r"(?:--)?([a-z][a-z0-9_-]+)(?:=(.+))?", word)
        if match is None or not word.isprintable():
            raise UserError(
                f"--slurm takes sbatch's long options as NAME=VALUE,NAME=VALUE,…, got {word!r}; "
                "write partition=long,time=240 say."
            )
        name, value = match[1].replace("_", "-"), match[2]
        if name in OURS:
            raise UserError(f"--slurm {name} cannot be set: {OURS[name]}.")
        found[name] = True if value is None else value
    return found


def check_slurm() -> None:
    """See whether this machine can hand in jobs.

    Raises:
        UserError: there is no Slurm, or submitit is not installed.
    """
    from importlib.util import find_spec

    for command in ("sbatch", "squeue", "srun"):
        if shutil.which(command) is None:
            raise UserError(
                f"--launcher slurm needs Slurm's {command}, which this machine does not have; "
                "go to the cluster's login node, or use --launcher local."
            )
    if find_spec("submitit") is None:
        raise UserError("--launcher slurm needs submitit; pip install 'rnnbench[slurm]'.")


def submit(tasks: Sequence[ArrayTask], folder: Path, name: str, parameters: Parameters) -> str:
    """Hand in the tasks as one array, and return its number.

    Args:
        tasks: What each is to do.
        folder: Where submitit keeps scripts, pickles and logs; every node sees it.
        name: What squeue shows.
        parameters: sbatch's options, instead of or beside `DEFAULTS`.

    Raises:
        UserError: Slurm refuses it.
    """
    from submitit import SlurmExecutor
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    # -P: else a folder named rnnbench, a clone, in the working folder would be taken for the package.
    executor = SlurmExecutor(folder, max_num_timeout=10**6, python=f"{shlex.quote(sys.executable)} -P")
    asked = {**DEFAULTS, **parameters}
    minutes = str(asked["time"])
    executor.update_parameters(
        job_name=name,
        time=int(minutes) if minutes.isdecimal() else 60,  # what submitit's own log says of it
        signal_delay_s=NOTICE,
        array_parallelism=len(tasks),
        # Since 22.05 srun asks for one processor whatever the job has.
        setup=["export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK"],
        additional_parameters=asked,
    )
    try:
        # submitit prints what sbatch says to stderr, and then raises it.
        with contextlib.redirect_stderr(io.StringIO()), executor.batch():
            jobs = [executor.submit(task) for task in tasks]
    except (FailedJobError, FailedSubmissionError) as error:
        lines = [line for line in str(error).splitlines() if line.startswith("sbatch: ")] or ["no reason is given"]
        reason = "; ".join(re.sub("^sbatch: (error: )?", "", line).strip(" .") for line in lines)
        raise UserError(f"sbatch refuses the array: {reason}; --slurm NAME=VALUE sets its options.") from None
    return str(jobs[0].job_id).partition("_")[0]


def queue() -> dict[str, list[Waiting]] | None:
    """This user's tasks that are queued, running or ending, by their array's number.

    None where Slurm does not answer, which says nothing about the tasks.
    """
    command = ["squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%F|%T|%r|%j"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    found: dict[str, list[Waiting]] = {}
    for line in done.stdout.splitlines():
        array, state, reason, name = line.strip().split("|", 3)
        if state not in OVER:
            found.setdefault(array, []).append(Waiting(name, state, reason))
    return found

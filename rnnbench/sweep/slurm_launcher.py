"""A sweep on a Slurm cluster: an array of tasks, each the ordinary local sweep, on one runs folder.

Each task leaves alone the runs that are finished or that a living process is at work on, so every run is done once,
whichever task does it. The process that submits the array only follows it: it can be ended and started again, and tasks
that are queued or running already are not submitted twice.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rnnbench.config import Run
from rnnbench.errors import UserError
from rnnbench.runs import Busy, RunDirectory, friendly, write_atomic
from rnnbench.runs.scan import last_step
from rnnbench.sweep.display import Display
from rnnbench.sweep.run_study import Launcher, Options, Outcome, pending
from rnnbench.sweep.slots import QueuedJob
from rnnbench.sweep.slurm_task import FOLDER, NOTICE, ArrayTask
from rnnbench.sweep.study import Job

#: sbatch's own options by their long names; True for one without a value.
Parameters = Mapping[str, str | bool]
#: An hour, after which a task is queued again, and one processor.
DEFAULTS: Parameters = {"time": "60", "cpus-per-task": "1", "requeue": True}
_ONE_TASK = "a task of the array is one process on one node; --jobs says how many there are"
#: What the launcher decides itself.
RESERVED = {
    "array": "--jobs says how many tasks there are",
    **dict.fromkeys(("output", "error"), "logs go to the study's folder slurm/"),
    "signal": "it is how a task learns that its time is over",
    "wrap": "what the tasks run is the sweep",
    **dict.fromkeys(("ntasks", "ntasks-per-node", "nodes"), _ONE_TASK),
}
#: States that a task does not come back from; everything else is queued, running or ending.
OVER = (
    "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED", "REVOKED",
    "TIMEOUT",
)  # fmt: skip
#: Tasks where no number is asked for; how often missing runs are submitted, as long as each round finishes something.
TASKS, ROUNDS = 8, 3
#: Seconds between two looks at the runs, and at the queue, which the whole cluster shares.
LOOK, ASK = 2.0, 10.0


@dataclass(frozen=True)
class QueuedTask:
    """A task in Slurm's queue; ``name`` is the array's, ``reason`` what the task waits for."""

    name: str
    state: str
    reason: str


def slurm_launcher(tasks: int | None, parameters: Parameters) -> Launcher:
    """The launcher of a cluster. Ctrl-C ends the following; the tasks go on.

    Args:
        tasks: Tasks at once, at most; None: `TASKS`. Each has as many workers as Slurm gives it processors.
        parameters: sbatch's own options, see `parse_parameters`.
    """
    check_slurm()

    def launch(jobs: Sequence[Job], root: Path, study: str, options: Options, display: Display) -> Outcome:
        for job in jobs:
            if not isinstance(job, Run) and not parameters.get("exclusive"):
                raise UserError(f"{job.id} is a timing, which needs a machine to itself; add --slurm exclusive.")
        return _Arrays(jobs, root.resolve(), study, options, display, tasks or TASKS, parameters).run()

    return launch


def check_slurm() -> None:
    """Raise a UserError where there is no Slurm, or submitit is not installed."""
    from importlib.util import find_spec

    for command in ("sbatch", "squeue", "srun"):
        if shutil.which(command) is None:
            raise UserError(
                f"--launcher slurm needs Slurm's {command}, which this machine does not have; "
                "go to the cluster's login node, or use --launcher local."
            )
    if find_spec("submitit") is None:
        raise UserError("--launcher slurm needs submitit; pip install 'rnnbench[slurm]'.")


def parse_parameters(texts: Iterable[str]) -> dict[str, str | bool]:
    """``partition=long,gres=gpu:1,exclusive`` as sbatch's options, by their long names.

    Raises:
        UserError: no name, or an option that is the launcher's to decide.
    """
    parameters: dict[str, str | bool] = {}
    for word in (word.strip() for text in texts for word in text.split(",")):
        match = re.fullmatch(r"(?:--)?([a-z][a-z0-9_-]+)(?:=(.+))?", word)
        if match is None or not word.isprintable():
            raise UserError(
                f"--slurm takes sbatch's long options as NAME=VALUE,NAME=VALUE,…, got {word!r}; "
                "write partition=long,time=240 say."
            )
        name = match[1].replace("_", "-")
        if name in RESERVED:
            raise UserError(f"--slurm {name} cannot be set: {RESERVED[name]}.")
        parameters[name] = match[2] or True
    return parameters


def submit(tasks: Sequence[ArrayTask], folder: Path, name: str, parameters: Parameters) -> str:
    """Submit the tasks as one array of that name, and return its number; scripts, pickles and logs go to the folder.

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
        time=int(minutes) if minutes.isdecimal() else 60,  # for submitit's own log alone
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


def queue() -> dict[str, list[QueuedTask]] | None:
    """This user's tasks that are queued, running or ending, by their array's number; None where Slurm is silent."""
    command = ["squeue", "--noheader", "--array", "--states=all", f"--user={os.getuid()}", "--format=%F|%T|%r|%j"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    tasks: dict[str, list[QueuedTask]] = {}
    for line in done.stdout.splitlines():
        array, state, reason, name = line.strip().split("|", 3)
        if state not in OVER:
            tasks.setdefault(array, []).append(QueuedTask(name, state, reason))
    return tasks


class _Arrays:
    """The arrays of one study, followed in its run directories and in Slurm's queue."""

    def __init__(
        self, jobs: Sequence[Job], root: Path, study: str, options: Options, display: Display, tasks: int,
        parameters: Parameters,
    ) -> None:  # fmt: skip
        self.root, self.study, self.options, self.display = root, study, options, display
        self.tasks, self.parameters = tasks, parameters
        self.folder, self.name = root / study / FOLDER, f"rnnbench-{study}"
        self.arrays: list[str] = []
        with friendly(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        for job, result in pending(jobs, root, study, options.retry):
            if result is not None:  # withdrawn here and once, and not by every task
                with suppress(Busy):
                    RunDirectory(root, study, job.id).withdraw(result)
        left = [job for job, _ in pending(jobs, root, study, frozenset())]
        self.missing = {job.id: QueuedJob(job, RunDirectory(root, study, job.id)) for job in left}
        self.outcome = Outcome(skipped=[job.id for job in jobs if job.id not in self.missing])
        self._begun: set[str] = set()
        self._note = ""
        display.start(len(jobs), len(self.outcome.skipped), {id: one.weight for id, one in self.missing.items()})

    def run(self) -> Outcome:
        """Do every job without a result, and follow the tasks until there is nothing to wait for."""
        rounds = 0
        try:
            while self.missing:
                under_way = self._under_way()
                covered = set().union(*under_way.values(), self._refusals())
                uncovered = [one.job for id, one in self.missing.items() if id not in covered]
                arrays = list(under_way)
                if uncovered and rounds < ROUNDS:
                    rounds += 1
                    arrays.append(self._submit(uncovered))
                elif not arrays:
                    break
                self.arrays += [array for array in arrays if array not in self.arrays]
                before = len(self.missing)
                self._follow(arrays)
                if uncovered and len(self.missing) == before:
                    break
        except KeyboardInterrupt:
            if self.arrays:
                these = " ".join(self.arrays)
                self.display.note(f"the tasks go on; the same command follows them, and scancel {these} ends them")
            self.outcome.stopped = True
            return self.outcome
        said = self._refusals()
        for id, one in self.missing.items():
            reason = said.get(id) or self._silence()
            self.outcome.end(id, "missing", reason)
            self.display.end(id, one.job.label, "missing", reason)
        return self.outcome

    def _submit(self, jobs: list[Job]) -> str:
        """Submit an array, and leave a note in the folder that it is there."""
        count = min(self.tasks, len(jobs))
        variables = {name: value for name, value in os.environ.items() if name.startswith("RNNBENCH_")}
        options = dataclasses.replace(self.options, retry=frozenset())
        tasks = [
            ArrayTask(tuple(jobs), self.root, self.study, dataclasses.replace(options, offset=offset), variables)
            for offset in (index * len(jobs) // count for index in range(count))
        ]
        array = submit(tasks, self.folder, self.name, self.parameters)
        write_atomic(self.folder / f"{array}-runs.json", json.dumps([job.id for job in jobs]).encode())
        return array

    def _under_way(self) -> dict[str, set[str]]:
        """The arrays of the study that Slurm still has tasks of, each with the runs that it is to do."""
        notes = {path.name.removesuffix("-runs.json"): path for path in self.folder.glob("*-runs.json")}
        if not notes:
            return {}
        if (queued := queue()) is None:
            raise UserError("Slurm does not answer squeue; say the same again once its controller is back.")
        arrays = {}
        for array, path in notes.items():
            # By name too: on another cluster, the number may be another job's.
            if any(task.name == self.name for task in queued.get(array, [])):
                with suppress(OSError, ValueError):
                    arrays[array] = set(json.loads(path.read_text()))
            else:
                path.unlink(missing_ok=True)
        return arrays

    def _refusals(self) -> dict[str, str]:
        """Why the tasks of our arrays could not do some runs: a sentence by the run's id."""
        said: dict[str, str] = {}
        for path in (path for array in self.arrays for path in sorted(self.folder.glob(f"{array}-trouble-*.json"))):
            with suppress(OSError, ValueError):
                said |= json.loads(path.read_text())
        return said

    def _silence(self) -> str:
        """Why a run is missing of which no task said anything."""
        if any(path for array in self.arrays for path in self.folder.glob(f"{array}_*_log.*")):
            return f"no task of Slurm's array {', '.join(self.arrays)} finished it; its logs are in {self.folder}"
        return f"the tasks wrote nothing to {self.folder}; choose an --out that all nodes of the cluster share"

    def _follow(self, arrays: Sequence[str]) -> None:
        """Look again and again until no run is missing, or no task of these arrays is left that could do one."""
        self.display.note(f"array {', '.join(arrays)} of Slurm; its logs are in {self.folder}")
        gone, begin, asked = 0, time.monotonic(), float("-inf")
        while self._look() and gone < 2:
            now = time.monotonic()
            if now - asked >= min(max(ASK, (now - begin) / 30), 60.0):  # the longer it takes, the more rarely
                asked, queued = now, queue()
                left = None if queued is None else [task for array in arrays for task in queued.get(array, [])]
                # Twice, for what a task did last may take a while to be seen from here.
                gone = gone + 1 if left == [] else 0
                self._note_queue(left)
            time.sleep(max(LOOK, len(self.missing) / 100))

    def _look(self) -> bool:
        """Show what has become of the missing runs; whether any is missing still."""
        for id, one in list(self.missing.items()):
            result, step = one.directory.result(), last_step(one.directory.folder)
            if id not in self._begun and (result is not None or step is not None):
                self._begun.add(id)
                self.display.begin(id, one.job.label)
            if result is not None:
                del self.missing[id]
                sentence = str(result.get("error", ""))
                self.outcome.end(id, result["status"], sentence)
                self.display.end(id, one.job.label, result["status"], sentence, result)
            elif step is not None and isinstance(one.job, Run):
                self.display.update(id, step, one.job.steps, "train")
        return bool(self.missing)

    def _note_queue(self, left: Sequence[QueuedTask] | None) -> None:
        """Say what the tasks wait for, once."""
        waiting = [task for task in left or () if task.state == "PENDING"]
        why = ", ".join(sorted({task.reason for task in waiting} - {"None"}))
        note = f"{len(waiting)} of {len(left or ())} tasks wait: {why}" if why else ""
        if left is None:
            note = "Slurm does not answer squeue; the runs are followed on"
        if note and note != self._note:
            self._note = note
            self.display.note(note)

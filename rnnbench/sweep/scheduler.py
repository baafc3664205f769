"""Local workers: a process a job, forked from a server that has the imports done, one thread each."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType

from rnnbench.config import Run
from rnnbench.runs import STATUSES, Busy, RunDirectory, Start, StorageError
from rnnbench.sweep.display import Display
from rnnbench.sweep.outcome import Options, Outcome, pending
from rnnbench.sweep.queued_jobs import DELAYS, QueuedJob, Source
from rnnbench.sweep.slots import DeviceSlot, DeviceSlots, WorkerProcess
from rnnbench.sweep.study import Job
from rnnbench.sweep.worker import Attempt, prepare, settings, work
from rnnbench.system.processes import forkserver


class Scheduler:
    """Does every job that the ledger has no result for.

    A job that fails is recorded and the others go on. A job whose process is killed goes on from its checkpoint, after
    a pause, a few times. What another sweep is doing is left to it, and waited for; should that one die, its runs are
    taken over. A timing has the machine to itself, whatever the number of workers.

    Args:
        jobs: What is to be done.
        root: The runs folder, which can be written.
        study: The study's name.
        options: How.
        display: What shows it.
    """

    def __init__(self, jobs: Sequence[Job], root: Path, study: str, options: Options, display: Display) -> None:
        self.root, self.study, self.options, self.display = root, study, options, display
        todo = pending(jobs, root, study, options.retry)
        tasks = [QueuedJob(job, RunDirectory(root, study, job.id), Attempt(), withdrawn) for job, withdrawn in todo]
        # Runs before timings; the longest first, so that the last worker is not left alone with a long one.
        tasks.sort(key=lambda task: (not isinstance(task.job, Run), -task.weight))
        first = options.offset % len(tasks) if tasks else 0
        waiting = {task.job.id for task in tasks}
        self.outcome = Outcome(skipped=[job.id for job in jobs if job.id not in waiting])
        self._waiting = tasks[first:] + tasks[:first]
        self._elsewhere: list[QueuedJob] = []
        self._slots: list[WorkerProcess] = []
        #: What became of the data: "" once they are ready, why they cannot be had, or None as long as that is open.
        self._sources: dict[Source, str | None] = {None: ""}
        self._mishaps: Counter[Source] = Counter()
        self._wandb = options.wandb
        self._stopping = False
        display.start(len(jobs), len(self.outcome.skipped), {task.job.id: task.weight for task in tasks})

    def run(self) -> Outcome:
        """Do it all; returns when every job has ended, or after `stop` when every worker has."""
        if not self._waiting:
            return self.outcome
        self._places = DeviceSlots(self.options.workers)
        extra = ["wandb"] if self.options.wandb != "disabled" else []
        self._context = forkserver(["rnnbench.training", "rnnbench.throughput.measure", *extra])
        with self._signals():
            try:
                while self._slots or (not self._stopping and self._left()):
                    if self._stopping:
                        self._end_slots()
                    else:
                        self._look_elsewhere()
                        self._fill()
                    self._listen()
                    for slot in self._slots:
                        slot.mind_the_time(self.options.timeout)
            finally:
                for slot in self._slots:
                    slot.process.kill()
                    slot.process.join()
        self.outcome.stopped = self._stopping
        return self.outcome

    def stop(self) -> None:
        """Start nothing more; let the workers write their checkpoints and end.

        It only says so to the loop: a signal's handler may have come in the middle of a line that is being printed.
        """
        self._stopping = True

    def _end_slots(self) -> None:
        if any(slot.told_to_stop is None for slot in self._slots):
            self.display.note(f"stopping, {len(self._slots)} at work write their checkpoints; Ctrl-C again: at once")
        for slot in self._slots:
            slot.end()

    def _left(self) -> bool:
        """Is there anything to do, or to wait for?"""
        return bool(self._waiting) or any(self.options.wait or not task.watch.lives for task in self._elsewhere)

    # --- what is next ---------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Start what there is room for."""
        for task in list(self._waiting):
            busy = [(slot.task, slot.place) for slot in self._slots]
            if self._places.full(busy):
                return
            if task.source not in self._sources:
                self._prepare(task)
            elif reason := self._sources[task.source]:
                self._end(task, "refused", reason)
            elif reason is not None and task.not_before <= time.monotonic():
                place = self._places.find(task, busy)
                if place is not None and not self._taken(task):
                    self._launch(task, place)

    def _prepare(self, task: QueuedJob) -> None:
        assert isinstance(task.job, Run)
        if not self._mishaps[task.source]:
            self.display.note(f"reading {task.job.data.label} and its reference lines")
        self._sources[task.source] = None
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=prepare, args=(task.job, settings(), theirs))
        process.start()
        theirs.close()
        self._slots.append(WorkerProcess(process, ours, task.source, None, DeviceSlot()))

    def _taken(self, task: QueuedJob) -> bool:
        """Has another sweep done it, or is one at it? A result that is to be tried again is taken back."""
        result = task.directory.result()
        if result is not None and result != task.withdrawn:
            self._end(task, result["status"], "", result)
            return True
        if not task.watch.over():
            self._leave(task)
            return True
        if result is not None:
            try:
                task.directory.withdraw(result, task.watch.state)
            except Busy:
                self._leave(task)
                return True
            except StorageError as error:
                self._after(task, "storage", str(error))
                return True
        return False

    def _launch(self, task: QueuedJob, place: DeviceSlot) -> None:
        self._waiting.remove(task)
        over = task.watch.state
        here = {"wandb": self._wandb, "workers": self._places.workers, "gpu": place.gpu, "over": over}
        attempt = dataclasses.replace(task.attempt, **here)  # type: ignore[arg-type]
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=work, args=(task.job, self.root, self.study, attempt, settings(), theirs), name=task.job.id
        )
        process.start()
        theirs.close()
        self._slots.append(WorkerProcess(process, ours, task.source, task, place))
        self.display.begin(task.job.id, task.job.label)

    # --- what others do -------------------------------------------------------------------------------------------

    def _leave(self, task: QueuedJob) -> None:
        """To the sweep that is at it."""
        if task in self._waiting:
            self._waiting.remove(task)
        self._elsewhere.append(task)
        who = task.watch.state.who if task.watch.state is not None else "another process"
        self.display.note(f"{task.job.label} is left to {who}")

    def _look_elsewhere(self) -> None:
        for task in list(self._elsewhere):
            result = task.directory.result()
            if result is not None and result != task.withdrawn:
                self._elsewhere.remove(task)
                self._end(task, result["status"], "", result)
            elif task.watch.over():
                self._elsewhere.remove(task)
                self._waiting.insert(0, task)

    # --- what the workers say -------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take what the workers say; clear the slots of those that are gone."""
        by_pipe = {slot.pipe: slot for slot in self._slots}
        if not by_pipe:
            time.sleep(0.2)
        for pipe in wait(list(by_pipe), timeout=0.5):
            assert isinstance(pipe, Connection)
            slot = by_pipe[pipe]
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                self._close(slot)
                continue
            if message[0] == "end":
                slot.ended = (message[1], message[2])
            elif message[0] == "offline":
                self._go_offline()
            elif slot.task is not None:
                slot.step = message[1:3]
                self.display.update(slot.task.job.id, *message[1:])

    def _go_offline(self) -> None:
        """One worker has waited for W&B's server in vain: the next ones need not."""
        if self._wandb == "online":
            self._wandb, self.outcome.offline = "offline", True
            self.display.note("W&B is out of reach: the next runs are logged offline, `wandb sync` uploads them later")

    def _close(self, slot: WorkerProcess) -> None:
        slot.process.join()
        slot.pipe.close()
        self._slots.remove(slot)
        status, sentence = slot.ended or slot.death()
        if slot.task is None:
            self._close_data(slot.source, status, sentence)
            return
        task = slot.task
        if slot.overdue and status not in STATUSES:
            sentence = f"took longer than {self.options.timeout:g} s, at step {slot.step[0]} of {slot.step[1]}"
            status, sentence = self._record(task, "timeout", slot.start, sentence)
        if status == "busy":
            task.watch.over()
            self._leave(task)
        else:
            shared = any(other.place.gpu == slot.place.gpu is not None for other in self._slots)
            self._after(task, status, sentence, shared, slot.start)

    def _close_data(self, source: Source, status: str, sentence: str) -> None:
        if status in ("died", "starved", "stopped"):
            self._mishaps[source] += 1
            if self._mishaps[source] <= len(DELAYS):
                del self._sources[source]
                return
            sentence = f"the data could not be read: {sentence}"
        self._sources[source] = "" if status == "done" else sentence

    # --- what an end means ----------------------------------------------------------------------------------------

    def _after(
        self, task: QueuedJob, status: str, sentence: str, shared: bool = False, start: Start | None = None
    ) -> None:
        """A result, another attempt, or the end without a result."""
        result = task.directory.result()
        if status in STATUSES and result is not None:
            self._end(task, status, sentence, result)
        elif self._stopping:
            self.display.end(task.job.id, task.job.label, "stopped", "the same command goes on from its checkpoint")
        elif (remedy := task.remedy(status, shared)) is not None:
            self.display.again(task.job.id, task.job.label, f"{sentence}: {remedy}")
            if task not in self._waiting:
                self._waiting.insert(0, task)
        else:
            if status in ("memory", "starved"):
                status, sentence = self._record(task, "oom", start or Start(), sentence)
            self._end(task, status, sentence, task.directory.result())
            if status == "storage":
                # The others write to the same disk: each of them would take as long to find that out.
                for other in list(self._waiting):
                    self._end(other, "storage", sentence)

    def _record(self, task: QueuedJob, status: str, start: Start, sentence: str) -> tuple[str, str]:
        """Write the result of a run whose worker cannot."""
        try:
            with task.directory.opened(task.job.to_dict()) as directory:
                parts = task.attempt.micro_batches
                how = {"micro_batches": parts} if parts > 1 else {}
                known = directory.result() or directory.finish(task.job, status, start, {}, how, error=sentence)
            return known["status"], sentence
        except Busy as error:
            return "busy", str(error)
        except StorageError as error:
            return "storage", str(error)

    def _end(self, task: QueuedJob, status: str, sentence: str, result: dict[str, object] | None = None) -> None:
        if task in self._waiting:
            self._waiting.remove(task)
        if status in ("done", "diverged"):
            self.outcome.finished.append(task.job.id)
        else:
            self.outcome.trouble.append((task.job.id, sentence or str((result or {}).get("error", status))))
        self.display.end(task.job.id, task.job.label, status, sentence, result)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM, or a terminal that is closed) stops with checkpoints, the second at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def told(number: int, frame: FrameType | None) -> None:
            if self._stopping:
                raise KeyboardInterrupt
            self.stop()

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, told) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

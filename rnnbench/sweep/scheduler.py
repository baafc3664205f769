"""The scheduler: does the jobs of a sweep on this machine, each in a worker process with one thread."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any

from rnnbench.config import Run
from rnnbench.runs import STATUSES, Busy, RunDirectory, Start, StorageError
from rnnbench.sweep import slots
from rnnbench.sweep.display import Display
from rnnbench.sweep.run_study import Options, Outcome, pending
from rnnbench.sweep.slots import DeviceSlot, DeviceSlots, QueuedJob, Source
from rnnbench.sweep.study import Job
from rnnbench.sweep.worker import Attempt, WorkerProcess, prepare, record, work
from rnnbench.system.processes import forkserver


def locally(jobs: Sequence[Job], root: Path, study: str, options: Options, display: Display) -> Outcome:
    """The launcher of this machine."""
    return Scheduler(jobs, root, study, options, display).run()


class Scheduler:
    """Does every job without a result.

    A job that fails is recorded and the others go on. A job whose process is killed resumes from its checkpoint, after
    a pause, a few times. A run that another sweep holds is waited for; should that sweep die, its runs are
    taken over. A timing has the machine to itself, whatever the number of workers.

    Args:
        root: The runs folder, which can be written.
        study: The study's name.
    """

    def __init__(self, jobs: Sequence[Job], root: Path, study: str, options: Options, display: Display) -> None:
        self.root, self.study, self.options, self.display = root, study, options, display
        todo = pending(jobs, root, study, options.retry)
        queue = [QueuedJob(job, RunDirectory(root, study, job.id), withdrawn) for job, withdrawn in todo]
        # Runs before timings; the longest first, so that the last worker is not left alone with a long one.
        queue.sort(key=lambda queued: (not isinstance(queued.job, Run), -queued.weight))
        first = options.offset % len(queue) if queue else 0
        weights = {queued.job.id: queued.weight for queued in queue}
        self.outcome = Outcome(skipped=[job.id for job in jobs if job.id not in weights])
        self._waiting = queue[first:] + queue[:first]
        self._elsewhere: list[QueuedJob] = []
        self._workers: list[WorkerProcess] = []
        #: What became of the data: "" once they are ready, why they cannot be had, or None as long as that is open.
        self._sources: dict[Source, str | None] = {None: ""}
        self._source_failures: Counter[Source] = Counter()
        self._wandb = options.wandb
        self._stopping = False
        display.start(len(jobs), len(self.outcome.skipped), weights)

    def run(self) -> Outcome:
        """Do it all; returns when every job has ended, or after `stop` when every worker has."""
        if not self._waiting:
            return self.outcome
        self._slots = DeviceSlots(self.options.workers)
        extra = ["wandb"] if self.options.wandb != "disabled" else []
        self._context = forkserver(["rnnbench.training", "rnnbench.throughput.measure", *extra])
        with self._signals():
            try:
                while self._workers or (not self._stopping and self._left()):
                    if self._stopping:
                        self._stop_workers()
                    else:
                        self._look_elsewhere()
                        self._fill()
                    self._listen()
                    for worker in self._workers:
                        worker.enforce(self.options.timeout)
            finally:
                for worker in self._workers:
                    worker.process.kill()
                    worker.process.join()
        self.outcome.stopped = self._stopping
        return self.outcome

    def stop(self) -> None:
        """Start nothing more; let the workers write their checkpoints and end.

        It only sets a flag for the loop: a signal's handler may have come in the middle of a line that is printed.
        """
        self._stopping = True

    def _stop_workers(self) -> None:
        if any(worker.stop_time is None for worker in self._workers):
            self.display.note(f"stopping, {len(self._workers)} at work write their checkpoints; Ctrl-C again: at once")
        for worker in self._workers:
            worker.stop()

    def _left(self) -> bool:
        """Is there anything to do, or to wait for?"""
        return bool(self._waiting) or any(self.options.wait or not one.watch.lives for one in self._elsewhere)

    # --- what is next ---------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        """Start what there are slots for."""
        for queued in list(self._waiting):
            running = [(worker.queued, worker.slot) for worker in self._workers]
            if self._slots.full(running):
                return
            if queued.source not in self._sources:
                self._prepare(queued)
            elif reason := self._sources[queued.source]:
                self._end(queued, "refused", reason)
            elif reason is not None and queued.not_before <= time.monotonic():
                slot = self._slots.find(queued, running)
                if slot is not None and not self._taken(queued):
                    self._launch(queued, slot)

    def _prepare(self, queued: QueuedJob) -> None:
        """Start to read the data of a run."""
        assert isinstance(queued.job, Run)
        if not self._source_failures[queued.source]:
            self.display.note(f"reading {queued.job.data.label} and its reference lines")
        self._sources[queued.source] = None
        self._workers.append(WorkerProcess(self._context, prepare, (queued.job,), source=queued.source))

    def _done(self, queued: QueuedJob, result: dict[str, Any] | None) -> bool:
        """Is this a result by another sweep?"""
        if result is None or result == queued.withdrawn:
            return False
        self._end(queued, result["status"], "", result)
        return True

    def _taken(self, queued: QueuedJob) -> bool:
        """Has another sweep done it, or is one at it? A result that is to be tried again is withdrawn."""
        result = queued.directory.result()
        if self._done(queued, result):
            return True
        try:
            if not queued.watch.available():
                raise Busy
            if result is not None:
                queued.directory.withdraw(result, queued.watch.state)
        except Busy:
            self._leave(queued)
            return True
        except StorageError as error:
            self._after(queued, "storage", str(error))
            return True
        return False

    def _launch(self, queued: QueuedJob, slot: DeviceSlot) -> None:
        self._waiting.remove(queued)
        job, workers = queued.job, self._slots.workers
        attempt = Attempt(self._wandb, workers, slot.gpu, queued.micro_batches, queued.watch.state)
        args = (job, self.root, self.study, attempt)
        self._workers.append(WorkerProcess(self._context, work, args, queued, queued.source, slot))
        self.display.begin(job.id, job.label)

    # --- what other sweeps do -------------------------------------------------------------------------------------

    def _leave(self, queued: QueuedJob) -> None:
        """Leave a job to the sweep that is at it."""
        if queued in self._waiting:
            self._waiting.remove(queued)
        self._elsewhere.append(queued)
        who = queued.watch.state.holder_name if queued.watch.state is not None else "another process"
        self.display.note(f"{queued.job.label} is being run by {who}")

    def _look_elsewhere(self) -> None:
        for queued in list(self._elsewhere):
            if self._done(queued, queued.directory.result()):
                self._elsewhere.remove(queued)
            elif queued.watch.available():
                self._elsewhere.remove(queued)
                self._waiting.insert(0, queued)

    # --- what the workers report ----------------------------------------------------------------------------------

    def _listen(self) -> None:
        """Take the workers' messages; close those that are gone."""
        by_pipe = {worker.pipe: worker for worker in self._workers}
        if not by_pipe:
            time.sleep(0.2)
        for pipe in wait(list(by_pipe), timeout=0.5):
            assert isinstance(pipe, Connection)
            worker = by_pipe[pipe]
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                self._close(worker)
                continue
            if message[0] == "end":
                worker.ended = (message[1], message[2])
            elif message[0] == "offline":
                self._go_offline()
            elif worker.queued is not None:
                worker.step = message[1:3]
                self.display.update(worker.queued.job.id, *message[1:])

    def _go_offline(self) -> None:
        """One worker has waited for W&B's server in vain: the next ones need not."""
        if self._wandb == "online":
            self._wandb, self.outcome.offline = "offline", True
            self.display.note("W&B is out of reach: the next runs are logged offline, `wandb sync` uploads them later")

    def _close(self, worker: WorkerProcess) -> None:
        worker.process.join()
        worker.pipe.close()
        self._workers.remove(worker)
        status, sentence = worker.exit_reason()
        queued = worker.queued
        if queued is None:
            self._close_data(worker.source, status, sentence)
            return
        if worker.timed_out and status not in STATUSES:
            sentence = f"took longer than {self.options.timeout:g} s, at step {worker.step[0]} of {worker.step[1]}"
            status, sentence = self._record(queued, "timeout", worker.start, sentence)
        if status == "busy":
            queued.watch.available()
            self._leave(queued)
        else:
            shared = any(other.slot.gpu == worker.slot.gpu is not None for other in self._workers)
            self._after(queued, status, sentence, shared, worker.start)

    def _close_data(self, source: Source, status: str, sentence: str) -> None:
        if status in ("died", "starved", "stopped"):
            self._source_failures[source] += 1
            if self._source_failures[source] <= len(slots.DELAYS):
                del self._sources[source]
                return
            sentence = f"the data could not be read: {sentence}"
        self._sources[source] = "" if status == "done" else sentence

    # --- what follows from an exit reason -------------------------------------------------------------------------

    def _after(
        self, queued: QueuedJob, status: str, sentence: str, shared: bool = False, start: Start | None = None
    ) -> None:
        """A result, another attempt, or the end without a result."""
        result = queued.directory.result()
        if status in STATUSES and result is not None:
            self._end(queued, status, sentence, result)
        elif self._stopping:
            self.display.end(queued.job.id, queued.job.label, "stopped", "the same command resumes from its checkpoint")
        elif (change := queued.retry(status, shared)) is not None:
            self.display.again(queued.job.id, queued.job.label, f"{sentence}: {change}")
            if queued not in self._waiting:
                self._waiting.insert(0, queued)
        else:
            if status in ("memory", "starved"):
                status, sentence = self._record(queued, "oom", start or Start(), sentence)
            self._end(queued, status, sentence, queued.directory.result())
            if status == "storage":
                # The others write to the same disk: each of them would take as long to find that out.
                for other in list(self._waiting):
                    self._end(other, "storage", sentence)

    def _record(self, queued: QueuedJob, status: str, start: Start, sentence: str) -> tuple[str, str]:
        """Write the result of a run whose worker cannot."""
        return record(queued.job, queued.directory, status, start, sentence, queued.micro_batches)

    def _end(self, queued: QueuedJob, status: str, sentence: str, result: dict[str, Any] | None = None) -> None:
        if queued in self._waiting:
            self._waiting.remove(queued)
        self.outcome.end(queued.job.id, status, sentence or str((result or {}).get("error", status)))
        self.display.end(queued.job.id, queued.job.label, status, sentence, result)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first Ctrl-C (or SIGTERM, or a terminal that is closed) stops with checkpoints, the second at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: FrameType | None) -> None:
            if self._stopping:
                raise KeyboardInterrupt
            self.stop()

        before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

"""The other processes of a run that several devices train together, a device each.

The first process, rank 0, is the one that `train` was called in. It starts the others, which train in step with it,
row for row of each batch, and leave when the training is over; it alone probes, writes and evaluates. They die with it,
however it ends, and what ends one of them ends the run. Where torchrun has started the processes, none is.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
import torch.distributed as dist

from rnnbench.config import Run
from rnnbench.data.source import generator
from rnnbench.errors import UserError, told
from rnnbench.runs import CHECKPOINT, RunDirectory
from rnnbench.system import machine
from rnnbench.system.processes import forkserver
from rnnbench.system.signals import Stopped
from rnnbench.training.checkpoints import SharedResumePoint
from rnnbench.training.fitting import PATIENCE, built, fit, quieten
from rnnbench.training.micro_batches import BatchSplit

#: Seconds that the end of a training may take, and those after which a GPU that waits for a dead process is given up.
LEAVE, GRACE = 30.0, 20.0


def division(device: str, devices: int, micro_batches: int) -> BatchSplit:
    """This process's share of a run.

    Args:
        device: cpu or cuda.
        devices: How many processes there are to be.
        micro_batches: Parts that each cuts its rows into.

    Raises:
        UserError: there are not so many devices, or torchrun has started another number of processes.
    """
    for name, value in (("devices", devices), ("micro_batches", micro_batches)):
        if value < 1:
            raise UserError(f"{name} must be at least 1, got {value}.")
    if device != "cuda":
        machine.check_at_once("devices", devices)
    elif devices > (found := torch.cuda.device_count()):
        raise UserError(f"devices {devices} asks for more GPUs than the {found} that torch sees here; take fewer.")
    if not _by_torchrun():
        return BatchSplit(devices, 0, micro_batches)
    world = int(os.environ["WORLD_SIZE"])
    if world != int(os.environ.get("LOCAL_WORLD_SIZE", world)):
        raise UserError("torchrun was started on several machines, and a run is trained on one; use --nnodes 1.")
    if world != devices:
        raise UserError(f"torchrun has started {world} processes, and devices is {devices}; give --devices {world}.")
    return BatchSplit(devices, int(os.environ["RANK"]), micro_batches)


def take_part(
    run: Run,
    directory: RunDirectory,
    division: BatchSplit,
    device: str,
    port: int | None = None,
    ready: Any = lambda: None,
) -> None:
    """What a process of another rank than 0 does.

    Args:
        run: What to do.
        directory: The run's, in which nothing is written here.
        division: Which share of it is this process's.
        device: cpu or cuda.
        port: Where the first process is met; None: where torchrun says.
        ready: Called once nothing but the others is waited for.
    """
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)  # the first process's business
    if device == "cuda":
        torch.cuda.set_device(division.rank)
        device = f"cuda:{division.rank}"
    data, module = built(run, division, device)
    torch.manual_seed(generator(run.seed, "rank", division.rank).initial_seed())  # dropout: no two ranks the same
    ready()
    store = dist.TCPStore("127.0.0.1", port, division.devices, False, PATIENCE) if port is not None else None
    resumed = _meet(division, store, module.device, False)
    try:
        path = directory.path(CHECKPOINT)
        fit(run, data, module, directory, None, [SharedResumePoint(path, run)], path if resumed else None)
    except Stopped:
        return
    finally:
        dist.destroy_process_group()


class DdpWorkers:
    """Ranks 1 to N − 1, from the `with` on: they read their data while the first process does what it alone does.

    Args:
        run: What to do.
        directory: The run's.
        division: The first process's.
        device: cpu or cuda.
        threads: Intra-op threads of each.
    """

    def __init__(self, run: Run, directory: RunDirectory, division: BatchSplit, device: str, threads: int) -> None:
        self.division = division
        self._job = (run, directory, device, threads)
        self._store: dist.TCPStore | None = None
        self._processes: list[BaseProcess] = []
        self._pipes: list[Connection] = []
        self._failures: list[BaseException] = []
        self._failed = threading.Event()

    def __enter__(self) -> DdpWorkers:
        run, directory, device, threads = self._job
        if self.division.devices == 1 or run.steps == 0 or _by_torchrun():
            return self
        self._store = dist.TCPStore("127.0.0.1", 0, self.division.devices, True, PATIENCE, wait_for_workers=False)
        context = forkserver(["rnnbench.training"])
        root = directory.folder.parent.parent
        for rank in range(1, self.division.devices):
            ours, theirs = context.Pipe()
            share = BatchSplit(self.division.devices, rank, self.division.micro_batches)
            arguments = (run, root, directory.study, share, device, threads, self._store.port, theirs)
            process = context.Process(target=_companion, args=arguments, daemon=True, name=f"rank {rank}")
            process.start()
            theirs.close()
            self._processes.append(process)
            self._pipes.append(ours)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
            process.join()

    @contextmanager
    def met(self, resumed: bool) -> Iterator[None]:
        """While it lasts all are in step.

        Args:
            resumed: Whether they are to go on from the run's checkpoint.

        Raises:
            Exception: what ended another process, where that is what ended the training.
        """
        if self.division.devices == 1:
            yield
            return
        for pipe, process in zip(self._pipes, self._processes, strict=True):
            _heard(pipe, process)
        if self._pipes:
            threading.Thread(target=self._watch, daemon=True).start()
        _meet(self.division, self._store, torch.device(self._job[2]), resumed)
        try:
            yield
        except Exception:
            # An exchange breaks off at once where the other end has died, and the watch hears the reason of that.
            if self._failed.wait(2.0):
                time.sleep(0.5)  # the reason may come a little later than what follows from it in a third process
                raise self._reason() from None
            raise
        finally:
            self._pipes.clear()
            dist.destroy_process_group()
        for process in self._processes:
            process.join(LEAVE)

    def _watch(self) -> None:
        """Notes what ended a process."""
        partners = dict(zip(self._pipes, self._processes, strict=True))
        while partners:
            for pipe in wait(list(partners)):
                assert isinstance(pipe, Connection)
                process = partners.pop(pipe)
                try:
                    _heard(pipe, process)
                except BaseException as error:
                    self._failures.append(error)
                    if self._job[2] == "cuda" and not self._failed.is_set():
                        threading.Thread(target=self._give_up, daemon=True).start()
                    self._failed.set()

    def _reason(self) -> BaseException:
        """What ended the first of those that have ended: not that the connection to it broke off."""
        own = [error for error in self._failures if not (isinstance(error, RuntimeError) and "gloo" in str(error))]
        return [*own, *self._failures][0]

    def _give_up(self) -> None:
        """A GPU waits without an end for a process that is dead."""
        time.sleep(GRACE)
        if self._pipes:
            print(f"rnnbench: another process of the run ended ({_one_line(self._reason())}).", file=sys.stderr)
            os._exit(1)


def _companion(
    run: Run, root: Path, study: str, division: BatchSplit, device: str, threads: int, port: int, pipe: Connection
) -> None:
    """The main function of another rank."""
    threading.Thread(target=_die_with_the_first, args=(pipe,), daemon=True).start()
    try:
        machine.prepare(threads)
        quieten()
        take_part(run, RunDirectory(root, study, run.id), division, device, port, lambda: pipe.send(None))
        pipe.send(None)
    except BaseException as error:
        pipe.send(_portable(error))


def _die_with_the_first(pipe: Connection) -> None:
    """The first process never sends anything: when its end closes, it is gone."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


def _heard(pipe: Connection, process: BaseProcess) -> None:
    """Wait for a process to say that it has come so far; raises what it says otherwise."""
    try:
        said = pipe.recv()
    except (EOFError, OSError):
        process.join(5.0)
        said = RuntimeError(f"the process of {process.name} ended with code {process.exitcode}")
    if said is not None:
        raise said


def _meet(division: BatchSplit, store: dist.Store | None, device: torch.device, resumed: bool) -> bool:
    """Form the group of processes; returns whether the first one resumes."""
    backend = "nccl" if device.type == "cuda" else "gloo"
    if store is not None:
        if sys.platform == "linux":
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are here: no one else need hear
        dist.init_process_group(backend, store=store, rank=division.rank, world_size=division.devices, timeout=PATIENCE)
    else:
        dist.init_process_group(backend, timeout=PATIENCE)
    word = torch.tensor(int(resumed), device=device)
    dist.broadcast(word, 0)
    return bool(word.item())


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _portable(error: BaseException) -> BaseException:
    """The error as it can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(_one_line(error))


def _one_line(error: BaseException) -> str:
    return told(error) if isinstance(error, Exception) else type(error).__name__

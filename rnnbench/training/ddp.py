"""A run whose batches several processes of this machine share, a device each.

torchrun starts the processes: its agent in this process (`launch`) where the user asked for ``--devices N``, else the
user. Each calls `rnnbench.training.train`; rank 0 alone probes, writes and evaluates. What ends one process ends all.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from rnnbench.config import Run
from rnnbench.errors import UserError, told
from rnnbench.runs import Progress
from rnnbench.system import machine, signals
from rnnbench.system.processes import forkserver
from rnnbench.system.signals import Stopped
from rnnbench.training.micro_batches import BatchSplit

#: How long one process may wait for another: rank 0 probes before the first step, and validates, while others wait.
TIMEOUT = timedelta(hours=6)
#: Seconds that a process whose training failed waits before it exits: one that was killed is noticed first then.
EXIT_DELAY = 0.5


def by_torchrun() -> bool:
    """Whether torchrun, or `launch`, has started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def batch_split(run: Run, device: str, devices: int, micro_batches: int) -> BatchSplit:
    """This process's share of a run's batches, on so many devices of a kind, cpu or cuda.

    Raises:
        UserError: there are not so many devices or rows, or torchrun has started another number of processes.
    """
    for name, value in (("devices", devices), ("micro_batches", micro_batches)):
        if value < 1:
            raise UserError(f"{name} must be at least 1, got {value}.")
    if device != "cuda":
        machine.check_at_once("devices", devices)
    elif devices > (count := torch.cuda.device_count()):
        raise UserError(f"devices {devices} asks for more GPUs than the {count} that torch sees here; take fewer.")
    split = BatchSplit(devices, 0, micro_batches)
    split.check(run.data.batch_size)
    if not by_torchrun():
        return split
    world = int(os.environ["WORLD_SIZE"])
    if world != int(os.environ.get("LOCAL_WORLD_SIZE", world)):
        raise UserError("torchrun was started on several machines, and a run is trained on one; use --nnodes 1.")
    if world != devices:
        raise UserError(f"torchrun has started {world} processes, and devices is {devices}; give --devices {world}.")
    return replace(split, rank=int(os.environ["RANK"]))


@contextmanager
def process_group(split: BatchSplit, device: torch.device, resume: Path | None) -> Iterator[Path | None]:
    """While it lasts all processes of the run are connected; yields the checkpoint that rank 0 resumes from.

    After an error the connections stay open until the process exits, so that the error is reported before those that
    follow from it in other processes.
    """
    if split.devices == 1:
        yield resume
        return
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all processes are on this machine
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=TIMEOUT)
    agreed = [resume]
    dist.broadcast_object_list(agreed, 0, device=device)
    try:
        yield agreed[0]
    except Stopped:
        dist.destroy_process_group()
        raise
    dist.destroy_process_group()


def launch(
    function: Callable[..., dict[str, Any]], arguments: Mapping[str, Any], devices: int, progress: Progress
) -> dict[str, Any]:
    """Call `train` in so many processes under torchrun's agent; a signal to this process is passed on to them.

    The arguments, all but ``progress``, are pickled; ``progress`` is called here with what rank 0 reports.

    Returns:
        What rank 0 returns.

    Raises:
        Exception: the error of the process that failed first. Stopped: a signal asked for it.
    """
    from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    for name in ("torch.distributed.elastic", "torch.multiprocessing"):  # tracebacks of errors that are raised here
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    receiver, sender = forkserver(["rnnbench.training"]).Pipe(duplex=False)
    ends: list[BaseException] = []
    reason: BaseException
    kind: Any  # of the message that says why, where there is one
    listener = threading.Thread(target=_listen, args=(receiver, progress, ends), daemon=True)
    listener.start()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    with tempfile.TemporaryDirectory() as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=devices,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",  # a port that is free
            local_addr="127.0.0.1",
            max_restarts=0,
            start_method="forkserver",
            logs_specs=DefaultLogsSpecs(log_dir=folder),
            signals_to_handle=",".join(n.name for n, handler in handlers.items() if handler is not signal.SIG_IGN),
        )
        try:
            result: dict[str, Any] = elastic_launch(config, _worker)(sender, function, arguments)[0]
            return result
        except SignalException as request:
            reason, kind = Stopped(request.sigval), Stopped
        except ChildFailedError as failed:
            rank, failure = failed.get_first_failure()
            reason, kind = RuntimeError(f"the process of rank {rank} ended with code {failure.exitcode}"), BaseException
            if failure.exitcode < 0:  # it has sent nothing
                name, kind = signal.Signals(-failure.exitcode).name, ()
                next_step = "the same command continues the run from its last checkpoint"
                reason = UserError(f"the process of rank {rank} was killed by {name}; {next_step}.")
        finally:
            sender.close()
            listener.join(5.0)
            if threading.current_thread() is threading.main_thread():
                for number, handler in handlers.items():
                    signal.signal(number, handler)
    raise next((message for message in ends if isinstance(message, kind)), reason)


def _listen(receiver: Connection, progress: Progress, ends: list[BaseException]) -> None:
    """Take messages until every sender is closed: a report of progress, (signal, step) of a stop, or an error."""
    with suppress(EOFError, OSError):
        while True:
            message = receiver.recv()
            if isinstance(message, BaseException):
                ends.append(message)
            elif len(message) == 2:
                ends.append(Stopped(*message))
            else:
                progress(*message)


def _worker(sender: Connection, function: Callable[..., dict[str, Any]], arguments: Mapping[str, Any]) -> Any:
    """The main function of a process that `launch` starts."""
    os.setpgid(0, 0)  # else Ctrl-C at a terminal came twice: from there, and from the first process
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    signals.arm(signal.SIGINT, signal.SIGTERM)
    try:
        return function(**arguments, progress=lambda *report: sender.send(report))
    except Stopped as stopped:
        sender.send((stopped.signum, stopped.step))
    except Exception as error:
        sender.send(_portable(error))
        time.sleep(EXIT_DELAY)
    sys.exit(1)


def _exit_with_parent() -> None:
    """Do not outlive a kill -9 of the process that started the run."""
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """The error as it can be sent to another process."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(told(error))

"""Peak memory against what must be kept, and the limit on what may be asked for."""

from __future__ import annotations

import math
from multiprocessing.connection import Connection

import numpy as np
import pytest
import torch

from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.system.processes import forkserver
from rnnbench.throughput import memory as fresh
from rnnbench.throughput.memory import available, fence, fresh_peak, out_of_memory, peak_of

CPU = torch.device("cpu")


def job(seq_len: int, **parts: object) -> Timing:
    wanted: dict[str, object] = {"batch_size": 16, "hidden_size": 128, "samples": 1, "device": "cpu"}
    return Timing(cells=(CellConfig("lstm"),), seq_len=seq_len, **{**wanted, **parts})  # type: ignore[arg-type]


def test_a_steps_peak_is_what_it_keeps() -> None:
    """The loop keeps at least four gates and a state of h and c for every token, and not ten times as much.

    What is added from T = 256 to 768 is 512 steps' worth, the one half about as much as the other.
    """
    short, middle, long = (fresh_peak(job(time), CellConfig("lstm"), "loop") for time in (256, 512, 768))
    assert short is not None
    assert middle is not None
    assert long is not None
    least = 512 * 16 * 6 * 128 * 4 / 2**20
    assert least < long - short < 10 * least
    assert long - middle == pytest.approx(middle - short, rel=0.5)  # what the allocator holds back is in it


def test_what_does_not_fit_is_infinite() -> None:
    assert fresh_peak(job(2**12, batch_size=2**20), CellConfig("lstm"), "loop") == math.inf


def test_what_cannot_be_measured_is_none() -> None:
    assert fresh_peak(job(4), CellConfig("lstm"), "no such backend") is None


def test_a_process_that_the_kernel_killed_had_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fresh, "_measure", _killed)
    assert fresh_peak(job(4), CellConfig("lstm"), "loop") == math.inf


def _killed(*_: object) -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


def _peaks(pipe: Connection) -> None:
    torch.set_num_threads(1)
    pipe.send([peak_of(lambda mib=mib: torch.ones(mib * 2**18), CPU) for mib in (64, 16, 128)])  # type: ignore[misc]


def test_a_peak_is_of_this_work_alone() -> None:
    """An array of so many MiB takes so many, also after a larger one was freed."""
    context = forkserver([])
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_peaks, args=(theirs,))
    process.start()
    np.testing.assert_allclose(ours.recv(), (64, 16, 128), atol=6)
    process.join()


def test_asking_for_too_much_is_an_error() -> None:
    """Of torch and of numpy; what fits goes through, and afterwards everything does."""
    with fence(256 * 2**20):
        torch.zeros(2**20)
        with pytest.raises(RuntimeError) as of_torch:
            torch.zeros(2**28)
        with pytest.raises(MemoryError) as of_numpy:
            np.ones(2**28)
    assert out_of_memory(of_torch.value)
    assert out_of_memory(of_numpy.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not out_of_memory(RuntimeError("mat1 and mat2 must have the same dtype"))
    torch.zeros(2**28)
    assert 2**20 < available() < 2**50

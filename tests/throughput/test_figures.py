"""From seconds to figures, by hand: medians, the interquartile range, rates, floors; whatever one slow round does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.throughput.cost import SIZES, Ceilings, Work
from rnnbench.throughput.metrics import figures, times


def test_a_time_is_a_median_and_its_spread_the_middle_half() -> None:
    """Of 1 … 101 seconds 51, and from 26 to 76; of the processor the median alone."""
    seconds = np.random.default_rng(0).permutation(np.arange(1.0, 102.0))
    found = times({"step": seconds, "step_cpu": np.append(seconds[:-1], 1e9)})
    assert found == {"step_ms": 51e3, "step_iqr_ms": 50e3, "step_cpu_ms": pytest.approx(51e3, rel=0.05)}


@pytest.mark.parametrize("what", ["training", "decoding"])
def test_every_figure_follows_from_the_seconds(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two contestants of a cell, one cell whose name begins alike, and one slow round, which moves nothing."""
    monkeypatch.setitem(SIZES, "cpu", 8)
    job = Timing(cells=(CellConfig("rnn"),), seq_len=10, batch_size=4, hidden_size=2, what=what)  # type: ignore[arg-type]
    main = "decode" if what == "decoding" else "step"
    slow = np.array([1.0, 1.0, 1.0, 1.0, 9.0])
    ceilings = Ceilings(torch.float32, torch.device("cpu"), 2**20, 4, 2)
    samples = {f"ceiling/{name}": seconds * slow for name, seconds in (("gemm", 2.0), ("copy", 4.0), ("step", 0.5))}
    samples |= {f"rnn/loop/{main}": 3.0 * slow, f"rnn/torch/{main}": 0.5 * slow, f"rnn(tanh)/x/{main}": slow}
    work = Work(flops=800.0, bytes=1600.0, sequential=200.0)
    found = figures(samples, job, {"rnn": {main: work}}, ceilings)
    gemm, copy, step = (
        2 * 8**3 / 2.0,
        8 * ceilings.elements * ceilings.repeats / 4.0,
        ceilings.step_flops * ceilings.steps / 0.5,
    )
    floor, looped = max(800 / gemm, 1600 / copy), 200 / step + max(600 / gemm, 1600 / copy)
    tokens = 4 if what == "decoding" else 40
    expected = {"gemm_flops_per_second": gemm, "copy_bytes_per_second": copy, "step_flops_per_second": step}
    for name, seconds in (("loop", 3.0), ("torch", 0.5)):
        expected |= {f"rnn/{name}/{key}": value for key, value in {
            f"{main}_ms": 1e3 * seconds, f"{main}_iqr_ms": 0.0, "tokens_per_second": tokens / seconds,
            "speedup": 3.0 / seconds, "speedup_low": 3.0 / seconds, "speedup_high": 3.0 / seconds,
            f"{main}_flops": 800 / tokens, f"{main}_bytes": 1600 / tokens,
            f"{main}_floor_ms": 1e3 * floor, f"{main}_share": floor / seconds,
            f"{main}_loop_floor_ms": 1e3 * looped, f"{main}_loop_share": looped / seconds,
        }.items()}  # fmt: skip
    assert found == pytest.approx(expected)

"""On a GPU: a run trains, is measured, and agrees with the CPU's."""

from __future__ import annotations

import dataclasses
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from support.training import text_run

from rnnbench.config import ProbeConfig
from rnnbench.config.timing import Timing
from rnnbench.runs import CURVES, SAMPLE, RunDirectory
from rnnbench.system import signals
from rnnbench.throughput.measure import measure
from rnnbench.training import train
from rnnbench.training.checkpoints import random_state, restore_random_state

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_run_on_the_gpu_agrees_with_the_cpu(cell: str, text_file: Path, tmp_path: Path) -> None:
    results = {}
    for device in ("cpu", "cuda"):
        run = text_run(text_file, cell, 200, hidden_size=32, probes=ProbeConfig(seq_len=32, batch_size=4))
        run = dataclasses.replace(run, device=device)  # type: ignore[arg-type]
        results[device] = train(run, tmp_path, wandb="disabled")
    cpu, gpu = results["cpu"]["metrics"], results["cuda"]["metrics"]
    assert results["cuda"]["environment"]["backend"] == "torch"
    for figure in ("half_life", "half_lag", "hundredth_lag", "noise_half_life", "noise_decades"):
        assert gpu[f"init/{figure}"] == pytest.approx(cpu[f"init/{figure}"], rel=1e-4)
    assert "throughput/step_cpu_ms" not in gpu
    assert gpu["test/bpc"] == pytest.approx(cpu["test/bpc"], abs=0.02)
    assert gpu["memory/peak_mib"] > 0
    directory = RunDirectory(tmp_path, "single", results["cuda"]["id"])
    with np.load(directory.path(CURVES)) as curves:
        blocks, sizes = curves["test/nll_blocks"], curves["test/nll_block_sizes"]
    assert (blocks * sizes).sum() / sizes.sum() == pytest.approx(gpu["test/nll"], rel=1e-12)
    assert directory.path(SAMPLE).exists()


def test_parts_and_a_stop_on_the_gpu(text_file: Path, tmp_path: Path) -> None:
    """Stopped, and resumed with its batches cut: the figures of an undisturbed run, nearly."""
    run = dataclasses.replace(text_run(text_file, steps=200, batch_size=9, hidden_size=32), device="cuda")
    calm = train(run, tmp_path / "calm", wandb="disabled")

    def progress(done: int, total: int, what: str) -> None:
        if what == "train":
            signal.raise_signal(signal.SIGTERM)

    with signals.armed(signal.SIGTERM), pytest.raises(signals.Stopped) as caught:
        train(run, tmp_path / "cut", wandb="disabled", progress=progress)
    assert caught.value.step
    cut = train(run, tmp_path / "cut", wandb="disabled", micro_batches=3)
    assert cut["metrics"]["test/bpc"] == pytest.approx(calm["metrics"]["test/bpc"], abs=0.02)


def test_the_gpus_random_numbers_go_on() -> None:
    device = torch.device("cuda:0")
    state = random_state(device)
    drawn = torch.rand(3, device=device), torch.rand(3)
    restore_random_state(state, device)
    assert torch.equal(torch.rand(3, device=device), drawn[0])
    assert torch.equal(torch.rand(3), drawn[1])
    restore_random_state(state[: torch.get_rng_state().numel()], device)  # of a run on a CPU


def test_a_timing_on_the_gpu_is_certified(tmp_path: Path) -> None:
    job = Timing(seq_len=32, batch_size=4, hidden_size=64, samples=5, device="cuda")
    metrics = measure(job, tmp_path, "timing", "disabled")["metrics"]
    for cell in ("rnn", "lstm", "gru"):
        for backend in ("torch", "loop"):
            assert metrics.get(f"{cell}/{backend}/refused") is None
            assert metrics[f"{cell}/{backend}/step_ms"] > 0

"""On a GPU: a run trains, is measured, and agrees with the CPU's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.throughput.measure import measure
from rnnbench.throughput.timing import Timing
from rnnbench.train import train

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_a_run_on_the_gpu_agrees_with_the_cpu(cell: str, text_file: Path, tmp_path: Path) -> None:
    results = {}
    for device in ("cpu", "cuda"):
        run = Run(
            cell=CellConfig(cell),
            model=ModelConfig(hidden_size=32),
            data=DataConfig(path=str(text_file), seq_len=16, batch_size=8),
            budget=BudgetConfig(steps=200),
            probes=ProbeConfig(seq_len=32, batch_size=4),
            device=device,  # type: ignore[arg-type]
        )
        results[device] = train(run, tmp_path, wandb="disabled")
    cpu, gpu = results["cpu"]["metrics"], results["cuda"]["metrics"]
    assert results["cuda"]["environment"]["backend"] == "torch"
    assert gpu["init/half_life"] == pytest.approx(cpu["init/half_life"], rel=1e-4)
    assert gpu["test/bpc"] == pytest.approx(cpu["test/bpc"], abs=0.02)
    assert gpu["memory/peak_mib"] > 0


def test_a_timing_on_the_gpu_is_certified(tmp_path: Path) -> None:
    job = Timing(seq_len=32, batch_size=4, hidden_size=64, samples=5, device="cuda")
    metrics = measure(job, tmp_path, "timing", "disabled")["metrics"]
    for cell in ("rnn", "lstm", "gru"):
        for backend in ("torch", "loop"):
            assert metrics.get(f"{cell}/{backend}/refused") is None
            assert metrics[f"{cell}/{backend}/step_ms"] > 0

"""Timings on a real card; see `make gpu-results`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.saboteurs import Saboteur, loop

from rnnbench.backends import BACKENDS
from rnnbench.cells import Cell
from rnnbench.config.timing import Timing
from rnnbench.system import machine
from rnnbench.throughput.cost import SIZES
from rnnbench.throughput.measure import measure

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]


@pytest.fixture(autouse=True)
def small_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    machine.prepare()
    monkeypatch.setitem(SIZES, "cuda", 1024)


def small(**parts: object) -> Timing:
    wanted: dict[str, object] = {"seq_len": 32, "batch_size": 8, "hidden_size": 64, "samples": 5, "warmup": 2}
    return Timing(**{**wanted, "device": "cuda", **parts})  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["float32", "tf32", "bfloat16"])
def test_everything_is_measured(dtype: str, tmp_path: Path) -> None:
    """cuDNN, eager and as a graph; memory by the allocator; kernels by the card's own names."""
    job = small(cells=("lstm", "mingru"), dtype=dtype, backends=("torch", "nn", "scan", "graph", "loop"))
    result = measure(job, tmp_path, "study", "disabled")
    metrics = result["metrics"]
    for name in ("lstm/torch", "lstm/nn", "lstm/graph", "lstm/loop", "mingru/scan", "mingru/loop"):
        assert metrics[f"{name}/step_ms"] > 0
        assert metrics[f"{name}/peak_mib"] > 0
    for name in ("lstm/torch", "lstm/loop", "mingru/loop"):
        assert 0 < metrics[f"{name}/replay_step_ms"] <= 1.2 * metrics[f"{name}/step_ms"]
        assert metrics[f"{name}/replay_forward_ms"] > 0
    assert 0 < metrics["lstm/loop/step_loop_floor_ms"] < metrics["lstm/loop/step_ms"]
    assert "mingru/loop/step_loop_floor_ms" not in metrics
    assert not any(key.endswith("_cpu_ms") for key in metrics), "of the processor nothing is said where a GPU works"
    assert result["environment"]["pinned"] == []
    assert "aten::" not in metrics["lstm/torch/kernels"]
    assert {"driver", "clocks_mhz"} <= set(result["environment"]), "NVML does not answer: install nvidia-ml-py"


def test_decoding(tmp_path: Path) -> None:
    metrics = measure(small(what="decoding", batch_size=1), tmp_path, "study", "disabled")["metrics"]
    assert metrics["lstm/loop/decode_ms"] > metrics["lstm/loop/replay_decode_ms"] > 0


def test_tf32_where_float32_was_said_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rounds(cell: Cell, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        torch.backends.cuda.matmul.allow_tf32 = True
        try:
            return loop(cell, x, state)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = False

    monkeypatch.setitem(BACKENDS, "saboteur", Saboteur(rounds))
    metrics = measure(small(backends=("saboteur", "loop")), tmp_path, "study", "disabled")["metrics"]
    assert metrics["lstm/saboteur/refused"].startswith("wrong result")


def test_what_does_not_fit_is_a_row_and_the_card_goes_on(tmp_path: Path) -> None:
    huge = small(cells=("lstm",), batch_size=2**16, seq_len=2**12, hidden_size=512)
    metrics = measure(huge, tmp_path, "study", "disabled")["metrics"]
    assert metrics["lstm/loop/refused"].startswith("out of memory: B 65536 × T 4096 × H 512")
    assert "lstm/torch/step_ms" in measure(small(), tmp_path, "study", "disabled")["metrics"]

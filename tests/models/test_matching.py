"""So many weights: the width that has them, known wherever the model is built."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.cells import cell_names
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.data.task import Task
from rnnbench.errors import UserError
from rnnbench.models.build import build, matched_parameters, resolved, solve_width
from rnnbench.training import train
from rnnbench.training.generate import load

V = 65
TEXT = Task("many_to_many", "tokens", "symbols", V, V, stateful=True, causal=True)


@given(
    square=st.integers(1, 20),
    linear=st.integers(0, 200),
    constant=st.integers(0, 200),
    divisor=st.integers(1, 12),
    target=st.integers(1, 30_000),
)
def test_the_nearest_width_of_all(square: int, linear: int, constant: int, divisor: int, target: int) -> None:
    """Against trying every width, where only multiples of the divisor can be built."""

    def count(width: int) -> int:
        if width % divisor:
            raise UserError(f"{width} is no multiple of {divisor}.")
        return square * width**2 + linear * width + constant

    widths = range(divisor, 400, divisor)
    best = min(abs(count(width) - target) for width in widths)
    if best <= 0.02 * target:
        assert abs(count(solve_width(count, target)) - target) == best
    else:
        with pytest.raises(UserError, match=f"model.parameters {target} cannot be met within 2 %: the nearest is"):
            solve_width(count, target)


@pytest.mark.parametrize("name", cell_names())
def test_every_cell_is_matched_within_two_percent(name: str) -> None:
    """And is, bit for bit, the model that its hidden_size given outright makes."""
    cell, config = CellConfig(name), ModelConfig(parameters=100_000)
    width = resolved(TEXT, cell, config).hidden_size
    torch.manual_seed(1)
    model = build(TEXT, cell, config)
    torch.manual_seed(1)
    outright = build(TEXT, cell, ModelConfig(hidden_size=width)).state_dict()
    held = sum(p.numel() for p in model.parameters()) - model.input.weight.numel()
    assert held == matched_parameters(model)
    assert abs(held - 100_000) <= 2000
    assert model.hidden_size == width == model.input.embedding_dim
    assert outright.keys() == model.state_dict().keys()
    assert all(torch.equal(outright[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(("layers", "embedding"), [(1, None), (2, 16), (3, None)])
def test_a_closed_form(layers: int, embedding: int | None) -> None:
    """LSTM: 4H(I + H) + 8H a layer, the readout V(H + 1)."""
    config = ModelConfig(parameters=200_000, num_layers=layers, embedding_size=embedding)

    def closed(H: int) -> int:
        inputs = [embedding or H] + [H] * (layers - 1)
        return sum(4 * H * (size + H) + 8 * H for size in inputs) + V * (H + 1)

    width = resolved(TEXT, CellConfig("lstm"), config).hidden_size
    assert width == min(range(1, 400), key=lambda H: abs(closed(H) - 200_000))
    assert matched_parameters(build(TEXT, CellConfig("lstm"), config)) == closed(width)


def test_what_cannot_be_met() -> None:
    """With the nearest that can; a mistake that no width mends is told as such."""
    smallest = 4 * 1 * 2 + 8 + 2 * V
    wanted = f"model.parameters 10 cannot be met within 2 %: the nearest is {smallest}, at hidden_size 1; ask for that."
    with pytest.raises(UserError) as caught:
        build(TEXT, CellConfig("lstm"), ModelConfig(parameters=10))
    assert str(caught.value) == wanted
    with pytest.raises(UserError, match='unknown cell "lsmt". Did you mean "lstm"'):
        build(TEXT, CellConfig("lsmt"), ModelConfig(parameters=1000))
    with pytest.raises(UserError, match="parameters 1000 decides the width, so model.hidden_size 64 cannot; leave one"):
        ModelConfig(hidden_size=64, parameters=1000)


def test_a_matched_run_is_recorded_and_writes(text_file: Path, tmp_path: Path) -> None:
    """Blocks and all: what 12 wide has is matched by 12 wide; the result says so, the text generator finds it again."""

    def recorded(**size: int) -> tuple[Path, dict[str, Any]]:
        run = Run(
            cell=CellConfig("gru"),
            model=ModelConfig(**size, norm="layer", residual=True, tie=True, num_layers=2, init="chrono"),
            data=DataConfig(path=str(text_file), seq_len=8, batch_size=4),
            budget=BudgetConfig(steps=2),
            probes=ProbeConfig(gradient_flow=False),
        )
        return tmp_path / "single" / run.id, train(run, tmp_path, wandb="disabled")["metrics"]

    _, outright = recorded(hidden_size=12)
    folder, matched = recorded(parameters=outright["model/matched_parameters"])
    for key, value in outright.items():
        assert key.startswith(("throughput/", "memory/")) or matched[key] == value, key
    assert outright["model/hidden_size"] == 12
    assert outright["model/pointwise_per_token"] > 0
    model = load(folder).model
    assert model.cells[0].hidden_size == 12

"""Layers that are given a whole sequence: the backend against the loop, and the example of one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.cells import everything
from support.refusals import refused

from rnnbench.backends import BACKENDS, Request, choose, run
from rnnbench.cells import SequenceCell, make_cell
from rnnbench.testing import check_cell

EXAMPLE = f"{Path(__file__).parents[2] / 'examples' / 'linear_attention.py'}:LinearAttention"
B, I, H = 3, 5, 8
FLOAT64 = Request(torch.device("cpu"), torch.float64)


@pytest.mark.parametrize("chunk", [1, 4, 64])
def test_linear_attention_is_its_recurrence(chunk: int) -> None:
    """S_t = γ S_{t−1} + k_t v_tᵀ step by step, whatever the chunk; and in pieces, values and gradients."""
    torch.manual_seed(1)
    cell = make_cell(EXAMPLE, I, H, heads=2, chunk=chunk).double()
    assert isinstance(cell, SequenceCell)
    x = torch.randn(B, 13, I, dtype=torch.float64)
    state = run(cell, torch.randn(B, 4, I, dtype=torch.float64), backend="loop")[1].detach()
    q, k, v = (part.unflatten(-1, (2, -1)) for part in cell.qkv(x).chunk(3, dim=-1))
    S, outputs = state[:, H:].view(B, 2, 4, 4), []
    for t in range(13):
        S = cell.log_decay.exp()[..., None] * S + k[:, t, :, :, None] * v[:, t, :, None, :]
        outputs.append((S.mT @ q[:, t, :, :, None]).flatten(1))
    y, last = run(cell, x, state, backend="sequence")
    torch.testing.assert_close(y, cell.out(torch.stack(outputs, dim=1)))
    torch.testing.assert_close(last[:, H:], S.flatten(1))
    whole = everything(BACKENDS["loop"], cell, x, state)
    for cuts in ((), (1, 6, 12)):
        torch.testing.assert_close(everything(BACKENDS["sequence"], cell, x, state, cuts), whole, rtol=0, atol=1e-11)


def test_a_wrong_decay_fails_the_checks() -> None:
    """A layer whose state does not know how long the sequence was: right at T = 1, wrong at any other."""

    class Short(type(make_cell(EXAMPLE, I, H))):  # type: ignore[misc]
        def sequence(self, u: torch.Tensor, s: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return super().sequence(u, s)[0], super().sequence(u[:, -1:], s)[1]

    with pytest.raises(AssertionError, match="the chunk check fails .sequence in float32"):
        check_cell(Short)


def test_taps_and_states_are_the_loops() -> None:
    cell = make_cell(EXAMPLE, I, H).double()
    assert choose(cell, "auto", FLOAT64).name == "sequence"
    asked = Request(torch.device("cpu"), torch.float64, states=True)
    assert choose(cell, "auto", asked).name == "loop"
    x, tap = torch.randn(B, 4, I, dtype=torch.float64), torch.zeros(B, 4, *cell.state_shape, dtype=torch.float64)
    assert "no tap reaches one" in refused(lambda: run(cell, x, backend="sequence", tap=tap))
    assert "declares a time step" in refused(lambda: run(make_cell("gru", I, H), x, backend="sequence"))

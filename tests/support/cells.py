"""Cells whose every property is known, cells away from the symmetry of their initialisation, and random numbers."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import torch
from torch import Tensor, nn

from rnnbench.backends import Backend
from rnnbench.backends.loop import Loop
from rnnbench.cells import LSTM, Cell, make_cell

#: Small windows and small states, for tests that perturb every coordinate.
SMALL: dict[str, dict[str, Any]] = {
    "transformer": {"window": 3, "heads": 2},
    "tcn": {"levels": 1, "kernel": 2},
    "mamba": {"state_size": 2},
    "s4d": {"state_size": 4},
}


def randn(*shape: int, seed: int = 0) -> Tensor:
    """float64, the same each time."""
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


class LinearRNN(Cell):
    """s' = s Wᵀ + x: its Jacobian is W at every time step."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight.shape[0], weight.shape[0])
        self.weight = nn.Parameter(weight)

    def drive(self, x: Tensor) -> Tensor:
        return x

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return s @ self.weight.t() + u


class NoisyLSTM(LSTM):
    """An LSTM whose state is multiplied by 1 + 0.1 (z − ½), z uniform in 0 … 1, at each step."""

    torch_mode = None

    def draw(self, batch: int, time: int) -> Tensor:
        mean = torch.full((batch, time, 2 * self.hidden_size), 0.5, device=self.bias_hh.device)
        return torch.rand_like(mean) if self.training else mean

    def gated_step(self, u: Tensor, s: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        drive, noise = u.split((4 * self.hidden_size, 2 * self.hidden_size), dim=-1)
        new, gates = super().gated_step(drive, s)
        return new * (0.95 + 0.1 * noise.view_as(s)), gates


def shaken(name: str, input_size: int, hidden_size: int, **options: Any) -> Cell:
    """A float64 cell some way from its initialisation, its gates pushed apart."""
    torch.manual_seed(2)
    cell = make_cell(name, input_size, hidden_size, **options).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    return cell


def everything(backend: Backend, cell: Cell, x: Tensor, state: Tensor, cuts: tuple[int, ...] = ()) -> dict[str, Tensor]:
    """Outputs, last state and all gradients under random cotangents, the sequence run in chunks cut at ``cuts``."""
    x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
    outputs, current = [], state
    for begin, end in itertools.pairwise((0, *cuts, x.shape[1])):
        y, current = backend.run(cell, x[:, begin:end], current, None, False)
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    generator = torch.Generator().manual_seed(2)
    cotangents = [torch.randn(t.shape, dtype=torch.float64, generator=generator).to(t) for t in (y, current)]
    leaves = {"x": x, "state": state, **dict(cell.named_parameters())}
    gradients = torch.autograd.grad((y, current), list(leaves.values()), cotangents)
    return {"y": y, "last": current, **{f"grad {name}": g for name, g in zip(leaves, gradients, strict=True)}}


def assert_within_loop_errors(
    backend: Backend, cell: Cell, x: Tensor, state: Tensor, cuts: tuple[int, ...] = ()
) -> None:
    """As near to the float64 loop as the float32 loop is, within a small multiple."""
    exact = everything(Loop(), copy.deepcopy(cell).double(), x.double(), state.double())
    loop, tested = everything(Loop(), cell, x, state), everything(backend, cell, x, state, cuts)
    for name, truth in exact.items():
        unit = torch.finfo(torch.float32).eps * truth.abs().max()
        allowed = 4 * max((loop[name].double() - truth).abs().max(), unit)
        assert (tested[name].double() - truth).abs().max() <= allowed, name

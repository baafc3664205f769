"""Cells that tests know everything about, and cells away from the symmetry of their beginning."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rnnbench.cells import Cell, make_cell


class LinearRNN(Cell):
    """s' = s Wᵀ + x: its Jacobian is W at every instant."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__(weight.shape[0], weight.shape[0])
        self.weight = nn.Parameter(weight)

    def drive(self, x: Tensor) -> Tensor:
        return x

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return s @ self.weight.t() + u


def shaken(name: str, input_size: int, hidden_size: int, **options: Any) -> Cell:
    """A float64 cell some way from its initialisation, its gates pushed apart."""
    torch.manual_seed(2)
    cell = make_cell(name, input_size, hidden_size, **options).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter += 0.5 * torch.randn_like(parameter)
    return cell

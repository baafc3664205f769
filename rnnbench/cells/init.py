"""Initialisations by name, for any cell that has what they act upon."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from rnnbench.cells.cell import Cell
from rnnbench.errors import UserError, unknown

INITIALISATIONS = ("default", "orthogonal", "identity", "glorot", "forget_bias", "chrono")


@torch.no_grad()
def initialise(cell: Cell, name: str, span: int) -> None:
    """Replace the weights that a cell's constructor drew; what is not named here stays as drawn.

    * ``default``: nothing is changed: the cell's own initialisation, torch's for most.
    * ``orthogonal``: every recurrent matrix is a random orthogonal one (Saxe et al. 2014).
    * ``identity``: every recurrent matrix is I and every bias 0 (Le et al. 2015).
    * ``glorot``: every weight matrix, gate by gate, is uniform in ±√(6 / (fan in + fan out)), every bias 0 (Glorot &
      Bengio 2010).
    * ``forget_bias``: the keep gate's bias is 1 (Jozefowicz et al. 2015); of a cell with a write gate alone, that
      is −1.
    * ``chrono``: the keep gate's bias is log u, u ~ U(1, span − 1), and the write gate's, where there is one, −log u
      (Tallec & Ollivier 2018, eq. 16).

    ``span`` is the longest dependency to expect, in steps (chrono): the window length.

    Raises:
        UserError: an unknown name, a cell without what it acts upon, or a span too short to draw from.
    """
    if name not in INITIALISATIONS:
        raise unknown("init", name, INITIALISATIONS)
    if name in ("orthogonal", "identity"):
        matrices = cell.recurrent_matrices()
        if not matrices:
            raise _nothing(cell, name, "square recurrent matrix")
        for matrix in matrices:
            nn.init.orthogonal_(matrix) if name == "orthogonal" else nn.init.eye_(matrix)
        if name == "identity":
            _zero_biases(cell)
    elif name == "glorot":
        blocks = _weight_blocks(cell)
        if not blocks:
            raise _nothing(cell, name, "weight matrix")
        for block in blocks:
            nn.init.xavier_uniform_(block)
        _zero_biases(cell)
    elif name in ("forget_bias", "chrono"):
        gates = cell.gates()
        if not gates:
            raise _nothing(cell, name, "gate with a bias")
        value: float | Tensor = 1.0
        if name == "chrono":
            if span < 2:
                raise UserError(f"init chrono draws from 1 … span − 1: span (data.seq_len) must be ≥ 2, got {span}.")
            value = torch.empty_like(next(iter(gates.values()))[0]).uniform_(1, span - 1).log()
        if "keep" in gates:
            open_gate(gates["keep"], value)
        if "write" in gates and (name == "chrono" or "keep" not in gates):  # alone, it is 1 − keep
            open_gate(gates["write"], -value)


@torch.no_grad()
def open_gate(biases: Sequence[Tensor], value: float | Tensor) -> None:
    """Set a gate's biases so that they sum to a value: the first takes it, the others are zeroed."""
    first, *rest = biases
    first.copy_(torch.as_tensor(value, dtype=first.dtype, device=first.device).expand_as(first))
    for bias in rest:
        bias.zero_()


def _weight_blocks(cell: Cell) -> list[Tensor]:
    """Views of the matrices named weight…; weight_ih and weight_hh are stacks of one block of H rows a gate.

    The kernel of a convolution over the input, (rows, I, width), is one of them.
    """
    blocks: list[Tensor] = []
    for name, parameter in cell.named_parameters():
        name = name.rpartition(".")[2].removesuffix("_l0")  # as torch's own modules, adapted, name theirs
        if name.startswith("weight") and (parameter.dim() == 2 or (name, parameter.dim()) == ("weight_ih", 3)):
            stacked = name in ("weight_ih", "weight_hh") and len(parameter) % cell.hidden_size == 0
            blocks += parameter.split(cell.hidden_size) if stacked else [parameter]
    return blocks


def _zero_biases(cell: Cell) -> None:
    for name, parameter in cell.named_parameters():
        if name.rpartition(".")[2].startswith("bias"):
            parameter.zero_()


def _nothing(cell: Cell, name: str, what: str) -> UserError:
    return UserError(f"the cell {type(cell).__name__} has no {what}, and init {name} acts on one; choose another init.")

"""Histograms of gates: known values, the right time steps, moved by their biases, and those of a whole model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from support.cells import shaken
from torch import Tensor, nn

from rnnbench.backends import run
from rnnbench.cells import AffineCell, Cell, cell_names, make_cell
from rnnbench.cells.init import open_gate
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.models import EncoderDecoder, SequenceModel
from rnnbench.probes.gates import gate_saturation, measure_gates

B, T, I, H = 3, 9, 5, 8
GATED = [name for name in cell_names() if make_cell(name, I, H).gates()]


def build(name: str, **options: Any) -> Cell:
    return shaken(name, I, H, **options)


#: What the gate is called that the biases of `Cell.gates` open.
KEEPS = ("forget", "update", "decay")
WRITES = {"mgu": "forget", "lem": "step_z", "antisymmetric": "input", "mingru": "decay"}


@pytest.mark.parametrize("name", [*GATED, "antisymmetric"])
def test_biases_move_the_gates_that_they_say(name: str) -> None:
    """The bias raised by 5: a keep gate opens; where there is only one that writes, that opens, or the decay falls."""
    cell = build(name, **({"gated": True} if name == "antisymmetric" else {}))
    gates = cell.gates()
    role = "keep" if "keep" in gates else next(iter(gates))
    biases = gates[role]
    x = torch.randn(B, T, I, dtype=torch.float64)
    before = gate_saturation(cell, x)
    open_gate(biases, sum(biases).detach() + 5)  # type: ignore[union-attr]
    after = gate_saturation(cell, x)
    gate = WRITES[name] if role == "write" else next(gate for gate in KEEPS if gate in before)
    rise = after[gate].mean - before[gate].mean
    assert (-rise if (role, gate) == ("write", "decay") else rise) > 0.02
    if name != "gla":  # its α is a sixteenth root, above 0.9 from the start
        assert abs(after[gate].open - before[gate].open) + abs(after[gate].closed - before[gate].closed) > 0.05


class DecayIsInput(AffineCell):
    """So that the values to be counted are known."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.unused = nn.Parameter(torch.zeros(1))

    def drive(self, x: Tensor) -> Tensor:
        return x

    def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return u, torch.ones_like(u)


def test_every_gate_is_counted_once() -> None:
    gates = gate_saturation(build("lstm"), torch.randn(B, T, I, dtype=torch.float64), bins=7)
    assert set(gates) == {"input", "forget", "output"}
    for gate in gates.values():
        assert gate.counts.shape == (7,)
        assert gate.counts.dtype == np.int64
        assert gate.counts.sum() == B * T * H
    assert gate_saturation(build("rnn"), torch.randn(B, T, I, dtype=torch.float64)) == {}


@pytest.mark.parametrize("name", ["lstm_peephole", "gru", "slstm", "qrnn", "antisymmetric"])
def test_a_sequence_in_pieces_has_the_gates_of_the_whole(name: str) -> None:
    """The state handed over is the one before the next step: one time step off, and the counts differ."""
    cell = build(name, **({"gated": True} if name == "antisymmetric" else {}))
    x = torch.randn(B, T, I, dtype=torch.float64)
    whole, first = gate_saturation(cell, x), gate_saturation(cell, x[:, :4])
    rest = gate_saturation(cell, x[:, 4:], run(cell, x[:, :4])[1])
    for gate in whole:
        assert (first[gate].counts + rest[gate].counts).tolist() == whole[gate].counts.tolist()
        assert abs(4 * first[gate].mean + (T - 4) * rest[gate].mean - T * whole[gate].mean) < 1e-10


# --- models ---------------------------------------------------------------------------------------------------------


def test_a_model_of_two_lstms_is_torch_s() -> None:
    """The second layer's gates from the outputs of nn.LSTM's first; evaluation mode; the model is left as it is."""
    torch.manual_seed(3)
    task = Task("many_to_many", "tokens", "symbols", 11, 11)
    model = SequenceModel(task, CellConfig("lstm"), ModelConfig(hidden_size=H, num_layers=2, dropout=0.5, norm="layer"))
    x = torch.randint(11, (B, T))
    weights, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    gates = measure_gates(model, Batch(x, x), task)
    assert list(gates) == [f"layer{n}/{gate}" for n in (1, 2) for gate in ("input", "forget", "output")]
    assert model.training
    assert all(not norm._forward_hooks for norm in model.stack.norms)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)

    y = model.stack.norms[0](model.input(x))
    for number, cell in enumerate(model.cells, start=1):
        theirs = nn.LSTM(H, H, batch_first=True)
        theirs.load_state_dict({f"{key}_l0": value for key, value in cell.state_dict().items()})
        h = torch.cat((torch.zeros(B, 1, H), theirs(y)[0][:, :-1]), dim=1)
        pre = y @ cell.weight_ih.T + cell.bias_ih + h @ cell.weight_hh.T + cell.bias_hh
        for gate, rows in zip(("input", "forget", "", "output"), pre.split(H, dim=-1), strict=True):
            if gate:
                assert abs(gates[f"layer{number}/{gate}"].mean - torch.sigmoid(rows).mean().item()) < 1e-6
        y = model.stack.norms[1](theirs(y)[0])


def test_of_a_model_that_reads_both_ways_only_forward_cells_are() -> None:
    torch.manual_seed(4)
    task = Task("many_to_one", "values", "values", 2, 3)
    config = ModelConfig(hidden_size=H, num_layers=2, bidirectional=True)
    model = SequenceModel(task, CellConfig("gru"), config).double()
    x = torch.randn(B, T, 2, dtype=torch.float64)
    gates = measure_gates(model, Batch(x, torch.zeros(B, 3)), task)
    assert set(gates) == {f"layer{n}/{gate}" for n in (1, 2) for gate in ("reset", "update")}
    assert all(gate.counts.sum() == B * T * H for gate in gates.values())
    direct = gate_saturation(model.cells[0], model.input(x))
    assert {name: gates[f"layer1/{name}"].mean for name in direct} == {name: one.mean for name, one in direct.items()}


def test_of_a_decoder_the_encoder_is_measured() -> None:
    task = Task("seq2seq", "tokens", "symbols", 9, 7)
    model = EncoderDecoder(task, CellConfig("gru"), ModelConfig(hidden_size=H, attention="dot")).double()
    x, y = torch.randint(9, (B, T)), torch.randint(7, (B, 4))
    gates = measure_gates(model, Batch(x, y), task)
    direct = gate_saturation(model.encoder.cells[0], model.input(x))
    assert {name.removeprefix("layer1/"): gate.mean for name, gate in gates.items()} == {
        name: gate.mean for name, gate in direct.items()
    }


def test_counts_and_shares_of_known_values() -> None:
    """A gate at a tenth is not closed, and at nine tenths not open."""
    x = torch.tensor([0.0, 0.05, 0.1, 0.5, 0.9, 0.95, 1.0, 1.5], dtype=torch.float64)
    (gate,) = gate_saturation(DecayIsInput(), x.view(2, 4, 1), bins=10).values()
    assert (gate.closed, gate.open) == (2 / 8, 3 / 8)
    assert gate.mean == pytest.approx(float(x.mean())), "of the values as they are; 1.5 is at the histogram's end"
    assert gate.counts.tolist() == [2, 1, 0, 0, 0, 1, 0, 0, 0, 4]
    with pytest.raises(UserError, match="1 bin or more, got 0"):
        gate_saturation(DecayIsInput(), torch.zeros(1, 1, 1), bins=0)
    with pytest.raises(UserError, match="x must be"):
        gate_saturation(DecayIsInput(), torch.zeros(1, 4, 2))

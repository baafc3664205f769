"""Each initialisation does what it says, to every cell that has what it acts upon, and to nothing else."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from rnnbench.cells import Cell, cell_names, make_cell
from rnnbench.cells.init import initialise
from rnnbench.errors import UserError

I, H, SPAN = 24, 16, 100
every_cell = pytest.mark.parametrize("name", cell_names())


def build(name: str) -> Cell:
    torch.manual_seed(0)
    return make_cell(name, I, H).double()


@every_cell
def test_default_changes_nothing(name: str) -> None:
    cell = build(name)
    before = copy.deepcopy(cell.state_dict())
    initialise(cell, "default", SPAN)
    assert all(torch.equal(before[key], value) for key, value in cell.state_dict().items())


@every_cell
@pytest.mark.parametrize("kind", ["orthogonal", "identity"])
def test_recurrent_matrices(name: str, kind: str) -> None:
    """QᵀQ = I, or I itself; a cell without one is refused by name."""
    cell = build(name)
    if not cell.recurrent_matrices():
        with pytest.raises(UserError, match=f"the cell {type(cell).__name__} has no square recurrent matrix, and init"):
            initialise(cell, kind, SPAN)
        return
    initialise(cell, kind, SPAN)
    eye = torch.eye(H, dtype=torch.float64)
    for matrix in cell.recurrent_matrices():
        torch.testing.assert_close(matrix.t() @ matrix, eye, rtol=0, atol=1e-12)
        assert torch.equal(matrix, eye) == (kind == "identity")
    if kind == "identity":
        biases = [value for key, value in cell.named_parameters() if key.startswith("bias")]
        assert biases
        assert all(not bias.any() for bias in biases)


def test_the_recurrent_matrices_of_the_classics() -> None:
    """The tests above are about as many matrices as there are products with the state."""
    for name, count in (("rnn", 1), ("lstm", 4), ("gru", 3), ("mingru", 0)):
        assert len(build(name).recurrent_matrices()) == count


@every_cell
def test_gates(name: str) -> None:
    """forget_bias opens the keep gate by 1; chrono by log u, u in 1 … span − 1, and shuts the write gate by as much."""
    cell = build(name)
    if not cell.gates():
        for kind in ("forget_bias", "chrono"):
            with pytest.raises(UserError, match=f"the cell {type(cell).__name__} has no gate with a bias, and init"):
                initialise(cell, kind, SPAN)
        return

    def bias(gate: str) -> torch.Tensor:
        return torch.stack([part.detach().clone() for part in cell.gates()[gate]]).sum(0)

    before = {gate: bias(gate) for gate in cell.gates()}
    initialise(cell, "forget_bias", SPAN)
    if "keep" in before:
        assert torch.equal(bias("keep"), torch.ones_like(before["keep"]))
        assert "write" not in before or torch.equal(bias("write"), before["write"])
    else:
        assert torch.equal(bias("write"), -torch.ones_like(before["write"]))
    initialise(cell, "chrono", SPAN)
    keep = bias("keep") if "keep" in before else -bias("write")
    assert float(keep.min()) >= 0
    assert float(keep.max()) <= math.log(SPAN - 1)
    assert len(set(keep.tolist())) == keep.numel()
    if len(before) == 2:
        torch.testing.assert_close(bias("write"), -keep.expand_as(bias("write")))


def test_chrono_is_log_uniform_in_time() -> None:
    """exp(bias) is uniform in 1 … span − 1: mean and spread of 20,000 units."""
    cell = make_cell("mingru", 1, 20_000)
    initialise(cell, "chrono", SPAN)
    times = (-cell.gates()["write"][0]).detach().double().exp()
    assert float(times.mean()) == pytest.approx(SPAN / 2, rel=0.02)
    assert float(times.std()) == pytest.approx((SPAN - 2) / math.sqrt(12), rel=0.02)
    assert float(times.min()) < 1.1
    assert float(times.max()) > SPAN - 1.1


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_glorot_gate_by_gate(name: str, gates: int) -> None:
    """Uniform in ±√(6 / (fan in + fan out)) of one gate's block, not of the stack; biases 0."""
    cell = make_cell(name, 48, 64)
    initialise(cell, "glorot", SPAN)
    for weight, size in ((cell.weight_ih, 48), (cell.weight_hh, 64)):
        bound = math.sqrt(6 / (size + 64))
        for block in weight.detach().split(64):
            assert 0.98 * bound < float(block.abs().max()) <= bound
            assert float(block.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert len(cell.weight_hh.split(64)) == gates
    assert not cell.bias_ih.any()
    assert not cell.bias_hh.any()


@every_cell
def test_glorot_of_every_cell(name: str) -> None:
    """It changes every 2-d weight_ih and weight_hh, and leaves finite numbers."""
    cell = build(name)
    before = copy.deepcopy(dict(cell.named_parameters()))
    if name == "tcn":  # all of its kernels are products of their own, normalised
        with pytest.raises(UserError, match=f"the cell {type(cell).__name__} has no weight matrix, and init glorot"):
            initialise(cell, "glorot", SPAN)
        return
    initialise(cell, "glorot", SPAN)
    for key, value in cell.named_parameters():
        assert bool(value.isfinite().all())
        if key in ("weight_ih", "weight_hh") and value.dim() == 2:
            assert not torch.equal(value, before[key]), key


@every_cell
def test_weights_stay_leaves(name: str) -> None:
    """Initialised in place and outside autograd: the optimiser finds the parameters as they were."""
    cell = build(name)
    before = [id(parameter) for parameter in cell.parameters()]
    for kind in ("orthogonal", "identity", "glorot", "forget_bias", "chrono"):
        try:
            initialise(cell, kind, SPAN)
        except UserError:
            continue
    assert [id(parameter) for parameter in cell.parameters()] == before
    assert all(isinstance(p, nn.Parameter) and p.is_leaf and p.requires_grad for p in cell.parameters())


def test_what_is_refused() -> None:
    cell = build("lstm")
    with pytest.raises(UserError, match='unknown init "orthogonl". Did you mean "orthogonal"'):
        initialise(cell, "orthogonl", SPAN)
    with pytest.raises(UserError, match=r"span \(data.seq_len\) must be ≥ 2, got 1"):
        initialise(cell, "chrono", 1)

"""What a token costs, against what the textbook and torch's own modules count; and the floor that follows."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rnnbench.config import CellConfig
from rnnbench.throughput.clock import WallClock
from rnnbench.throughput.cost import ADAM, Ceiling, Ceilings, Work, flops_per_token, work_of
from rnnbench.throughput.layers import Layers
from rnnbench.throughput.timing import Timing

I, H = 24, 32
GATES = {"rnn": 1, "lstm": 4, "gru": 3, "lstm_cifg": 3, "mgu": 2}


def meta(cell: str, **options: int) -> Layers:
    return Layers(CellConfig(cell), I, H, **options).to("meta")  # type: ignore[arg-type]


@pytest.mark.parametrize(("cell", "gates"), GATES.items())
def test_products_of_a_gated_cell(cell: str, gates: int) -> None:
    """Forward 2 g (IH + H²) a token; backward twice that: to the input and state, and to the weights."""
    forward = 2 * gates * (I * H + H * H)
    assert flops_per_token(meta(cell)) == (forward, 3 * forward)


@pytest.mark.parametrize(("cell", "module"), [("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_as_torch_counts_its_own_modules(cell: str, module: type[nn.RNNBase]) -> None:
    """On the meta device, where torch's fused layers are taken apart; several layers, both ways."""
    layers = 2
    theirs = module(I, H, num_layers=layers, bidirectional=True, batch_first=True).to("meta")
    with FlopCounterMode(display=False) as counter:
        theirs(torch.zeros(1, 7, I, device="meta"))
    assert flops_per_token(meta(cell, num_layers=layers, bidirectional=True))[0] == counter.get_total_flops() / 7


def test_a_linear_cell_has_no_recurrent_product() -> None:
    forward = 2 * 2 * I * H
    assert flops_per_token(meta("mingru")) == (forward, 3 * forward)


def test_traffic_is_what_goes_in_and_comes_out() -> None:
    """Forward: x, y and the weights. A step: x twice, ∂x, y, ∂y, the weights twice, their gradient, and Adam's."""
    job = Timing(cells=(CellConfig("gru"),), seq_len=10, batch_size=4, input_size=I, hidden_size=H)
    weights, tokens = 3 * H * (I + H) + 6 * H, 40
    works = work_of(job, job.cells[0])
    assert works["forward"].bytes == 4 * (tokens * (I + H) + weights)
    assert works["step"].bytes == 4 * (tokens * (3 * I + 2 * H) + (3 + ADAM) * weights)
    assert works["step"].flops == tokens * 3 * 2 * 3 * (I * H + H * H)
    half = work_of(Timing(**{**vars(job), "dtype": "bfloat16"}), job.cells[0])
    assert half["step"].bytes == works["step"].bytes / 2


def test_the_floor_is_the_higher_of_two() -> None:
    ceiling = Ceiling(gemm=100.0, copy=10.0)
    assert Work(flops=1000.0, bytes=10.0).floor(ceiling) == 10.0
    assert Work(flops=10.0, bytes=1000.0).floor(ceiling) == 100.0


def test_ceilings_are_rates() -> None:
    """2 n³ operations of a product, and each byte of a copy once read and once written."""
    ceilings = Ceilings(torch.float32, torch.device("cpu"), 2**20)
    gemm, copy = ceilings.ceiling(2.0, 0.5)
    assert gemm == ceilings.size**3
    assert 2 * ceilings.source.numel() * 4 == 2**20, "a copy is as large as what a call moves"
    assert copy == ceilings.repeats * 2**20 / 0.5
    assert ceilings.repeats == 32
    assert Ceilings(torch.float32, torch.device("cpu"), 2**27).repeats == 1
    assert all(seconds > 0 for seconds in ceilings.turn(WallClock()))
    assert torch.equal(ceilings.target, ceilings.source)
    torch.testing.assert_close(ceilings.product, ceilings.a @ ceilings.b)

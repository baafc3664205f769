"""What a token costs, against what the textbook and torch's own modules count; and the floor that follows."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rnnbench.backends.layers import Layers
from rnnbench.cells import cell_names
from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.throughput.clock import WallClock
from rnnbench.throughput.cost import (
    LARGEST_STEP,
    Ceiling,
    Ceilings,
    Work,
    flops_per_token,
    sequential_per_token,
    work_of,
)

I, H = 24, 32
GATES = {"rnn": 1, "lstm": 4, "gru": 3, "lstm_cifg": 3, "mgu": 2}


def meta(cell: str, **options: int) -> Layers:
    return Layers(CellConfig(cell), I, H, **options).to("meta")  # type: ignore[arg-type]


@pytest.mark.parametrize(("cell", "gates"), GATES.items())
def test_products_of_a_gated_cell(cell: str, gates: int) -> None:
    """Forward 2 g (IH + H²) a token; backward twice that: to the input and state, and to the weights."""
    forward = 2 * gates * (I * H + H * H)
    assert flops_per_token(meta(cell)) == (forward, 3 * forward)
    linear = 2 * 2 * I * H  # without a recurrent product
    assert flops_per_token(meta("mingru")) == (linear, 3 * linear)


@pytest.mark.parametrize(("cell", "module"), [("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_as_torch_counts_its_own_modules(cell: str, module: type[nn.RNNBase]) -> None:
    """On the meta device, where torch's fused layers are taken apart; several layers, both ways."""
    layers = 2
    theirs = module(I, H, num_layers=layers, bidirectional=True, batch_first=True).to("meta")
    with FlopCounterMode(display=False) as counter:
        theirs(torch.zeros(1, 7, I, device="meta"))
    assert flops_per_token(meta(cell, num_layers=layers, bidirectional=True))[0] == counter.get_total_flops() / 7


@pytest.mark.parametrize(("cell", "gates"), [*GATES.items(), ("mingru", 0), ("s4d", 0), ("transformer", 0)])
def test_what_is_sequential_is_the_product_with_the_state(cell: str, gates: int) -> None:
    """2 g H² a token of each cell: of the layers and of both directions together."""
    assert sequential_per_token(meta(cell)) == 2 * gates * H * H
    assert sequential_per_token(meta(cell, num_layers=3)) == 3 * 2 * gates * H * H
    assert sequential_per_token(meta(cell, num_layers=2, bidirectional=True)) == 4 * 2 * gates * H * H


@pytest.mark.parametrize("cell", cell_names())
def test_what_is_sequential_is_a_part_of_it_all(cell: str) -> None:
    """Of a forward pass, and of a step twice as much: forwards and backwards."""
    job = Timing(cells=(CellConfig(cell),), seq_len=10, batch_size=4, input_size=I, hidden_size=H)
    works = work_of(job, job.cells[0])
    assert 0 <= works["forward"].sequential <= works["forward"].flops
    assert works["forward"].sequential == 40 * sequential_per_token(meta(cell))
    assert works["step"].sequential == 2 * works["forward"].sequential <= works["step"].flops


def test_traffic_is_what_goes_in_and_comes_out() -> None:
    """Forward: x, y and the weights. A step: x twice, ∂x, y, ∂y, the weights twice, their gradient, and Adam's."""
    job = Timing(cells=(CellConfig("gru"),), seq_len=10, batch_size=4, input_size=I, hidden_size=H)
    weights, tokens = 3 * H * (I + H) + 6 * H, 40
    works = work_of(job, job.cells[0])
    assert works["forward"].bytes == 4 * (tokens * (I + H) + weights)
    assert works["step"].bytes == 4 * (tokens * (3 * I + 2 * H) + (3 + 7) * weights), "Adam reads four and writes three"
    assert works["step"].flops == tokens * 3 * 2 * 3 * (I * H + H * H)
    assert works["step"].sequential == tokens * 2 * 2 * 3 * H * H
    half = work_of(Timing(**{**vars(job), "dtype": "bfloat16"}), job.cells[0])
    assert half["step"].bytes == works["step"].bytes / 2
    assert half["step"].sequential == works["step"].sequential
    decoding = work_of(Timing(**{**vars(job), "what": "decoding"}), job.cells[0])
    assert decoding["decode"] == Work(4 * 2 * 3 * (I * H + H * H), 4 * (4 * (I + H) + weights), 4 * 2 * 3 * H * H)


def test_floors() -> None:
    """The higher of two; a loop does what is sequential at a step's rate, the rest as fast as the other two allow."""
    ceiling = Ceiling(gemm=100.0, copy=10.0, step=5.0)
    assert Work(flops=1000.0, bytes=10.0, sequential=200.0).floor(ceiling) == 10.0
    assert Work(flops=10.0, bytes=1000.0, sequential=10.0).floor(ceiling) == 100.0
    assert Work(flops=1000.0, bytes=10.0, sequential=200.0).loop_floor(ceiling) == 200 / 5 + 800 / 100
    assert Work(flops=1000.0, bytes=1000.0, sequential=200.0).loop_floor(ceiling) == 200 / 5 + 1000 / 10
    assert Work(flops=1000.0, bytes=10.0, sequential=0.0).loop_floor(ceiling) == 10.0


RATE = st.floats(1e-3, 1e15)


@given(flops=st.floats(0, 1e18), part=st.floats(0, 1), moved=st.floats(0, 1e18), gemm=RATE, copy=RATE, slower=RATE)
def test_a_loop_is_no_faster_than_the_floor(
    flops: float, part: float, moved: float, gemm: float, copy: float, slower: float
) -> None:
    """Where a step's small product is no faster than a large one."""
    work, ceiling = Work(flops, moved, part * flops), Ceiling(gemm, copy, min(slower, gemm))
    assert work.loop_floor(ceiling) >= work.floor(ceiling) * (1 - 1e-9)


def test_ceilings_are_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 n³ operations of a product, each byte of a copy once read and once written, and 2 B·H·4H of a step."""
    ceilings = Ceilings(torch.float32, torch.device("cpu"), 2**20, batch_size=3, hidden_size=16)
    gemm, copy, step = ceilings.ceiling(2.0, 0.5, 0.25)
    assert gemm == ceilings.size**3
    assert 2 * ceilings.source.numel() * 4 == 2**20, "a copy is as large as what a call moves"
    assert copy == ceilings.repeats * 2**20 / 0.5
    assert ceilings.repeats == 32
    assert step == ceilings.steps * 2 * 3 * 16 * 64 / 0.25
    assert ceilings.steps == 4096, "as many as the clock can tell, but no more"
    found = ceilings.turn(WallClock())
    assert len(found) == len(Ceilings.PARTS) == 3
    assert all(seconds.wall > 0 and seconds.cpu >= 0 for seconds in found)
    assert torch.equal(ceilings.target, ceilings.source)
    torch.testing.assert_close(ceilings.product, ceilings.a @ ceilings.b)
    assert (ceilings.state.shape, ceilings.weight.shape) == ((3, 16), (16, 64))
    torch.testing.assert_close(ceilings.stepped, ceilings.state @ ceilings.weight)
    # A turn is not too long: large copies and products are done once, and a step's product is not larger than a limit.
    assert Ceilings(torch.float32, torch.device("cpu"), 2**27, 1, 1).repeats == 1
    assert Ceilings(torch.float32, torch.device("cpu"), 1, 64, 256).steps == int(2e8 / (2 * 64 * 256 * 1024))
    assert LARGEST_STEP == 2048
    monkeypatch.setattr("rnnbench.throughput.cost.LARGEST_STEP", 32)
    capped = Ceilings(torch.float32, torch.device("cpu"), 1, 100, 50)
    assert (capped.state.shape, capped.weight.shape) == ((32, 32), (32, 128))
    assert capped.step_flops == 2 * 32 * 32 * 128

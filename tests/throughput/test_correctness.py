"""The correctness check: what is right passes, in any order of summation; what is wrong does not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from support.cells import NoisyLSTM
from support.saboteurs import SABOTAGE, Saboteur, forgets_the_state, in_tf32, late_by_one, loop, with_parameters
from torch import Tensor

from rnnbench.backends import BACKENDS
from rnnbench.backends.backend import MULTIPLE
from rnnbench.backends.layers import Layers
from rnnbench.backends.loop import Loop
from rnnbench.cells import LSTM, Cell
from rnnbench.cells.registry import _CELLS
from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.runs import CURVES, RESULT, RunDirectory
from rnnbench.throughput.correctness import CorrectnessCheck, everything
from rnnbench.throughput.measure import measure

CELLS = ("rnn", "lstm", "gru")
#: A cell of each form, and the backends that run it.
ABLE = {
    "rnn": ("torch", "loop"),
    "lstm": ("torch", "loop"),
    "gru": ("torch", "loop"),
    "mingru": ("scan", "loop"),
    "s4d": ("scan", "loop"),
    "deltanet": ("scan", "loop"),
    "transformer": ("window", "loop"),
}


def check(
    cell: str, dtype: torch.dtype = torch.float32, step: int = 0, time: int = 100, width: int = 16, **layers: int
) -> CorrectnessCheck:
    torch.manual_seed(0)
    module = Layers(CellConfig(cell), width, width, **layers).to(dtype)  # type: ignore[arg-type]
    x, cotangent = torch.randn(4, time, width).to(dtype), torch.randn(4, time, module.width).to(dtype)
    states = [torch.randn_like(state) for state in module.initial_state(4)]
    return CorrectnessCheck(module, x, states, (cotangent, [torch.randn_like(state) for state in states]), step=step)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("cell", "backend"), [(cell, name) for cell, names in ABLE.items() for name in names])
def test_the_backends_are_correct(cell: str, backend: str, dtype: torch.dtype) -> None:
    """On a sequence long enough for errors to grow; the loop against itself is at most 1."""
    one = check(cell, dtype)
    multiples = one.multiples(BACKENDS[backend])
    names = {name.removeprefix("members.0.") for name, _ in one.layers.named_parameters()}
    assert set(multiples) == {"y", "state", "grad x", "grad state", *(f"grad {name}" for name in names)}
    assert max(multiples.values()) <= (1 if backend == "loop" else MULTIPLE), multiples


@pytest.mark.parametrize("time", [25, 400])
def test_what_counts_as_the_loops_own_error(time: int) -> None:
    """At least a rounding of the largest entry; of a parameter's gradient, a sum over N tokens, ε √N / 3 of it."""
    one = check("rnn", time=time)
    in_float32 = everything(one.layers, one.x, one.states, one.cotangents, Loop())
    epsilon = torch.finfo(torch.float32).eps
    for name, truth in one.exact.items():
        of_loop, most = float((in_float32[name].double() - truth).abs().max()), float(truth.abs().max())
        summed = name.startswith("grad ") and name not in ("grad x", "grad state")
        least = epsilon * max(1.0, (4 * time) ** 0.5 / 3) if summed else epsilon
        assert one.errors[name] == pytest.approx(max(of_loop, least * most)), name


def test_sums_one_after_the_other_are_no_fault() -> None:
    """oneDNN adds up a bias' gradient token by token: over 8 000 of them thirty roundings off, and right.

    But a state of ten bits, or one token's gradient left out, is found at that length as well.
    """
    one = check("lstm", time=2000, width=8)
    assert max(one.multiples(BACKENDS["torch"]).values()) <= MULTIPLE
    assert max(one.multiples(Saboteur(in_tf32)).values()) > 10 * MULTIPLE
    assert one.multiples(Saboteur(lacks_a_token))["grad bias_ih"] > MULTIPLE


def lacks_a_token(cell: Cell, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The last token's share of the bias' gradient is missing; everything else is right."""
    constant = with_parameters(cell, lambda i, p: p.detach() if p.dim() == 1 else p)
    first, state = loop(cell, x[:, :-1], state)
    last, state = loop(constant, x[:, -1:], state)
    return torch.cat([first, last], dim=1), state


@pytest.mark.parametrize("backend", ["torch", "loop"])
def test_several_layers_both_ways(backend: str) -> None:
    """Every cell's last state and every cell's parameters are looked at."""
    one = check("lstm", time=20, num_layers=2, bidirectional=True)
    multiples = one.multiples(BACKENDS[backend])
    assert {f"{kind} {i}" for kind in ("state", "grad state") for i in range(4)} < set(multiples)
    assert sum(name.startswith("grad members") for name in multiples) == 16
    assert max(multiples.values()) <= MULTIPLE


@pytest.mark.parametrize("step", [0, 1], ids=["in one call", "symbol by symbol"])
@pytest.mark.parametrize("cell", CELLS)
def test_a_saboteur_is_found_out(cell: str, step: int) -> None:
    """An off-by-one in time, a dropped gradient, a coarser number format: at least ten times what is allowed."""
    one = check(cell, step=step, time=12, width=8)
    assert max(one.multiples(Saboteur(loop)).values()) <= (MULTIPLE if step else 1)
    for spoil in SABOTAGE:
        if not step or spoil is not late_by_one:  # one symbol has no other to be late for
            assert not max(one.multiples(Saboteur(spoil)).values()) <= 10 * MULTIPLE, spoil.__name__


def test_tf32_passes_where_it_was_said() -> None:
    """Its own rounding is then the unit; an error in time is found all the same."""
    said = check("gru", time=12, width=8)
    said.unit = 2.0**-10
    assert max(said.multiples(Saboteur(in_tf32)).values()) <= MULTIPLE
    assert max(said.multiples(Saboteur(late_by_one)).values()) > 10 * MULTIPLE


def test_where_the_truth_is_zero_only_zero_is_right() -> None:
    """After a whole window nothing of the first state is left in the last: its gradient is none at all."""
    one = check("tcn", time=200)
    y, last = one.cotangents
    one.cotangents = torch.zeros_like(y), last
    assert one.multiples(BACKENDS["window"])["grad state"] == 0
    assert one.multiples(Saboteur(leaks))["grad state"] == float("inf")


def leaks(cell: Cell, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """A trace of the first state in the last, far below any rounding of its values."""
    y, last = loop(cell, x, state)
    return y, last + 1e-20 * state


@pytest.mark.usefixtures("no_memory")
def test_a_saboteur_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with a reason and its error, without a speed; a correct backend instead of it is timed."""
    for spoil in (*SABOTAGE, loop):
        saboteur = Saboteur(spoil)
        monkeypatch.setattr(saboteur, "name", spoil.__name__, raising=False)
        monkeypatch.setitem(BACKENDS, spoil.__name__, saboteur)
    names = [spoil.__name__ for spoil in SABOTAGE]
    sizes = {"seq_len": 12, "batch_size": 3, "hidden_size": 8, "samples": 3, "warmup": 0}
    job = Timing(cells=(CellConfig("lstm"),), backends=(*names, "loop"), device="cpu", **sizes)  # type: ignore[arg-type]
    result = measure(job, tmp_path, "study", "disabled")
    for name in names:
        row = {key.rpartition("/")[2]: v for key, v in result["metrics"].items() if key.startswith(f"lstm/{name}/")}
        assert set(row) == {"refused", "certificate"}
        assert row["refused"].startswith("wrong result: the error of ")
        assert not row["certificate"] <= MULTIPLE
    assert "lstm/loop/step_ms" in result["metrics"]
    assert "lstm/loop/refused" not in result["metrics"]
    directory = RunDirectory(tmp_path, "study", result["id"])
    with np.load(directory.path(CURVES)) as curves:
        assert {name.split("/")[1] for name in curves if name.startswith("lstm/")} == {"loop"}
    json.loads(directory.path(RESULT).read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


class HiddenNoise(LSTM):
    """Random numbers in `step` itself, where no backend can be given the same."""

    def step(self, u: Tensor, s: Tensor) -> Tensor:
        return super().step(u, s) * (1 + 0.1 * torch.rand_like(s))


@pytest.mark.parametrize("step", [0, 1], ids=["in one call", "symbol by symbol"])
def test_a_stochastic_cell_is_checked_on_the_same_draws(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for cls in (HiddenNoise, NoisyLSTM):
        monkeypatch.setitem(_CELLS, cls.__name__, cls)
    with pytest.raises(UserError, match="run twice on the same, gives outputs"):
        _ = check("HiddenNoise", time=12, width=8).errors
    one = check("NoisyLSTM", time=12, width=8, step=step, num_layers=2)
    assert max(one.multiples(Saboteur(loop)).values()) <= (MULTIPLE if step else 1)
    assert max(one.multiples(Saboteur(forgets_the_state)).values()) > 10 * MULTIPLE

"""No timing without a certificate, and timings that are fair."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rnnbench.backends import BACKENDS, Backend, Request
from rnnbench.backends.backend import MULTIPLE
from rnnbench.backends.loop import Loop
from rnnbench.cells import Cell, make_cell
from rnnbench.config import CellConfig
from rnnbench.errors import UserError
from rnnbench.ledger import CURVES, RESULT, Entry
from rnnbench.throughput import measure as measuring
from rnnbench.throughput.certificate import certificate
from rnnbench.throughput.measure import PARTS, Contestant, measure, speed_up
from rnnbench.throughput.timing import Timing

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
Result = tuple[Tensor, Tensor]


class Saboteur(Backend):
    """The loop, with something done to its work."""

    name = "saboteur"

    def __init__(self, spoil: Callable[[Cell, Tensor, Tensor], Result]) -> None:
        self.spoil = spoil

    def refusal(self, cell: Cell, request: Request) -> str | None:
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Result:
        return self.spoil(cell, x, state)


def loop(cell: Cell, x: Tensor, state: Tensor) -> Result:
    return Loop().run(cell, x, state, None, False)


def late_by_one(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """Each output is the one before it; the final state is right."""
    y, last = loop(cell, x, state)
    return y.roll(1, dims=1), last


def no_gradient_to_the_state(cell: Cell, x: Tensor, state: Tensor) -> Result:
    return loop(cell, x, state.detach())


def truncated(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """Values right, the gradient cut in the middle of the sequence."""
    half = x.shape[1] // 2
    first, state = loop(cell, x[:, :half], state)
    second, last = loop(cell, x[:, half:], state.detach())
    return torch.cat([first, second], dim=1), last


def coarse(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """A state that goes through float16 at every step."""
    outputs = []
    for t in range(x.shape[1]):
        y, state = loop(cell, x[:, t : t + 1], state)
        state = state.half().to(x.dtype)
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


def wrong_final_state(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """The state of the step before the last."""
    y, _ = loop(cell, x, state)
    return y, loop(cell, x[:, :-1], state)[1]


def forgets_the_state(cell: Cell, x: Tensor, state: Tensor) -> Result:
    return loop(cell, x, 0 * state)


def not_a_number(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """One output is NaN, as where memory was not written."""
    y, last = loop(cell, x, state)
    hole = torch.zeros_like(y)
    hole[0, -1, 0] = torch.nan
    return y + hole, last


SABOTAGE = [
    late_by_one,
    no_gradient_to_the_state,
    truncated,
    coarse,
    wrong_final_state,
    forgets_the_state,
    not_a_number,
]


def small(**parts: object) -> Timing:
    wanted: dict[str, object] = {"seq_len": 12, "batch_size": 3, "hidden_size": 8, "samples": 6, "warmup": 1}
    return Timing(**{**wanted, "device": "cpu", **parts})  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("cell", "backend"), [(cell, name) for cell, names in ABLE.items() for name in names])
def test_the_backends_are_certified(cell: str, backend: str, dtype: torch.dtype) -> None:
    """On a sequence long enough for errors to grow; the loop against itself is at most 1."""
    torch.manual_seed(0)
    made = make_cell(cell, 16, 16).to(dtype)
    x, cotangent = torch.randn(2, 4, 100, 16, dtype=dtype)
    state = torch.randn(4, *made.state_shape, dtype=dtype)
    multiples = certificate(made, x, state, (cotangent, torch.randn_like(state)), backend)
    names = {name for name, _ in made.named_parameters()}
    assert set(multiples) == {"y", "state", "grad x", "grad state", *(f"grad {name}" for name in names)}
    assert max(multiples.values()) <= (1 if backend == "loop" else MULTIPLE), multiples


@pytest.mark.parametrize("spoil", SABOTAGE, ids=lambda spoil: spoil.__name__)
def test_a_saboteur_is_not_timed(
    spoil: Callable[[Cell, Tensor, Tensor], Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every cell: refused in words, with its certificate, and no figure of its speed; the loop is timed."""
    monkeypatch.setitem(BACKENDS, "saboteur", Saboteur(spoil))
    result = measure(small(backends=("saboteur", "loop"), samples=3), tmp_path, "study", "disabled")
    for cell in CELLS:
        own = {key: value for key, value in result["metrics"].items() if key.startswith(f"{cell}/saboteur/")}
        assert set(own) == {f"{cell}/saboteur/refused", f"{cell}/saboteur/certificate"}
        assert own[f"{cell}/saboteur/refused"].startswith("wrong result: the error of ")
        assert own[f"{cell}/saboteur/certificate"] > MULTIPLE
        assert f"{cell}/loop/step_ms" in result["metrics"]
    with np.load(Entry(tmp_path, "study", result["id"]).path(CURVES)) as curves:
        assert not any("saboteur" in name for name in curves)
    strict = Entry(tmp_path, "study", result["id"]).path(RESULT).read_text()
    json.loads(strict, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_an_honest_backend_passes_as_a_saboteur_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The scaffolding of the test above is not what is refused."""
    monkeypatch.setitem(BACKENDS, "saboteur", Saboteur(loop))
    metrics = measure(small(backends=("saboteur",), samples=3), tmp_path, "study", "disabled")["metrics"]
    assert all(f"{cell}/saboteur/step_ms" in metrics for cell in CELLS)
    assert not any(key.endswith("/refused") for key in metrics)


def test_a_backend_that_declines_is_quoted(tmp_path: Path) -> None:
    """Where a backend has no kernel, its own words stand in the metrics."""
    from rnnbench.cells import register_cell, registry

    @register_cell("plain")
    class Plain(type(make_cell("rnn", 2, 2))):  # type: ignore[misc]
        torch_mode = None

    try:
        metrics = measure(small(cells=("plain",), samples=3), tmp_path, "study", "disabled")["metrics"]
    finally:
        del registry._CELLS["plain"]
    assert metrics["plain/torch/refused"] == "torch.nn has no kernel for this cell"
    assert "plain/loop/step_ms" in metrics


def test_every_figure_and_curve(tmp_path: Path) -> None:
    job = small(cells=(CellConfig("lstm", {"forget_bias": 1.0}), CellConfig("gru")), samples=7)
    result = measure(job, tmp_path, "study", "disabled")
    entry = Entry(tmp_path, "study", job.id)
    assert entry.result() == result
    assert (result["kind"], result["status"]) == ("timing", "done")
    assert Timing.from_dict(result["run"]) == job
    figures = {f"{part}{end}" for part in PARTS for end in ("_ms", "_iqr_ms")}
    figures |= {"tokens_per_second", "speedup", "speedup_low", "speedup_high", "certificate"}
    names = [f"{cell}/{backend}" for cell in ("lstm(forget_bias=1.0)", "gru") for backend in ABLE["gru"]]
    metrics = {key: value for key, value in result["metrics"].items() if not key.endswith("/refused")}
    assert set(metrics) == {"work"} | {f"{name}/{figure}" for name in names for figure in figures}
    with np.load(entry.path(CURVES)) as curves:
        assert set(curves) == {f"{name}/{part}" for name in names for part in PARTS}
        for name in names:
            own = {part: curves[f"{name}/{part}"] for part in PARTS}
            assert all(values.shape == (7,) and (values > 0).all() for values in own.values())
            assert (own["step"] > own["train_forward"] + own["backward"]).all(), "the optimiser takes no time"
            step = 1e3 * float(np.median(own["step"]))
            assert metrics[f"{name}/step_ms"] == pytest.approx(step)
            assert metrics[f"{name}/tokens_per_second"] == pytest.approx(1e3 * 3 * 12 / step)
    for name in ("lstm(forget_bias=1.0)/loop", "gru/loop"):
        assert [metrics[f"{name}/{key}"] for key in ("speedup", "speedup_low", "speedup_high")] == [1.0, 1.0, 1.0]
    before = entry.path(RESULT).stat().st_mtime_ns
    assert measure(job, tmp_path, "study", "disabled") == result
    assert entry.path(RESULT).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"cells": ("lsmt",)}, 'unknown cell "lsmt". Did you mean "lstm"?'),
        ({"cells": (CellConfig("gru", {"bias": 1.0}),)}, "unknown option of the cell gru"),
        ({"backends": ("lop",)}, 'unknown backend "lop". Did you mean "loop"?'),
    ],
)
def test_what_does_not_exist_is_refused(parts: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        measure(small(**parts), tmp_path, "study", "disabled")
    assert list(tmp_path.iterdir()) == []


def test_contestants_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In each round, the warm-up's too, everyone once; the order is drawn anew, by the seed."""
    turns: list[str] = []
    turn = Contestant.turn

    def noted(self: Contestant, clock: Callable[[], float]) -> tuple[float, ...]:
        turns.append(self.name)
        return turn(self, clock)

    monkeypatch.setattr(measuring.Contestant, "turn", noted)
    told: list[tuple[int, int]] = []
    job = small(samples=8, warmup=2)
    measure(job, tmp_path / "a", "study", "disabled", lambda done, total, what: told.append((done, total)))
    count = sum(len(ABLE[cell]) for cell in CELLS)
    rounds = [tuple(turns[i : i + count]) for i in range(0, len(turns), count)]
    assert len(rounds) == 10
    assert all(set(order) == set(rounds[0]) and len(set(order)) == count for order in rounds)
    assert len(set(rounds)) > 5
    assert told == [(i + 1, 10) for i in range(10)]
    first = list(turns)
    turns.clear()
    measure(job, tmp_path / "b", "study", "disabled")
    assert turns == first


def test_a_turn_changes_nothing() -> None:
    """Neither weights nor input: every turn is the same work."""
    torch.manual_seed(0)
    cell = make_cell("gru", 5, 5)
    x, cotangent = torch.randn(2, 3, 6, 5)
    before = [p.detach().clone() for p in cell.parameters()]
    one = Contestant("gru/loop", cell, "loop", x.clone().requires_grad_(), cotangent)
    ticks = iter(range(0, 100, 10))
    assert one.turn(lambda: float(next(ticks))) == (10.0, 10.0, 10.0, 30.0)
    assert all(torch.equal(p, old) for p, old in zip(cell.parameters(), before, strict=True))
    assert torch.equal(one.x.detach(), x)
    assert one.x.grad is None, "gradients accumulate inside the timed part"


def test_speed_up_is_the_ratio_and_its_interval_is_paired() -> None:
    """A machine that slows down and speeds up slows both: paired rounds see a ratio of 2 through that noise."""
    random = np.random.default_rng(0)
    drift = np.exp(random.normal(0, 1, 60))
    other = drift * np.exp(random.normal(0, 0.01, 60))
    ratio, low, high = speed_up(2 * drift, other)
    assert low <= ratio <= high
    assert low <= 2.0 <= high
    assert ratio == pytest.approx(2.0, rel=0.05)
    shuffled = random.permutation(other)
    _, apart_low, apart_high = speed_up(2 * drift, shuffled)
    assert apart_high - apart_low > 3 * (high - low), "rounds are not drawn together"
    assert speed_up(2 * drift, other) == (ratio, low, high), "an interval that cannot be repeated"
    assert speed_up(other, other) == (1.0, 1.0, 1.0)


def test_speed_up_covers_the_truth() -> None:
    """The 95 % interval holds the true ratio in about 95 of 100 experiments."""
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        base, other = np.exp(random.normal(0, 0.2, (2, 30)))
        _, low, high = speed_up(3 * base, other, resamples=400)
        hits += low <= 3.0 <= high
    assert 0.88 < hits / 200 <= 1.0

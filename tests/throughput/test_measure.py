"""Timings that are fair, complete and kept; what cannot be timed is a row that says why."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.saboteurs import Saboteur, loop

from rnnbench.backends import BACKENDS
from rnnbench.cells import Cell
from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.runs import CURVES, RESULT, RunDirectory
from rnnbench.throughput.clock import DeviceClock, Seconds, WallClock
from rnnbench.throughput.contestant import PARTS, Contestant, implementations
from rnnbench.throughput.cost import SIZES, Ceilings, Work
from rnnbench.throughput.measure import figures, measure, times
from rnnbench.throughput.selection import chosen, failure

CELLS = ("rnn", "lstm", "gru")
CPU = torch.device("cpu")
Turn = Callable[[Contestant, str, DeviceClock], tuple[Seconds, ...]]


def small(**parts: object) -> Timing:
    sizes: dict[str, object] = {"seq_len": 12, "batch_size": 3, "hidden_size": 8, "samples": 6, "warmup": 1}
    return Timing(**{**sizes, "device": "cpu", **parts})  # type: ignore[arg-type]


def metrics_of(folder: Path, **parts: object) -> dict[str, Any]:
    metrics: dict[str, Any] = measure(small(**parts), folder, "study", "disabled")["metrics"]
    return metrics


@pytest.fixture
def before_turns(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Contestant], None]], None]:
    """Let something be done before each contestant's turn."""
    turn: Turn = Contestant.turn

    def add(action: Callable[[Contestant], None]) -> None:
        def both(self: Contestant, what: str, clock: DeviceClock) -> tuple[Seconds, ...]:
            action(self)
            return turn(self, what, clock)

        monkeypatch.setattr(Contestant, "turn", both)

    return add


def test_every_figure_and_curve(tmp_path: Path) -> None:
    job = small(cells=(CellConfig("lstm", {"forget_bias": 1.0}), CellConfig("gru")), samples=7)
    result = measure(job, tmp_path, "study", "disabled")
    directory = RunDirectory(tmp_path, "study", job.id)
    assert directory.result() == result
    assert (result["kind"], result["status"]) == ("timing", "done")
    assert Timing.from_dict(result["run"]) == job
    assert {"commit", "torch", "device_name", "threads", "cpu_mhz"} <= set(result["environment"])
    assert result["environment"]["pinned"] == [max(os.sched_getaffinity(0))]
    expected = {f"{part}{end}" for part in PARTS["training"] for end in ("_ms", "_iqr_ms", "_cpu_ms")}
    ends = ("flops", "bytes", "floor_ms", "share", "loop_floor_ms", "loop_share")
    expected |= {f"{what}_{end}" for what in ("forward", "step") for end in ends}
    expected |= {"tokens_per_second", "speedup", "speedup_low", "speedup_high", "certificate", "kernels", "peak_mib"}
    names = [f"{cell}/{backend}" for cell in ("lstm(forget_bias=1)", "gru") for backend in ("torch", "loop")]
    metrics = {key: value for key, value in result["metrics"].items() if not key.endswith("/refused")}
    rates = {"gemm_flops_per_second", "copy_bytes_per_second", "step_flops_per_second"}
    assert set(metrics) == {"work"} | rates | {f"{name}/{figure}" for name in names for figure in expected}
    with np.load(directory.path(CURVES)) as curves:
        parts = {f"{name}/{part}" for name in names for part in PARTS["training"]}
        parts |= {"ceiling/gemm", "ceiling/copy", "ceiling/step"}
        assert set(curves) == parts | {f"{part}_cpu" for part in parts}
        for name in names:
            for end in ("", "_cpu"):
                taken = {part: curves[f"{name}/{part}{end}"] for part in PARTS["training"]}
                assert all(values.shape == (7,) and (values >= 0).all() for values in taken.values())
                np.testing.assert_allclose(taken["step"], taken["train_forward"] + taken["backward"] + taken["update"])
                assert metrics[f"{name}/step{end}_ms"] == pytest.approx(1e3 * float(np.median(taken["step"])))
            gates = 4 if name.startswith("lstm") else 3
            assert metrics[f"{name}/step_flops"] == 3 * 2 * 2 * gates * 8 * 8
    for name in ("lstm(forget_bias=1)/loop", "gru/loop"):
        assert [metrics[f"{name}/{key}"] for key in ("speedup", "speedup_low", "speedup_high")] == [1.0, 1.0, 1.0]
    before = directory.path(RESULT).stat().st_mtime_ns
    assert measure(job, tmp_path, "study", "disabled") == result
    assert directory.path(RESULT).stat().st_mtime_ns == before


def test_a_time_is_a_median_and_its_spread_the_middle_half() -> None:
    """Of 1 … 101 seconds 51, and from 26 to 76; of processor time the median alone."""
    seconds = np.random.default_rng(0).permutation(np.arange(1.0, 102.0))
    found = times({"step": seconds, "step_cpu": np.append(seconds[:-1], 1e9)})
    assert found == {"step_ms": 51e3, "step_iqr_ms": 50e3, "step_cpu_ms": pytest.approx(51e3, rel=0.05)}


@pytest.mark.parametrize("what", ["training", "decoding"])
def test_every_figure_follows_from_the_seconds(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two contestants of a cell, one cell whose name begins alike, and one slow round, which moves nothing."""
    monkeypatch.setitem(SIZES, "cpu", 8)
    job = Timing(cells=(CellConfig("rnn"),), seq_len=10, batch_size=4, hidden_size=2, what=what)  # type: ignore[arg-type]
    main = "decode" if what == "decoding" else "step"
    slow = np.array([1.0, 1.0, 1.0, 1.0, 9.0])
    ceilings = Ceilings(torch.float32, CPU, 2**20, 4, 2)
    samples = {f"ceiling/{name}": seconds * slow for name, seconds in (("gemm", 2.0), ("copy", 4.0), ("step", 0.5))}
    samples |= {f"rnn/loop/{main}": 3.0 * slow, f"rnn/torch/{main}": 0.5 * slow, f"rnn(tanh)/x/{main}": slow}
    work = Work(flops=800.0, bytes=1600.0, sequential=200.0)
    found = figures(samples, job, {"rnn": {main: work}}, ceilings)
    gemm, copy = 2 * 8**3 / 2.0, 8 * ceilings.elements * ceilings.repeats / 4.0
    step = ceilings.step_flops * ceilings.steps / 0.5
    floor, looped = max(800 / gemm, 1600 / copy), 200 / step + max(600 / gemm, 1600 / copy)
    tokens = 4 if what == "decoding" else 40
    expected = {"gemm_flops_per_second": gemm, "copy_bytes_per_second": copy, "step_flops_per_second": step}
    for name, seconds in (("loop", 3.0), ("torch", 0.5)):
        expected |= {f"rnn/{name}/{key}": value for key, value in {
            f"{main}_ms": 1e3 * seconds, f"{main}_iqr_ms": 0.0, "tokens_per_second": tokens / seconds,
            "speedup": 3.0 / seconds, "speedup_low": 3.0 / seconds, "speedup_high": 3.0 / seconds,
            f"{main}_flops": 800 / tokens, f"{main}_bytes": 1600 / tokens,
            f"{main}_floor_ms": 1e3 * floor, f"{main}_share": floor / seconds,
            f"{main}_loop_floor_ms": 1e3 * looped, f"{main}_loop_share": looped / seconds,
        }.items()}  # fmt: skip
    assert found == pytest.approx(expected)


@pytest.mark.usefixtures("no_memory")
def test_the_profilers_own_names(tmp_path: Path) -> None:
    """oneDNN's layer for an LSTM on the backend torch, products one by one on the loop."""
    metrics = metrics_of(tmp_path, cells=("lstm",), samples=1, seq_len=64, batch_size=16, hidden_size=64)
    assert "mkldnn_rnn_layer" in metrics["lstm/torch/kernels"]
    assert "mkldnn_rnn_layer" not in metrics["lstm/loop/kernels"]
    assert "aten::" in metrics["lstm/loop/kernels"]


@pytest.mark.usefixtures("no_memory")
def test_decoding(tmp_path: Path) -> None:
    """A symbol's time, and nothing of a training; the floor is that of one symbol, for which all weights are read."""
    parts = {"cells": ("gru", "mingru"), "what": "decoding", "backends": ("loop", "torch", "scan", "plain")}
    assert small(**parts).id.startswith("decoding-")
    metrics = metrics_of(tmp_path, batch_size=2, **parts)
    assert {key.partition("/")[0] for key in metrics if key.endswith("/decode_ms")} == {"gru", "mingru"}
    assert not any("step" in key or "forward" in key for key in metrics if key != "step_flops_per_second")
    assert {key.partition("/")[0] for key in metrics if key.endswith("/decode_loop_share")} == {"gru"}
    weights = 2 * 3 * 8 * 8 + 2 * 3 * 8
    assert metrics["gru/loop/decode_bytes"] == 4 * (2 * (8 + 8) + weights) / 2
    assert metrics["gru/loop/decode_flops"] == 2 * 2 * 3 * 8 * 8
    for name in ("gru/loop", "gru/torch", "gru/plain", "mingru/scan"):
        assert metrics[f"{name}/tokens_per_second"] == pytest.approx(2e3 / metrics[f"{name}/decode_ms"])


def test_decoding_hands_the_state_on() -> None:
    """Symbol after symbol gives what the whole sequence gives."""
    one = Contestant.build(small(what="decoding"), CellConfig("lstm"), BACKENDS["torch"], CPU)
    states, outputs = one.states, []
    for x in one.symbols:
        y, states = one.decode(x, states)
        outputs.append(y)
    torch.testing.assert_close(torch.cat(outputs, dim=1), one.infer())


@pytest.mark.usefixtures("no_memory")
def test_layers_in_a_row_and_both_ways(tmp_path: Path) -> None:
    """Braun's deep shape, small; torch's own module runs it in one call."""
    shape = {"input_size": 5, "num_layers": 2, "bidirectional": True}
    metrics = metrics_of(tmp_path, cells=("lstm",), backends=("torch", "nn", "loop"), samples=1, **shape)
    assert all(f"lstm/{name}/step_ms" in metrics for name in ("torch", "nn", "loop"))
    # A layer: four gates, two directions; the first reads 5 numbers, the other both directions' 8.
    assert metrics["lstm/nn/forward_flops"] == sum(2 * 2 * 4 * 8 * (read + 8) for read in (5, 16))


@pytest.mark.usefixtures("no_memory")
def test_bfloat16(tmp_path: Path) -> None:
    metrics = metrics_of(tmp_path, cells=("lstm", "mingru"), dtype="bfloat16", num_layers=2, samples=2)
    assert {"lstm/loop/step_ms", "mingru/scan/step_ms", "mingru/loop/step_ms"} <= set(metrics)
    assert "bfloat16" in metrics["lstm/torch/refused"]


@pytest.mark.usefixtures("no_memory")
def test_a_backend_that_declines_or_breaks_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose interface is another one than expected, say, does not take the others with it."""

    def broken(cell: Cell, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise TypeError("scan() got an unexpected keyword argument 'gates'\nand more")

    monkeypatch.setitem(BACKENDS, "saboteur", Saboteur(broken))
    metrics = metrics_of(tmp_path, cells=("mgu",), backends=("saboteur", "torch", "loop"), samples=1)
    assert metrics["mgu/torch/refused"] == "torch.nn has no kernel for this cell"
    assert metrics["mgu/saboteur/refused"] == "it failed: TypeError: scan() got an unexpected keyword argument 'gates'"
    assert "mgu/loop/step_ms" in metrics


@pytest.mark.usefixtures("no_memory")
def test_what_breaks_while_it_is_timed_is_a_row_too(
    tmp_path: Path, before_turns: Callable[[Callable[[Contestant], None]], None]
) -> None:
    """Memory that runs out at the fifth turn: that contestant has no figures, the others have all of theirs."""
    turns = []

    def limited(contestant: Contestant) -> None:
        if contestant.name == "rnn/torch":
            turns.append(contestant)
            if len(turns) == 5:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    before_turns(limited)
    result = measure(small(cells=("rnn",)), tmp_path, "study", "disabled")
    metrics = result["metrics"]
    assert metrics["rnn/torch/refused"].startswith("out of memory: B 3 × T 12 × H 8, float32, did not fit into ")
    assert "rnn/torch/step_ms" not in metrics
    with np.load(RunDirectory(tmp_path, "study", result["id"]).path(CURVES)) as curves:
        assert not any(name.startswith("rnn/torch") for name in curves)
        assert len(curves["rnn/loop/step"]) == 6


def test_what_does_not_fit_is_a_row(tmp_path: Path) -> None:
    """Terabytes: every contestant says so, with the size, and the job is done."""
    job = Timing(cells=("lstm",), seq_len=2**12, batch_size=2**20, hidden_size=512, samples=3, device="cpu")  # type: ignore[arg-type]
    result = measure(job, tmp_path, "study", "disabled")
    refused = {key: value for key, value in result["metrics"].items() if key.endswith("/refused")}
    assert result["status"] == "done"
    assert set(refused) == {f"lstm/{name}/refused" for name in ("torch", "sequence", "scan", "window", "loop")}
    assert refused["lstm/loop/refused"].startswith("out of memory: B 1048576 × T 4096 × H 512, float32, did not fit")
    assert refused["lstm/scan/refused"] == "its next state is not linear in the last one"


def test_a_user_error_is_quoted() -> None:
    def refuses() -> None:
        raise UserError("not today.")

    assert failure(refuses, small(), CPU) == "not today"
    assert failure(lambda: None, small(), CPU) is None


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"cells": ("lsmt",)}, 'unknown cell "lsmt". Did you mean "lstm"?'),
        ({"cells": (CellConfig("gru", {"bias": 1.0}),)}, "unknown option of the cell gru"),
        ({"cells": ("mlstm",), "hidden_size": 7}, "hidden_size 7 cannot be shared by 4 heads"),
        ({"backends": ("lop",)}, 'unknown backend "lop". Did you mean "loop"?'),
        ({"dtype": "tf32"}, "take float32 on a CPU"),
        ({"what": "decoding", "bidirectional": True}, "cannot decode symbol after symbol"),
        ({"num_layers": 0}, "num_layers must be positive, got 0"),
        ({"samples": 0}, "samples must be positive"),
    ],
)
def test_what_cannot_be_is_refused(parts: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        measure(small(**parts), tmp_path, "study", "disabled")
    assert list(tmp_path.iterdir()) == []


def test_who_takes_part() -> None:
    """Without names, what auto chooses from; with all, those on request and the external ones too; in our order."""
    names = [backend.name for backend in chosen(())]
    assert names == [name for name, one in BACKENDS.items() if not one.on_request_only]
    assert [one.name for one in chosen(("all",))] == list(implementations())
    assert {"graph", "compile", "plain", "nn", "fla"} <= set(implementations())
    assert [one.name for one in chosen(("plain", "loop"))] == ["loop", "plain"]


@pytest.mark.usefixtures("no_memory")
def test_contestants_take_turns_on_one_core(
    tmp_path: Path, before_turns: Callable[[Callable[[Contestant], None]], None]
) -> None:
    """Each round has every contestant once, in another order; a repetition has the same orders."""
    turns: list[str] = []
    before, cores = os.sched_getaffinity(0), set()

    def note(contestant: Contestant) -> None:
        turns.append(contestant.name)
        cores.add(frozenset(os.sched_getaffinity(0)))

    before_turns(note)
    calls: list[tuple[int, int, str]] = []
    job = small(samples=8, warmup=2)
    measure(job, tmp_path / "a", "study", "disabled", lambda *how_far: calls.append(how_far))
    count = 2 * len(CELLS)
    rounds = [tuple(turns[i : i + count]) for i in range(0, len(turns), count)]
    assert len(rounds) == 10
    assert all(set(order) == set(rounds[0]) and len(set(order)) == count for order in rounds)
    assert len(set(rounds)) > 5
    assert [call for call in calls if call[2] == "time"] == [(i + 1, 10, "time") for i in range(10)]
    assert [call for call in calls if call[2] == "certify"] == [(i + 1, 15, "certify") for i in range(15)]
    assert cores == {frozenset({max(before)})}
    assert os.sched_getaffinity(0) == before
    first = list(turns)
    turns.clear()
    measure(job, tmp_path / "b", "study", "disabled")
    assert turns == first


@pytest.mark.usefixtures("no_memory")
def test_an_interrupted_job_leaves_the_process_on_all_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getaffinity(0)

    def interrupted(self: Contestant, what: str, clock: DeviceClock) -> tuple[Seconds, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Contestant, "turn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(small(cells=("gru",), samples=2), tmp_path, "study", "disabled")
    assert os.sched_getaffinity(0) == before


def test_a_turn_changes_nothing(ticks: WallClock) -> None:
    """Neither weights nor input: every turn is the same work, and its parts are what the clock says."""
    one = Contestant.build(small(), CellConfig("gru"), BACKENDS["loop"], CPU)
    x, before = one.x.detach().clone(), [p.detach().clone() for p in one.layers.parameters()]
    assert one.turn("training", ticks) == (*[Seconds(10.0, 4.0)] * 4, Seconds(30.0, 12.0))
    assert all(torch.equal(p, old) for p, old in zip(one.layers.parameters(), before, strict=True))
    assert torch.equal(one.x.detach(), x)
    assert one.x.grad is None, "gradients accumulate inside the timed part"


def test_the_same_job_is_the_same_work() -> None:
    """Weights, inputs and cotangents follow from the seed; another backend has copies of the same weights."""
    a, b = (Contestant.build(small(), CellConfig("gru"), Saboteur(loop), CPU) for _ in range(2))
    c = a.on(BACKENDS["torch"])
    assert c.name == "gru/torch"
    for other in (b, c):
        assert torch.equal(a.x, other.x)
        assert torch.equal(a.cotangent, other.cotangent)
        pairs = list(zip(a.layers.parameters(), other.layers.parameters(), strict=True))
        assert all(torch.equal(p, q) and p is not q for p, q in pairs)
    assert not torch.equal(a.x, Contestant.build(small(seed=1), CellConfig("gru"), Saboteur(loop), CPU).x)


@pytest.mark.slow
def test_a_killed_study_is_resumed(tmp_path: Path) -> None:
    """Three timings, the sweep killed after the first: the next one does the other two, and not the first again."""
    study = tmp_path / "small_timings.py"
    study.write_text(
        "from rnnbench import Study, Timing\n"
        "sizes = {'batch_size': 2, 'hidden_size': 8, 'samples': 40, 'cells': ('rnn',), 'device': 'cpu'}\n"
        "jobs = [Timing(seq_len=seq_len, **sizes) for seq_len in (8, 9, 10)]\n"
        "STUDY = Study('small_timings', 'How fast?', {'quick': lambda: jobs})\n"
    )
    command = [sys.executable, "-m", "rnnbench", "sweep", str(study), "--wandb", "disabled", "--out", str(tmp_path)]
    folder = tmp_path / "small_timings"
    first = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "RNNBENCH_CELLS": ""})
    assert first.stdout is not None
    for line in first.stdout:
        if "1/3" in line:
            break
    first.kill()
    first.wait()
    done = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/result.json")}
    assert 1 <= len(done) < 3
    second = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "RNNBENCH_CELLS": ""})
    assert second.returncode == 0, second.stderr
    after = {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/result.json")}
    assert len(after) == 3
    assert done.items() <= after.items()


def test_old_timings_keep_their_names() -> None:
    """A setting that is new, at its default, is no part of a job's identity; the protocol is."""
    old = {
        "cells": ["rnn", "lstm", "gru"], "backends": ["torch", "scan", "graph", "loop"], "seq_len": 64,
        "batch_size": 256, "hidden_size": 256, "samples": 30, "warmup": 3, "dtype": "float32", "seed": 0,
        "device": "auto",
    }  # fmt: skip
    job = Timing.from_dict(old)
    assert job.id_under(1) == "timing-T64-B256-H256-3a8d8b8f", "as results of the first protocol are called"
    assert job.id == job.id_under(2) != job.id_under(1)
    assert dataclasses.replace(job, num_layers=2).id != job.id

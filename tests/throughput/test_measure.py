"""Timings that are fair, whole and kept; what cannot be timed is a row that says why."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

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
from rnnbench.throughput.contestant import PARTS, Contestant, contenders
from rnnbench.throughput.cost import SIZES
from rnnbench.throughput.measure import measure
from rnnbench.throughput.selection import chosen, failure

CELLS = ("rnn", "lstm", "gru")
CPU = torch.device("cpu")


def small(**parts: object) -> Timing:
    wanted: dict[str, object] = {"seq_len": 12, "batch_size": 3, "hidden_size": 8, "samples": 6, "warmup": 1}
    return Timing(**{**wanted, "device": "cpu", **parts})  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def small_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the device can do is not at stake here."""
    monkeypatch.setitem(SIZES, "cpu", 64)


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peak memory, which takes a process a contestant, is another test's."""
    monkeypatch.setattr("rnnbench.throughput.selection.fresh_peak", lambda *_: None)


def test_every_figure_and_curve(tmp_path: Path) -> None:
    job = small(cells=(CellConfig("lstm", {"forget_bias": 1.0}), CellConfig("gru")), samples=7)
    result = measure(job, tmp_path, "study", "disabled")
    directory = RunDirectory(tmp_path, "study", job.id)
    assert directory.result() == result
    assert (result["kind"], result["status"]) == ("timing", "done")
    assert Timing.from_dict(result["run"]) == job
    assert {"commit", "torch", "device_name", "threads", "cpu_mhz"} <= set(result["environment"])
    assert result["environment"]["pinned"] == [max(os.sched_getaffinity(0))]
    figures = {f"{part}{end}" for part in PARTS["training"] for end in ("_ms", "_iqr_ms", "_cpu_ms")}
    ends = ("flops", "bytes", "floor_ms", "share", "loop_floor_ms", "loop_share")
    figures |= {f"{what}_{end}" for what in ("forward", "step") for end in ends}
    figures |= {"tokens_per_second", "speedup", "speedup_low", "speedup_high", "certificate", "kernels", "peak_mib"}
    names = [f"{cell}/{backend}" for cell in ("lstm(forget_bias=1)", "gru") for backend in ("torch", "loop")]
    metrics = {key: value for key, value in result["metrics"].items() if not key.endswith("/refused")}
    everything = {f"{name}/{figure}" for name in names for figure in figures}
    rates = {"gemm_flops_per_second", "copy_bytes_per_second", "step_flops_per_second"}
    assert set(metrics) == {"work"} | rates | everything
    with np.load(directory.path(CURVES)) as curves:
        parts = {f"{name}/{part}" for name in names for part in PARTS["training"]}
        parts |= {"ceiling/gemm", "ceiling/copy", "ceiling/step"}
        assert set(curves) == parts | {f"{part}_cpu" for part in parts}
        for name in names:
            own = {part: curves[f"{name}/{part}"] for part in PARTS["training"]}
            assert all(values.shape == (7,) and (values > 0).all() for values in own.values())
            np.testing.assert_allclose(own["step"], own["train_forward"] + own["backward"] + own["update"])
            cpu = {part: curves[f"{name}/{part}_cpu"] for part in PARTS["training"]}
            assert all(values.shape == (7,) and (values >= 0).all() for values in cpu.values())
            np.testing.assert_allclose(cpu["step"], cpu["train_forward"] + cpu["backward"] + cpu["update"])
            assert metrics[f"{name}/step_cpu_ms"] == pytest.approx(1e3 * float(np.median(cpu["step"])))
            step = 1e3 * float(np.median(own["step"]))
            assert metrics[f"{name}/step_ms"] == pytest.approx(step)
            assert metrics[f"{name}/tokens_per_second"] == pytest.approx(1e3 * 3 * 12 / step)
            assert metrics[f"{name}/step_share"] == pytest.approx(metrics[f"{name}/step_floor_ms"] / step)
            assert metrics[f"{name}/step_floor_ms"] == pytest.approx(
                3 * 12 * 1e3
                * max(metrics[f"{name}/step_flops"] / metrics["gemm_flops_per_second"],
                      metrics[f"{name}/step_bytes"] / metrics["copy_bytes_per_second"])
            )  # fmt: skip
            gates = 4 if name.startswith("lstm") else 3
            sequential = 2 * 2 * gates * 8 * 8  # of a token's step: the product with the state, and the way back
            assert metrics[f"{name}/step_loop_floor_ms"] == pytest.approx(
                3 * 12 * 1e3 * (
                    sequential / metrics["step_flops_per_second"]
                    + max((metrics[f"{name}/step_flops"] - sequential) / metrics["gemm_flops_per_second"],
                          metrics[f"{name}/step_bytes"] / metrics["copy_bytes_per_second"])
                )
            )  # fmt: skip
            assert metrics[f"{name}/step_loop_share"] == pytest.approx(metrics[f"{name}/step_loop_floor_ms"] / step)
    for name in ("lstm(forget_bias=1)/loop", "gru/loop"):
        assert [metrics[f"{name}/{key}"] for key in ("speedup", "speedup_low", "speedup_high")] == [1.0, 1.0, 1.0]
    before = directory.path(RESULT).stat().st_mtime_ns
    assert measure(job, tmp_path, "study", "disabled") == result
    assert directory.path(RESULT).stat().st_mtime_ns == before


def test_what_ran_is_what_was_said(tmp_path: Path, no_memory: None) -> None:
    """The profiler's own names: oneDNN's layer for an LSTM on the backend torch, products one by one on the loop."""
    job = small(cells=("lstm",), samples=1, seq_len=64, batch_size=16, hidden_size=64)
    kernels = measure(job, tmp_path, "study", "disabled")["metrics"]
    assert "mkldnn_rnn_layer" in kernels["lstm/torch/kernels"]
    assert "mkldnn_rnn_layer" not in kernels["lstm/loop/kernels"]
    assert "aten::" in kernels["lstm/loop/kernels"]


def test_decoding(tmp_path: Path, no_memory: None) -> None:
    """A symbol's time, and nothing of a training; the floor is that of one symbol, for which all weights are read."""
    job = small(cells=("gru", "mingru"), what="decoding", batch_size=2, backends=("loop", "torch", "scan", "plain"))
    assert job.id.startswith("decoding-")
    metrics = measure(job, tmp_path, "study", "disabled")["metrics"]
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
    one = Contestant.made(small(what="decoding"), CellConfig("lstm"), BACKENDS["torch"], CPU)
    whole = one.infer()
    states, seen = one.states, []
    for x in one.instants:
        y, states = one.decode(x, states)
        seen.append(y)
    torch.testing.assert_close(torch.cat(seen, dim=1), whole)


def test_layers_in_a_row_and_both_ways(tmp_path: Path, no_memory: None) -> None:
    """Braun's deep shape, small; torch's own module runs it in one call."""
    job = small(
        cells=("lstm",), input_size=5, num_layers=3, bidirectional=True, backends=("torch", "nn", "loop"), samples=2
    )
    metrics = measure(job, tmp_path, "study", "disabled")["metrics"]
    assert all(f"lstm/{name}/step_ms" in metrics for name in ("torch", "nn", "loop"))
    # A layer: four gates, two directions; the first reads 5 numbers, the others both directions' 8.
    products = sum(2 * 2 * 4 * 8 * (read + 8) for read in (5, 16, 16))
    assert metrics["lstm/nn/forward_flops"] == products


def test_bfloat16(tmp_path: Path, no_memory: None) -> None:
    job = small(cells=("lstm", "mingru"), dtype="bfloat16", num_layers=2)
    metrics = measure(job, tmp_path, "study", "disabled")["metrics"]
    assert {"lstm/loop/step_ms", "mingru/scan/step_ms", "mingru/loop/step_ms"} <= set(metrics)
    assert "bfloat16" in metrics["lstm/torch/refused"]


def test_a_backend_that_declines_is_quoted(tmp_path: Path, no_memory: None) -> None:
    """Where a backend has no kernel, its own words stand in the metrics."""
    metrics = measure(small(cells=("mgu",), samples=1), tmp_path, "study", "disabled")["metrics"]
    assert metrics["mgu/torch/refused"] == "torch.nn has no kernel for this cell"
    assert "mgu/loop/step_ms" in metrics


def test_a_backend_that_breaks_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_memory: None) -> None:
    """An installed package whose interface is another one than expected, say, does not take the others with it."""

    def broken(cell: Cell, x: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise TypeError("scan() got an unexpected keyword argument 'gates'\nand more")

    monkeypatch.setitem(BACKENDS, "saboteur", Saboteur(broken))
    metrics = measure(small(backends=("saboteur", "loop"), samples=1), tmp_path, "study", "disabled")["metrics"]
    assert metrics["rnn/saboteur/refused"] == "it failed: TypeError: scan() got an unexpected keyword argument 'gates'"
    assert "rnn/loop/step_ms" in metrics


def test_what_breaks_while_it_is_timed_is_a_row_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_memory: None
) -> None:
    """Memory that runs out at the tenth turn: that contestant has no figures, the others have all of theirs."""
    turn, count = Contestant.turn, {"rnn/torch": 0}

    def limited(self: Contestant, what: str, clock: DeviceClock) -> tuple[Seconds, ...]:
        if self.name == "rnn/torch":
            count[self.name] += 1
            if count[self.name] == 5:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return turn(self, what, clock)

    monkeypatch.setattr(Contestant, "turn", limited)
    result = measure(small(), tmp_path, "study", "disabled")
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
    assert set(refused) == {f"lstm/{name}/refused" for name in ("torch", "scan", "window", "loop")}
    assert refused["lstm/loop/refused"].startswith("out of memory: B 1048576 × T 4096 × H 512, float32, did not fit")
    assert refused["lstm/scan/refused"] == "its next state is not linear in the last one"


def test_a_user_error_is_said_as_it_is() -> None:
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
    """Unasked, what auto chooses from; all, those on request and the peers too; else who is named, in our order."""
    names = [backend.name for backend in chosen(())]
    assert names == [name for name, one in BACKENDS.items() if not one.on_request_only]
    assert [one.name for one in chosen(("all",))] == list(contenders())
    assert {"graph", "compile", "plain", "nn", "fla"} <= set(contenders())
    assert [one.name for one in chosen(("plain", "loop"))] == ["loop", "plain"]


def test_contestants_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_memory: None) -> None:
    """Each round has every contestant once, in another order; a repetition has the same orders."""
    turns: list[str] = []
    turn = Contestant.turn

    def noted(self: Contestant, what: str, clock: DeviceClock) -> tuple[Seconds, ...]:
        turns.append(self.name)
        return turn(self, what, clock)

    monkeypatch.setattr(Contestant, "turn", noted)
    told: list[tuple[int, int, str]] = []
    job = small(samples=8, warmup=2)
    measure(job, tmp_path / "a", "study", "disabled", lambda *how_far: told.append(how_far))
    count = 2 * len(CELLS)
    rounds = [tuple(turns[i : i + count]) for i in range(0, len(turns), count)]
    assert len(rounds) == 10
    assert all(set(order) == set(rounds[0]) and len(set(order)) == count for order in rounds)
    assert len(set(rounds)) > 5
    assert [one for one in told if one[2] == "time"] == [(i + 1, 10, "time") for i in range(10)]
    assert [one for one in told if one[2] == "certify"] == [(i + 1, 12, "certify") for i in range(12)]
    first = list(turns)
    turns.clear()
    measure(job, tmp_path / "b", "study", "disabled")
    assert turns == first


def test_turns_are_taken_on_one_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_memory: None) -> None:
    """And a job that is interrupted leaves the process where it was."""
    before, cores = os.sched_getaffinity(0), set()
    turn = Contestant.turn

    def noted(self: Contestant, what: str, clock: DeviceClock) -> tuple[Seconds, ...]:
        cores.add(frozenset(os.sched_getaffinity(0)))
        return turn(self, what, clock)

    monkeypatch.setattr(Contestant, "turn", noted)
    measure(small(cells=("rnn",), samples=2), tmp_path, "study", "disabled")
    assert cores == {frozenset({max(before)})}
    assert os.sched_getaffinity(0) == before

    def interrupted(self: Contestant, what: str, clock: DeviceClock) -> tuple[Seconds, ...]:
        raise KeyboardInterrupt

    monkeypatch.setattr(Contestant, "turn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(small(cells=("gru",), samples=2), tmp_path, "study", "disabled")
    assert os.sched_getaffinity(0) == before


def test_a_turn_changes_nothing(ticks: WallClock) -> None:
    """Neither weights nor input: every turn is the same work, and its parts are what the clock says."""

    one = Contestant.made(small(), CellConfig("gru"), BACKENDS["loop"], CPU)
    x, before = one.x.detach().clone(), [p.detach().clone() for p in one.layers.parameters()]
    assert one.turn("training", ticks) == (*[Seconds(10.0, 4.0)] * 4, Seconds(30.0, 12.0))
    assert all(torch.equal(p, old) for p, old in zip(one.layers.parameters(), before, strict=True))
    assert torch.equal(one.x.detach(), x)
    assert one.x.grad is None, "gradients accumulate inside the timed part"


def test_the_same_job_is_the_same_work() -> None:
    """Weights, inputs and cotangents follow from the seed; another backend has copies of the same weights."""
    a, b = (Contestant.made(small(), CellConfig("gru"), Saboteur(loop), CPU) for _ in range(2))
    c = a.on(BACKENDS["torch"])
    assert c.name == "gru/torch"
    for other in (b, c):
        assert torch.equal(a.x, other.x)
        assert torch.equal(a.cotangent, other.cotangent)
        pairs = list(zip(a.layers.parameters(), other.layers.parameters(), strict=True))
        assert all(torch.equal(p, q) and p is not q for p, q in pairs)
    d = Contestant.made(small(seed=1), CellConfig("gru"), Saboteur(loop), CPU)
    assert not torch.equal(a.x, d.x)


def test_a_killed_study_goes_on(tmp_path: Path) -> None:
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

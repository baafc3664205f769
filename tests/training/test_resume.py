"""kill -9 at any moment: the run goes on from its checkpoint to the very weights it would have had."""

from __future__ import annotations

import json
import math
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from support.sweeps import assert_same
from support.training import train_until

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.runs import CHECKPOINT, HISTORY, RESULT, SAMPLE, WEIGHTS, RunDirectory
from rnnbench.system.processes import forkserver
from rnnbench.training import train
from rnnbench.training.checkpoints import load_tensors


def make_run(text_file: Path, cell: str = "lstm") -> Run:
    """Dropout and a schedule, so that the random state and the scheduler's place matter; 4 epochs of a small text."""
    return Run(
        cell=CellConfig(cell),
        model=ModelConfig(hidden_size=48, num_layers=2, dropout=0.2),
        data=DataConfig(path=str(text_file), seq_len=16, batch_size=16),
        optim=OptimConfig(schedule="cosine", warmup=0.1),
        budget=BudgetConfig(steps=300, evals=4),
        probes=ProbeConfig(seq_len=20, batch_size=2, every=60, lyapunov=1),
        seed=3,
    )


@pytest.mark.first
@pytest.mark.parametrize(
    "cell", ["lstm", *(pytest.param(name, marks=pytest.mark.slow) for name in ("s4d", "deltanet"))]
)
def test_killed_and_resumed_equals_undisturbed(text_file: Path, tmp_path: Path, cell: str) -> None:
    run = make_run(text_file, cell)
    train(run, tmp_path / "calm", wandb="disabled")
    calm, killed = (
        RunDirectory(tmp_path / "calm", "single", run.id),
        RunDirectory(tmp_path / "killed", "single", run.id),
    )
    context, kills = forkserver(["rnnbench.training"]), 0
    clocks = []

    def saved() -> int:
        return killed.path(CHECKPOINT).stat().st_mtime_ns if killed.path(CHECKPOINT).exists() else 0

    for delay in (0.1, 0.1, math.inf):  # seconds from a checkpoint to a kill -9
        process = context.Process(target=trained, args=(run, tmp_path / "killed"))
        process.start()
        before = saved()
        while process.is_alive():
            if saved() != before and delay < math.inf:
                time.sleep(delay)
                process.kill()
            process.join(0.01)
        if process.exitcode == -signal.SIGKILL and saved():
            kills += 1
            clocks.append(load_tensors(killed.path(CHECKPOINT))["callbacks"]["StepClock"])
        assert process.exitcode in (0, -signal.SIGKILL)
    assert kills >= 1, "no run was killed after a checkpoint: the test showed nothing"
    assert_same(killed, calm)
    result = killed.result()
    assert result is not None
    assert {clock["started"] for clock in clocks} == {result["started"]}
    elapsed = [clock["elapsed"] for clock in clocks] + [result["seconds"]]
    assert elapsed == sorted(elapsed)
    trained_for = [float(clock["seconds"].sum()) for clock in clocks] + [result["metrics"]["throughput/train_seconds"]]
    assert trained_for == sorted(trained_for), "the times of the steps before a kill count"
    assert killed.path(SAMPLE).read_bytes() == calm.path(SAMPLE).read_bytes()
    assert not killed.path(CHECKPOINT).exists()


def trained(run: Run, root: Path) -> None:
    """In a process of its own."""
    train(run, root, wandb="disabled", checkpoint_seconds=0.2)


@pytest.fixture
def music_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Random music in pieces of all lengths: it can only be learned by heart, so that the best validation is early."""
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    variables = {}
    for part in ("traindata", "validdata", "testdata"):
        variables[part] = np.empty((1, 8), dtype=object)
        for piece in range(8):
            variables[part][0, piece] = (rng.random((5 + 4 * piece, 88)) < 0.05).astype(np.uint8)
    savemat(tmp_path / "noise.mat", variables)
    monkeypatch.setattr("rnnbench.data.music.fetch", lambda name: tmp_path / "noise.mat")
    return Run(
        cell=CellConfig("gru"),
        model=ModelConfig(hidden_size=32, dropout=0.2),
        data=DataConfig(name="jsb", seq_len=12, batch_size=4),
        optim=OptimConfig(lr=0.05),
        budget=BudgetConfig(steps=120, evals=8, keep="best"),
        probes=ProbeConfig(seq_len=8, batch_size=2),
    )


def test_the_best_weights_and_what_was_read_survive_a_cut(
    music_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sequences of several lengths, the best validation before the cut: the same weights, rows and figures."""
    from rnnbench.data.music import MusicData

    train(music_run, tmp_path / "calm", wandb="disabled")
    calm, cut = (
        RunDirectory(tmp_path / "calm", "single", music_run.id),
        RunDirectory(tmp_path / "cut", "single", music_run.id),
    )
    rows = [json.loads(line) for line in calm.path(HISTORY).read_text().splitlines()]
    assert [row["step"] for row in rows if "val/nll" in row] == [15, 30, 45, 60, 75, 90, 105, 120]
    validations = {row["step"]: row["val/nll"] for row in rows if "val/nll" in row}
    best = min(validations, key=lambda step: validations[step])
    assert best < 90, "the best validation is late: the test shows nothing"

    data = MusicData.load(music_run.data)
    read = [data.train_batch(step) for step in range(120)]
    assert any(batch.lengths is not None for batch in read)
    frames = np.cumsum([int(b.lengths.sum()) if b.lengths is not None else b.x[..., 0].numel() for b in read])
    counted = {row["step"]: row["tokens"] for row in rows}
    assert counted == {step: float(frames[step - 1]) for step in {50, 100, 120} | {*validations}}

    # Right after a validation, of which the checkpoint before it knows nothing.
    saved = train_until(105, music_run, tmp_path / "cut", monkeypatch, source=MusicData)
    assert saved["global_step"] == 104
    assert cut.history()[-1]["step"] == 105
    assert saved["rnnbench"]["best"][0] == pytest.approx(validations[best])
    assert cut.result() is None

    train(music_run, tmp_path / "cut", wandb="disabled")
    ours, theirs = (torch.load(directory.path(WEIGHTS), weights_only=True)["model"] for directory in (cut, calm))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert all(torch.equal(ours[key], saved["rnnbench"]["best"][1][key]) for key in theirs)
    assert cut.path(HISTORY).read_text() == calm.path(HISTORY).read_text()
    one, other = calm.result(), cut.result()
    assert one is not None
    assert other is not None
    for key, value in one["metrics"].items():
        if not key.startswith(("throughput/", "memory/", "probes/")):
            assert other["metrics"][key] == value, key


def test_a_finished_run_is_not_touched(text_file: Path, tmp_path: Path) -> None:
    run = Run(
        data=DataConfig(path=str(text_file), seq_len=16, batch_size=4),
        model=ModelConfig(hidden_size=8),
        budget=BudgetConfig(steps=3),
    )
    train(run, tmp_path, wandb="disabled")
    directory = RunDirectory(tmp_path, "single", run.id)
    before = {path: path.stat().st_mtime_ns for path in directory.folder.iterdir()}
    result = train(run, tmp_path, wandb="disabled")
    assert result == json.loads(directory.path(RESULT).read_text())
    assert {path: path.stat().st_mtime_ns for path in directory.folder.iterdir()} == before

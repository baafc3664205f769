"""What counts as diverged: a loss that is no number, or a training loss larger than before training; nothing else."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import SENTENCES
from support.training import text_run, train_until

from rnnbench.cli.main import main
from rnnbench.config import OptimConfig, Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.models.loss import loss
from rnnbench.runs import SAMPLE, RunDirectory
from rnnbench.training import SequenceModule, module_for, train
from rnnbench.training.one_run import has_diverged


def make_run(path: Path, optim: OptimConfig, steps: int = 60, dropout: float = 0.1) -> Run:
    return text_run(path, "rnn", steps, batch_size=4, optim=optim, hidden_size=8, dropout=dropout)


@pytest.fixture
def first_losses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Of every run that this process ends, what its last loss was compared with."""
    seen: list[float] = []

    def noted(metrics: dict[str, Any], module: SequenceModule) -> bool:
        seen.append(module.first_loss)
        return has_diverged(metrics, module)

    monkeypatch.setattr("rnnbench.training.one_run.has_diverged", noted)
    return seen


@pytest.mark.parametrize("times", [0.05, 1.0, 0.999, 1.001, 1e9, math.inf, math.nan])
@pytest.mark.parametrize(
    ("predicts", "metric", "worse"),
    [("symbols", "nll", 1.05), ("labels", "nll", 1.05), ("bits", "nll", 1.05), ("values", "mse", 2.0)],
)
def test_a_training_loss_clearly_larger_than_before_the_first_update(
    predicts: str, metric: str, worse: float, times: float
) -> None:
    """Of what training minimises, whatever else is worse; and what cannot be compared has diverged."""
    module: Any = SimpleNamespace(task=SimpleNamespace(predicts=predicts), first_loss=2.0)
    kept = {f"{part}/{name}": 0.0 for part in ("train", "val", "test") for name in ("nll", "mse")} | {"val/bpc": 1e9}
    metrics = kept | {f"train/{metric}": times * worse * 2.0}
    assert has_diverged(metrics, module) == (not times <= 1)
    overfitted = kept | {f"val/{metric}": times * worse * 2.0}
    assert has_diverged(overfitted, module) == (not math.isfinite(times)), "to overfit is not to diverge"
    unread = kept | {f"test/{metric}": times * worse * 2.0}
    assert has_diverged(unread, module) == (not math.isfinite(times)), "a score that is no number is no score"
    module.first_loss = math.nan
    assert has_diverged(metrics, module)


SMALL = "--cell rnn --model.hidden_size 8 --data.seq_len 16 --data.batch_size 4 --probes.gradient_flow false"


@pytest.mark.parametrize(
    ("text", "steps", "worse"),
    [
        ("".join(random.Random(1).choices("ACGT", k=20_000)), 60, True),  # no model is better than the unigram's 2 bits
        (SENTENCES * 13, 200, False),  # some 2,300 characters: 117 of them are scored
    ],
)
def test_a_hard_and_a_short_text_are_done(
    text: str, steps: int, worse: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And that a baseline is better is a sentence of its own."""
    path, runs = tmp_path / "text.txt", tmp_path / "runs"
    path.write_text(text)
    argv = f"train --data.path {path} {SMALL} --budget.steps {steps} --out {runs} --wandb disabled".split()
    assert main(argv) == 0
    said = capsys.readouterr().out
    (folder,) = (runs / "single").glob("rnn-*")
    result = json.loads((folder / "result.json").read_text())
    metrics = result["metrics"]
    assert result["status"] == "done"
    assert "diverged" not in said
    assert metrics["train/nll"] < math.log(len(set(text)) + 1), "it has learnt"
    assert (metrics["test/bpc"] > metrics["reference/unigram_bpc"]) == worse
    assert not [name for name in metrics if "unigram" in name and name != "reference/unigram_bpc"]
    assert ("is worse than the baseline unigram (" in said) == worse


def test_what_diverged_is_said(text_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = f"train --data.path {text_file} {SMALL} --budget.steps 30 --out {tmp_path / 'runs'} --wandb disabled"
    assert main([*argv.split(), "--optim.name", "sgd", "--optim.lr", "1e6", "--optim.clip", "null"]) == 0
    said = capsys.readouterr().out
    assert "diverged: a loss is not finite, or the training part's clearly larger than before training\n" in said
    assert "baseline" not in said


@pytest.mark.parametrize(("lr", "finite"), [(1e6, False), (30.0, True)])
def test_divergence_is_recorded(
    lr: float, finite: bool, text_file: Path, tmp_path: Path, first_losses: list[float]
) -> None:
    """A learning rate that makes the loss NaN, or larger than it was, ends as diverged, not as a figure."""
    run = make_run(text_file, OptimConfig(name="sgd", lr=lr, clip=1.0 if finite else None))
    result = train(run, tmp_path, wandb="disabled")
    assert result["status"] == "diverged"
    assert not RunDirectory(tmp_path, "single", run.id).path(SAMPLE).exists(), "a diverged model writes nothing"
    if finite:
        assert 1.05 * first_losses[0] < result["metrics"]["train/nll"] < math.inf


def test_the_first_loss_is_that_before_any_update(text_file: Path, tmp_path: Path, first_losses: list[float]) -> None:
    run = make_run(text_file, OptimConfig(lr=0.1), 20, dropout=0.0)
    train(run, tmp_path / "whole", wandb="disabled")
    train(run, tmp_path / "parts", wandb="disabled", micro_batches=3)
    data = SequenceDataModule(run.data, run.seed, run.steps)
    torch.manual_seed(run.seed)
    module, batch = module_for(run, data.task), data.source.train_batch(0)
    assert module.first_loss == math.inf, "before it there is nothing to compare with"
    with torch.no_grad():
        expected = float(loss(module.model.predict(batch)[0], batch, data.task))
    assert first_losses == pytest.approx([expected] * 2, rel=1e-6)


def test_the_first_loss_survives_a_checkpoint(
    text_file: Path, tmp_path: Path, first_losses: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was lost by then is measured from the beginning, and not from where a run was taken up."""
    run = make_run(text_file, OptimConfig(lr=0.05), 40)
    train(run, tmp_path / "calm", wandb="disabled")
    saved = train_until(25, run, tmp_path / "cut", monkeypatch)
    assert 0 < saved["global_step"] <= 25
    assert saved["rnnbench"]["first_loss"] == first_losses[0]
    train(run, tmp_path / "cut", wandb="disabled")
    assert len(first_losses) == 2
    assert first_losses[0] == first_losses[1]

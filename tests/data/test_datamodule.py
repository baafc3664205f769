"""The DataModule under a real Trainer: a resumed training sees the very batches it would have seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from support.batches import same

from rnnbench.config import DataConfig
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.data.source import Source
from rnnbench.data.task import Batch
from rnnbench.errors import UserError

STEPS = 20


class Watcher(lightning.LightningModule):
    """Keeps what it is given, and saves itself after some step."""

    def __init__(self, save_after: int | None = None, path: str = "") -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.save_after, self.path = save_after, path
        self.seen: list[Batch] = []
        self.validated: list[Batch] = []
        self.tested: dict[int, list[Batch]] = {}

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        assert isinstance(batch, Batch)
        self.seen.append(batch)
        return (self.weight - batch.y.double().mean()) ** 2

    def on_train_batch_end(self, *_: Any) -> None:
        if self.global_step == self.save_after:
            self.trainer.save_checkpoint(self.path)

    def validation_step(self, batch: Batch, index: int) -> None:
        self.validated.append(batch)

    def test_step(self, batch: Batch, index: int, dataloader_idx: int = 0) -> None:
        self.tested.setdefault(dataloader_idx, []).append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(path: Path, **options: Any) -> lightning.Trainer:
    quiet: dict[str, Any] = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "barebones": False,
    }
    return lightning.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=STEPS,
        default_root_dir=path,
        enable_model_summary=False,
        **quiet,
        **options,
    )


def module(tmp_path: Path, **options: Any) -> SequenceDataModule:
    (tmp_path / "t.txt").write_text("the quick brown fox jumps over the lazy dog. " * 40)
    data = DataConfig(path=str(tmp_path / "t.txt"), seq_len=16, batch_size=8)
    return SequenceDataModule(data, seed=5, steps=STEPS, **options)


# 13 steps are an epoch of this text: the training passes into its second
@pytest.mark.parametrize("save_after", [1, 7, 13, 19])
@pytest.mark.parametrize("val_every", [None, 7])
def test_a_resumed_training_sees_the_same_batches(tmp_path: Path, save_after: int, val_every: int | None) -> None:
    options: dict[str, Any] = {"val_check_interval": val_every} if val_every else {"limit_val_batches": 0}
    straight = Watcher()
    trainer(tmp_path, **options).fit(straight, module(tmp_path))
    assert len(straight.seen) == STEPS
    assert sum(batch.reset for batch in straight.seen) == 2

    checkpoint = str(tmp_path / "at.ckpt")
    stopped = Watcher(save_after, checkpoint)
    trainer(tmp_path, **options).fit(stopped, module(tmp_path))
    resumed = Watcher()
    trainer(tmp_path, **options).fit(resumed, module(tmp_path), ckpt_path=checkpoint, weights_only=True)
    seen = stopped.seen[:save_after] + resumed.seen
    assert len(seen) == STEPS
    assert all(same(one, two) for one, two in zip(seen, straight.seen, strict=True))
    assert torch.equal(resumed.weight, straight.weight)


def test_validation_and_test_reach_the_model_whole(tmp_path: Path) -> None:
    data = module(tmp_path, val_tokens=50)
    model = Watcher()
    run = trainer(tmp_path, num_sanity_val_steps=0)
    run.validate(model, data, verbose=False)
    assert sum(batch.y.numel() for batch in model.validated) == 49
    run.test(model, data, verbose=False)
    scored = {
        index: sum(int(b.mask.sum()) if b.mask is not None else b.y.numel() for b in batches)
        for index, batches in model.tested.items()
    }
    characters = data.source.facts()["split"]["test"]
    assert scored == {0: characters - 1}
    assert all(same(one, two) for one, two in zip(model.tested[0], data.evaluation("test"), strict=True))


def test_numbers_are_tested_once() -> None:
    data = SequenceDataModule(DataConfig(name="adding", seq_len=8), steps=3)
    assert sum(len(batch.x) for batch in data.test_dataloader()) == 1000
    assert data.source.vocabulary is None
    assert [len(batch.x) for batch in data.train_dataloader()] == [32] * 3


def test_the_data_are_read_once_and_only_when_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    from rnnbench.data import datamodule

    calls = []
    real = datamodule.load

    def counted(data: DataConfig, seed: int) -> Source:
        calls.append(seed)
        return real(data, seed)

    monkeypatch.setattr(datamodule, "load", counted)
    data = SequenceDataModule(DataConfig(name="adding"), seed=9)
    assert not calls
    data.setup("fit")
    data.setup("test")
    assert data.task.input_size == 2
    assert len(data.fingerprint) == 64
    assert data.references() == {"guess_mse": 1 / 6}
    assert data.probe_batch(4, 5).x.shape == (5, 64, 2)
    assert calls == [9]


def test_bad_data_is_a_user_error_at_setup() -> None:
    with pytest.raises(UserError, match="does not exist"):
        SequenceDataModule(DataConfig(path="none.txt")).setup()

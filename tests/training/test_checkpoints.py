"""What becomes of a checkpoint that is damaged, hostile, of other data, or has no room on the disk."""

from __future__ import annotations

import pickle
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from support.sweeps import assert_same
from support.training import text_run

from rnnbench.config import Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.errors import UserError
from rnnbench.runs import CHECKPOINT, HISTORY, RunDirectory, StorageError
from rnnbench.training import train
from rnnbench.training.checkpoints import ResumePoint, load_tensors


@pytest.fixture
def run(text_file: Path) -> Run:
    return text_run(text_file, hidden_size=32, dropout=0.2)


@pytest.fixture
def directory(run: Run, tmp_path: Path) -> RunDirectory:
    """The run's, with a folder."""
    directory = RunDirectory(tmp_path / "runs", "single", run.id)
    directory.folder.mkdir(parents=True)
    return directory


class Hostile:
    """A pickle that would write a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return exec, (f"open({str(self.target)!r}, 'w').close()",)


@pytest.mark.parametrize("kind", ["hostile", "garbage", "cut short", "empty", "other tensors"])
def test_a_bad_checkpoint_is_set_aside_and_not_executed(
    run: Run, directory: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """The run comes to the result that it would have come to without."""
    path, executed = directory.path(CHECKPOINT), tmp_path / "executed"
    if kind == "hostile":
        torch.save({"rnnbench": Hostile(executed), "global_step": 1}, path)
    elif kind == "garbage":
        path.write_bytes(pickle.dumps(Hostile(executed)))
    elif kind == "cut short":
        torch.save({"x": torch.zeros(10_000)}, path)
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "empty":
        path.touch()
    else:
        torch.save({"x": torch.zeros(3)}, path)
    content = path.read_bytes()
    directory.path(HISTORY).write_text('{"step": 50, "train/bpc": 1.0}\n')
    refused = path.with_name("last.ckpt.refused")
    refused.write_bytes(b"an earlier one")
    train(run, tmp_path / "runs", wandb="disabled")
    assert not executed.exists()
    assert refused.read_bytes() == content
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"rnnbench: {path} is damaged")
    assert line.endswith("set aside as last.ckpt.refused, and the run begins anew.")
    train(run, tmp_path / "calm", wandb="disabled")
    assert_same(directory, RunDirectory(tmp_path / "calm", "single", run.id))


def test_a_good_checkpoint_is_not_set_aside_for_want_of_memory(
    run: Run, directory: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"x": torch.zeros(3)}, directory.path(CHECKPOINT))

    def none_left(*args: object, **kwargs: object) -> None:
        raise MemoryError

    monkeypatch.setattr(torch, "load", none_left)
    with pytest.raises(MemoryError):
        train(run, tmp_path / "runs", wandb="disabled")
    assert directory.path(CHECKPOINT).exists()


def test_what_the_disk_will_not_hand_out_is_not_set_aside(run: Run, directory: RunDirectory, tmp_path: Path) -> None:
    directory.path(CHECKPOINT).mkdir()
    with pytest.raises(StorageError, match=r"cannot read .*last.ckpt: Is a directory"):
        train(run, tmp_path / "runs", wandb="disabled")
    assert directory.path(CHECKPOINT).exists()


@pytest.mark.parametrize("form", [None, {}, {"form": "2"}, {"form": "3"}])
def test_a_checkpoint_of_other_data_or_an_earlier_version_is_refused(
    run: Run, directory: RunDirectory, tmp_path: Path, form: dict[str, str] | None
) -> None:
    """The first counted its steps elsewhere, the second knew neither noise nor a first loss, the third no clock."""
    sha = SequenceDataModule(run.data, run.seed).fingerprint
    saved = {"data_sha256": "0" * 64} if form is None else {"data_sha256": sha, **form}
    torch.save({"rnnbench": saved, "global_step": 1}, directory.path(CHECKPOINT))
    message = "belongs to other data" if form is None else "of another version of rnnbench; delete it"
    with pytest.raises(UserError, match=message):
        train(run, tmp_path / "runs", wandb="disabled")


@pytest.fixture
def small_files_only() -> Iterator[None]:
    """Puts back what the test has set."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.mark.usefixtures("small_files_only")
def test_a_disk_that_fills_leaves_the_last_checkpoint(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel refuses to write files of a checkpoint's size, after some have been written."""
    run = text_run(text_file, steps=200, hidden_size=32, dropout=0.2)
    directory, calm = (RunDirectory(tmp_path / name, "single", run.id) for name in ("runs", "calm"))
    monkeypatch.setattr(ResumePoint, "_cost", property(lambda self: 0.0, lambda self, value: None), raising=False)
    whole = resource.getrlimit(resource.RLIMIT_FSIZE)
    steps = []

    def progress(done: int, total: int, what: str) -> None:
        if what == "train" and directory.path(CHECKPOINT).exists() and not steps:
            steps.append(done)
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, whole[1]))

    with pytest.raises(StorageError) as caught:
        train(run, tmp_path / "runs", wandb="disabled", progress=progress, checkpoint_seconds=0.0)
    resource.setrlimit(resource.RLIMIT_FSIZE, whole)
    said = str(caught.value)
    assert said == f"cannot write to {directory.folder}: File too large; choose another folder with --out."
    assert not list(directory.folder.glob("*.part"))
    assert 0 < load_tensors(directory.path(CHECKPOINT))["global_step"] <= steps[0]
    monkeypatch.undo()
    train(run, tmp_path / "runs", wandb="disabled")
    train(run, tmp_path / "calm", wandb="disabled")
    assert_same(directory, calm)

"""Several processes train one run together: the training of one process, row for row."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.errors import UserError
from rnnbench.models.loss import loss
from rnnbench.runs import CHECKPOINT, HISTORY, WEIGHTS, RunDirectory
from rnnbench.system import signals
from rnnbench.training import module_for, train
from rnnbench.training.checkpoints import load_tensors

RNNBENCH = [sys.executable, "-m", "rnnbench"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def text_run(text_file: Path, steps: int = 70, dropout: float = 0.0) -> Run:
    """Seven streams for two processes: unequal shares, the state carried."""
    return Run(
        cell=CellConfig("lstm"),
        model=ModelConfig(hidden_size=24, num_layers=2, dropout=dropout),
        data=DataConfig(path=str(text_file), seq_len=16, batch_size=7),
        budget=BudgetConfig(steps=steps, evals=3),
        probes=ProbeConfig(seq_len=12, batch_size=2, every=40),
    )


def written_run(text_file: Path) -> Run:
    """Sequences of several lengths, of which what pads counts nowhere."""
    return Run(
        cell=CellConfig("gru"),
        model=ModelConfig(hidden_size=16, bidirectional=True),
        data=DataConfig(name="reversal", seq_len=10, batch_size=9),
        budget=BudgetConfig(steps=60, evals=2),
        probes=ProbeConfig(gradient_flow=False),
    )


def rows(root: Path, run: Run) -> list[dict[str, float]]:
    """Numbers alone: a lag beyond those measured is infinite, and JSON has no such number."""
    return [{key: float(value) for key, value in row.items()} for row in RunDirectory(root, "single", run.id).history()]


def loss_before_any_update(run: Run) -> float:
    """Of the whole first batch, with neither processes nor parts nor Lightning."""
    data = SequenceDataModule(run.data, run.seed, run.steps)
    torch.manual_seed(run.seed)
    module, batch = module_for(run, data.task), data.source.train_batch(0)
    with torch.no_grad():
        return float(loss(module.model.predict(batch)[0], batch, data.task))


def assert_close(root: Path, other: Path, run: Run, rel: float = 1e-5) -> None:
    """Losses, norms and validations of each row, and the final figures."""
    ours, theirs = rows(root, run), rows(other, run)
    assert len(ours) == len(theirs) > 3
    for row, same in zip(ours, theirs, strict=True):
        assert row == pytest.approx(same, rel=rel)
    one, same = (RunDirectory(each, "single", run.id).result() for each in (root, other))
    assert one is not None
    assert same is not None
    assert one["metrics"].keys() == same["metrics"].keys()
    for name, value in same["metrics"].items():
        if name.startswith(("train/", "val/", "test/")):
            assert one["metrics"][name] == pytest.approx(value, rel=10 * rel), name


@pytest.mark.parametrize(
    ("make", "micro_batches"), [(text_run, 1), pytest.param(written_run, 2, marks=pytest.mark.slow)]
)
def test_two_processes_are_one(make: Any, micro_batches: int, text_file: Path, tmp_path: Path) -> None:
    run = make(text_file)
    alone = train(run, tmp_path / "alone", wandb="disabled")
    steps: list[int] = []
    both = train(
        run, tmp_path / "both", wandb="disabled", devices=2, micro_batches=micro_batches,
        progress=lambda done, total, what: steps.append(done),
    )  # fmt: skip
    assert_close(tmp_path / "both", tmp_path / "alone", run)
    assert both["environment"]["devices"] == 2
    assert both["environment"].get("micro_batches", 1) == micro_batches
    assert "devices" not in alone["environment"]
    assert steps[0] == 0
    assert steps[-1] == run.steps


@pytest.mark.slow
def test_stopped_and_resumed_equals_undisturbed(text_file: Path, tmp_path: Path) -> None:
    """With dropout, of which each process draws its own; and as another number of processes, which draws other."""
    run = text_run(text_file, 700, dropout=0.2)
    directory = RunDirectory(tmp_path / "stopped", "single", run.id)
    sent: list[str] = []

    def progress(done: int, total: int, what: str) -> None:
        if what == "train" and not sent:
            sent.append(what)
            os.kill(os.getpid(), signal.SIGTERM)

    with signals.armed(signal.SIGTERM), pytest.raises(signals.Stopped) as caught:
        train(run, tmp_path / "stopped", wandb="disabled", devices=2, progress=progress)
    saved = load_tensors(directory.path(CHECKPOINT))
    assert caught.value.step == saved["global_step"]
    assert 0 < saved["global_step"] < 700
    assert [tuple(s.shape[:1]) for s in saved["rnnbench"]["carry"]] == [(7,), (7,)]
    assert not torch.equal(*saved["rnnbench"]["rng"])
    assert saved["rnnbench"]["first_loss"] == pytest.approx(loss_before_any_update(run), rel=0.1)  # but for dropout
    for name in ("three", "one"):
        copy = RunDirectory(tmp_path / name, "single", run.id)
        copy.folder.mkdir(parents=True)
        for file in (CHECKPOINT, HISTORY):
            copy.path(file).write_bytes(directory.path(file).read_bytes())
    train(run, tmp_path / "stopped", wandb="disabled", devices=2)
    calm = train(run, tmp_path / "calm", wandb="disabled", devices=2)
    assert rows(tmp_path / "stopped", run) == rows(tmp_path / "calm", run)
    ours, theirs = (
        load_tensors(RunDirectory(tmp_path / name, "single", run.id).path(WEIGHTS))["model"]
        for name in ("stopped", "calm")
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    for name, devices in (("three", 3), ("one", 1)):
        result = train(run, tmp_path / name, wandb="disabled", devices=devices)
        assert result["metrics"]["val/bpc"] == pytest.approx(calm["metrics"]["val/bpc"], abs=0.3)


@pytest.mark.slow
def test_what_ends_one_process_ends_all_and_the_run_can_be_resumed(text_file: Path, tmp_path: Path) -> None:
    """SIGTERM and Ctrl-C to the command, kill -9 of a worker and of the command; then one process ends the run."""
    run = text_run(text_file, 900)
    directory = RunDirectory(tmp_path / "killed", "single", run.id)
    config = tmp_path / "run.yaml"
    config.write_text(json.dumps(run.to_dict()))
    command = [*RNNBENCH, "train", "--config", str(config), "--out", str(tmp_path / "killed")]
    command += ["--devices", "2", "--wandb", "disabled"]

    def ended_by(end: Callable[[int], None]) -> tuple[int, list[str]]:
        """The exit status and the messages of a command that is ended once it has written a row."""
        before = directory.path(HISTORY).stat().st_size if directory.path(HISTORY).exists() else 0
        process = subprocess.Popen(command, env=ENVIRONMENT, start_new_session=True, stderr=subprocess.PIPE, text=True)
        try:
            while not directory.path(HISTORY).exists() or directory.path(HISTORY).stat().st_size <= before:
                assert process.poll() is None
                time.sleep(0.02)
            assert len(workers(process.pid)) == 2
            end(process.pid)
            _, messages = process.communicate(timeout=15)
            deadline = time.monotonic() + 10
            while workers(process.pid) and time.monotonic() < deadline:
                time.sleep(0.05)
            assert not workers(process.pid), "a worker outlives the command"
        finally:
            for pid in (*workers(process.pid), process.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return process.returncode, messages.splitlines()

    status, lines = ended_by(lambda pid: os.kill(pid, signal.SIGTERM))
    saved = load_tensors(directory.path(CHECKPOINT))["global_step"]
    assert (status, lines) == (143, [f"rnnbench: interrupted at step {saved}; the same command goes on from here."])
    # A terminal sends Ctrl-C to the foreground process group.
    status, lines = ended_by(lambda pid: os.killpg(pid, signal.SIGINT))
    saved = load_tensors(directory.path(CHECKPOINT))["global_step"]
    assert (status, lines) == (130, [f"rnnbench: interrupted at step {saved}; the same command goes on from here."])
    status, lines = ended_by(lambda pid: os.kill(workers(pid)[-1], signal.SIGKILL))
    message = "rnnbench: error: the process of rank 1 was killed by SIGKILL; the same command continues the run"
    assert (status, len(lines)) == (2, 1)
    assert lines[0].startswith(message)
    status, lines = ended_by(lambda pid: os.kill(pid, signal.SIGKILL))
    assert status == -signal.SIGKILL
    first = load_tensors(directory.path(CHECKPOINT))["global_step"]
    train(run, tmp_path / "killed", wandb="disabled")
    train(run, tmp_path / "calm", wandb="disabled")
    ours, theirs = (
        {row["step"]: row["train/bpc"] for row in rows(tmp_path / name, run) if "train/bpc" in row}
        for name in ("killed", "calm")
    )
    assert ours.keys() == theirs.keys()
    for step, value in theirs.items():  # rounding grows with the steps
        assert ours[step] == pytest.approx(value, rel=1e-4 if step < first + 50 else 0.05), step


def workers(leader: int) -> list[int]:
    """Living processes of a session that lead a process group of their own, in the order of their start."""
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, group, session = path.read_text().rpartition(")")[2].split()[:4]
            pid = int(path.parent.name)
            if state not in "ZX" and int(session) == leader and int(group) == pid != leader:
                pids.append(pid)
    return sorted(pids)


@pytest.mark.slow
def test_an_error_of_one_process_is_reported_by_its_name(text_file: Path, tmp_path: Path) -> None:
    """A cell that breaks in rank 1: the error is the cell's, not the broken connection's."""
    cell = tmp_path / "fragile.py"
    cell.write_text(
        "import os\n"
        "from rnnbench.cells import RNN, register_cell\n"
        "@register_cell('fragile')\n"
        "class Fragile(RNN):\n"
        "    torch_mode = None\n"
        "    def step(self, u, s):\n"
        "        if os.environ.get('RANK') == '1':\n"
        "            raise ArithmeticError('broken in two')\n"
        "        return super().step(u, s)\n"
    )
    words = ["--cell", "fragile", "--data.path", str(text_file), "--data.seq_len", "16", "--data.batch_size", "4"]
    words += ["--budget.steps", "20", "--out", str(tmp_path / "runs"), "--devices", "2", "--wandb", "disabled"]
    done = subprocess.run(
        [*RNNBENCH, "train", *words],
        env={**ENVIRONMENT, "RNNBENCH_CELLS": str(cell)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].endswith("ArithmeticError: broken in two")


@pytest.mark.slow
def test_torchruns_processes_are_used(text_file: Path, tmp_path: Path) -> None:
    words = ["--data.path", str(text_file), "--data.seq_len", "16", "--data.batch_size", "8", "--budget.steps", "60"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "-m", "rnnbench"]
    command += ["train", *words, "--out", str(tmp_path), "--wandb", "disabled", "--json"]
    refused, done = (
        subprocess.run([*command, *more], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
        for more in ([], ["--devices", "2"])
    )
    assert refused.returncode != 0
    assert "torchrun has started 2 processes, and devices is 1; give --devices 2." in refused.stderr
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["status"], result["environment"]["devices"]) == ("done", 2)


def test_what_cannot_be_shared_out_is_refused(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = text_run(text_file)
    for counts, sentence in (
        ({"devices": 8}, "a batch of 7 sequences cannot be divided among 8 devices; take fewer"),
        ({"devices": 4, "micro_batches": 2}, "among 4 devices × 2 micro-batches"),
        ({"micro_batches": 8}, "among 8 micro-batches"),
        ({"devices": 0}, "devices must be at least 1, got 0"),
    ):
        with pytest.raises(UserError, match=sentence):
            train(run, tmp_path, wandb="disabled", **counts)
    monkeypatch.setattr("rnnbench.system.machine.has_cuda", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="devices 2 asks for more GPUs than the 1 that torch sees here"):
        train(dataclasses.replace(run, device="cuda"), tmp_path, wandb="disabled", devices=2)
    assert not list(tmp_path.glob("single/*"))

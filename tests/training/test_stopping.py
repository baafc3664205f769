"""A signal ends a run at a good moment: nothing is lost, and the resumed run is an undisturbed one, bit for bit."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.sweeps import assert_same
from support.training import text_run, train_until

from rnnbench.config import BudgetConfig, ProbeConfig, Run
from rnnbench.data.task import Batch
from rnnbench.data.text.streams import TextData
from rnnbench.runs import CHECKPOINT, HISTORY, RunDirectory
from rnnbench.system import signals
from rnnbench.training import train
from rnnbench.training.checkpoints import load_tensors


@pytest.fixture(autouse=True)
def _sigint_as_it_was() -> Iterator[None]:
    """Lightning leaves Ctrl-C ignored behind an interrupted training."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


def make_run(text_file: Path) -> Run:
    return text_run(
        text_file, steps=200, evals=4, hidden_size=48, dropout=0.2, probes=ProbeConfig(seq_len=12, batch_size=2)
    )


def sends(when: Callable[[int, str], bool], times: int = 1) -> Callable[[int, int, str], None]:
    """A progress function that sends this process a SIGTERM once it hears what it waits for."""
    left = [times]

    def progress(done: int, total: int, what: str) -> None:
        while when(done, what) and left[0]:
            left[0] -= 1
            signal.raise_signal(signal.SIGTERM)

    return progress


def test_stopped_and_resumed_equals_undisturbed(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the first step, in the training, in the evaluation; no checkpoint but the stop's own is written."""
    run = make_run(text_file)
    calm, stopped = (RunDirectory(tmp_path / name, "single", run.id) for name in ("calm", "stopped"))
    train(run, tmp_path / "calm", wandb="disabled")

    def attempt(when: Callable[[int, str], bool] = lambda done, what: False) -> int | None:
        with signals.armed(signal.SIGTERM), pytest.raises(signals.Stopped) as caught:
            train(run, tmp_path / "stopped", wandb="disabled", progress=sends(when), checkpoint_seconds=1e9)
        assert caught.value.status == 143
        assert stopped.result() is None
        return caught.value.step

    assert attempt(lambda done, what: what == "probe") is None
    assert not stopped.path(CHECKPOINT).exists()
    draw = TextData.train_batch
    for at, wanted in ((60, 61), (99, 101), (149, 151)):  # rows of the history are due after the 100th, 150th batch

        def signalling(self: TextData, step: int, at: int = at) -> Batch:
            if step == at:
                signal.raise_signal(signal.SIGTERM)
            return draw(self, step)

        with monkeypatch.context() as patch:
            patch.setattr(TextData, "train_batch", signalling)
            assert attempt() == wanted
        assert load_tensors(stopped.path(CHECKPOINT))["global_step"] == wanted
    assert attempt(lambda done, what: what == "evaluate") is None
    assert load_tensors(stopped.path(CHECKPOINT))["global_step"] == 151
    train(run, tmp_path / "stopped", wandb="disabled")
    assert_same(stopped, calm)


@pytest.mark.slow
def test_a_checkpoint_of_whole_batches_is_resumed_in_parts(
    text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a run that ran out of memory: it is resumed with micro-batches, on the same curve."""
    run = text_run(text_file, steps=120, evals=4)
    calm = train(run, tmp_path / "calm", wandb="disabled")
    assert train_until(70, run, tmp_path / "cut", monkeypatch, MemoryError)["global_step"] >= 69
    cut = train(run, tmp_path / "cut", wandb="disabled", micro_batches=3)
    assert cut["environment"]["micro_batches"] == 3
    ours, theirs = (RunDirectory(tmp_path / name, "single", run.id).history() for name in ("cut", "calm"))
    for row, same in zip(ours, theirs, strict=True):
        assert row == pytest.approx(same, rel=1e-4)
    assert cut["metrics"]["test/bpc"] == pytest.approx(calm["metrics"]["test/bpc"], rel=1e-4)


def test_a_second_signal_does_not_wait(text_file: Path, tmp_path: Path) -> None:
    run = make_run(text_file)
    with signals.armed(signal.SIGTERM), pytest.raises(KeyboardInterrupt):
        train(run, tmp_path, wandb="disabled", progress=sends(lambda done, what: what == "train", times=2))
    assert not RunDirectory(tmp_path, "single", run.id).path(CHECKPOINT).exists()


def test_no_batch_is_waited_for_that_never_comes(text_file: Path, tmp_path: Path) -> None:
    """A validation after each batch leaves no moment for a checkpoint: the run stops all the same."""
    run = dataclasses.replace(make_run(text_file), budget=BudgetConfig(steps=3000, evals=3000, val_tokens=100))
    begin = time.monotonic()
    with signals.armed(signal.SIGTERM), pytest.raises(signals.Stopped) as caught:
        train(run, tmp_path, wandb="disabled", progress=sends(lambda done, what: what == "train"))
    assert caught.value.step is None
    assert time.monotonic() - begin < 10


def test_signals_mean_afterwards_what_they_meant_before() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with signals.armed(signal.SIGTERM):
        try:
            with signals.at_a_batchs_end():
                signal.raise_signal(signal.SIGTERM)
                assert signals.asked() == signal.SIGTERM
        except signals.Stopped:
            pass
        else:
            pytest.fail("a request that nobody heeded was forgotten")
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
    assert signals.asked() is None
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with signals.armed(signal.SIGTERM):
            signal.raise_signal(signal.SIGTERM)  # nohup's wish is respected
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), pytest.param("SIGTERM", 143, marks=pytest.mark.slow)])
def test_the_command_says_so(text_file: Path, tmp_path: Path, name: str, status: int) -> None:
    """One sentence, the status that shells expect, a checkpoint of the step named."""
    words = ["--data.path", str(text_file), "--data.seq_len", "16", "--data.batch_size", "4", "--model.hidden_size"]
    words += ["16", "--budget.steps", "100000", "--probes.gradient_flow", "false", "--out", str(tmp_path / "runs")]
    process = subprocess.Popen(
        [sys.executable, "-m", "rnnbench", "train", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job ignores it
    )
    try:
        while not [path for path in tmp_path.glob(f"runs/single/*/{HISTORY}") if path.stat().st_size]:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(getattr(signal, name))
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    (path,) = tmp_path.glob(f"runs/single/*/{CHECKPOINT}")
    step = load_tensors(path)["global_step"]
    assert err.strip().splitlines()[-1] == f"rnnbench: interrupted at step {step}; the same command resumes it."
    assert process.returncode == status
    assert out.startswith("read  ")  # how the text was read, and nothing behind it
    assert "\nlooks wrong  " in out

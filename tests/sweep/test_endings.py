"""What may become of a run, told apart: each by its name in the ledger, and what the sweep does about it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from support.sweeps import assert_same

from rnnbench.cells import registry
from rnnbench.config import Run
from rnnbench.runs import CHECKPOINT, RunDirectory
from rnnbench.sweep import queued_jobs as tasks
from rnnbench.sweep import scheduler
from rnnbench.sweep.display import Display
from rnnbench.sweep.outcome import Options, Outcome
from rnnbench.sweep.scheduler import Scheduler
from rnnbench.sweep.study import find_study

#: A study whose only run meets what KIND says; BREAKS is a file as long as that is so.
TROUBLE = """
import os, signal, time
from pathlib import Path
import torch
from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study
from rnnbench.cells import RNN, register_cell

KIND, BREAKS = {kind!r}, Path({breaks!r})

@register_cell("troubled")
class Troubled(RNN):
    torch_mode = None

    def drive(self, x):
        if self.training and BREAKS.exists():
            if KIND == "large" and x.shape[0] == 16:
                raise torch.OutOfMemoryError("tried to allocate 40 GiB")
            if KIND == "full":
                raise MemoryError
            if KIND == "broken":
                raise ArithmeticError("the cell is broken")
            if KIND == "slow":
                time.sleep(0.05)
            if KIND == "shot":
                BREAKS.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if KIND == "exit":
                os._exit(3)
        return super().drive(x)

RUN = Run(cell=CellConfig("troubled"), model=ModelConfig(hidden_size=8),
          data=DataConfig(path={text!r}, seq_len=8, batch_size=16), budget=BudgetConfig(steps=120, evals=1),
          probes=ProbeConfig(gradient_flow=False))
STUDY = Study("trouble", "What then?", {{"quick": lambda: [RUN]}})
"""


class Trouble:
    """The study, and its sweep by one worker."""

    def __init__(self, folder: Path, text: Path, kind: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.breaks, study = folder, folder / "breaks", folder / "trouble.py"
        self.breaks.touch()
        study.write_text(TROUBLE.format(kind=kind, breaks=str(self.breaks), text=str(text)))
        (job,) = find_study(str(study)).jobs("quick")
        assert isinstance(job, Run)
        self.run, self.directory = job, RunDirectory(folder / "runs", "trouble", job.id)

    def calm(self) -> RunDirectory:
        """The run as it is where nothing troubles it."""
        self.breaks.unlink(missing_ok=True)
        Scheduler(
            [self.run], self.folder / "calm", "trouble", Options(1, "disabled"), Display(Console(quiet=True))
        ).run()
        return RunDirectory(self.folder / "calm", "trouble", self.run.id)

    def sweep(self, timeout: float | None = None, retry: str = "") -> tuple[Outcome, str]:
        """How it ended, and what people saw."""
        seen = io.StringIO()
        options = Options(1, "disabled", timeout, frozenset({retry} - {""}))
        display = Display(Console(file=seen, width=200))
        outcome = Scheduler([self.run], self.folder / "runs", "trouble", options, display).run()
        return outcome, seen.getvalue()

    def result(self) -> dict[str, Any]:
        found = self.directory.result()
        assert found is not None
        return found


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One short pause before a run is given up; what the studies register is forgotten."""
    for module in (scheduler, tasks):
        monkeypatch.setattr(module, "DELAYS", (0.2,))
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))
    monkeypatch.setenv("RNNBENCH_CELLS", "")
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))


def test_an_error_of_the_code_is_recorded_at_once(tmp_path: Path, text_file: Path) -> None:
    """With its traceback; it is not tried again unless asked."""
    trouble = Trouble(tmp_path, text_file, "broken")
    outcome, said = trouble.sweep()
    assert dict(outcome.trouble) == {trouble.run.id: "ArithmeticError: the cell is broken"}
    assert "again" not in said
    assert "Traceback" not in said
    assert trouble.result()["status"] == "failed"
    assert 'raise ArithmeticError("the cell is broken")' in trouble.result()["traceback"]
    trouble.breaks.unlink()
    assert trouble.sweep()[0].skipped == [trouble.run.id]
    assert trouble.sweep(retry="oom")[0].skipped == [trouble.run.id]
    assert trouble.sweep(retry="failed")[0].finished == [trouble.run.id]
    assert trouble.result()["status"] == "done"


def test_no_memory_whatever_is_tried(tmp_path: Path, text_file: Path) -> None:
    trouble = Trouble(tmp_path, text_file, "full")
    outcome, said = trouble.sweep()
    assert dict(outcome.trouble) == {trouble.run.id: "MemoryError"}
    assert said.count("each batch in two halves") == 1
    assert trouble.result()["status"] == "oom"
    assert trouble.result()["environment"] == {"micro_batches": 2}
    trouble.breaks.unlink()
    assert trouble.sweep(retry="oom")[0].finished == [trouble.run.id]
    assert trouble.result()["status"] == "done"


def test_too_large_for_the_memory_in_one_piece(tmp_path: Path, text_file: Path) -> None:
    """It is done in two halves, which is written down, and comes to the figures of a machine with more memory."""
    tight = Trouble(tmp_path, text_file, "large")
    _, said = tight.sweep()
    assert "tried to allocate 40 GiB: again, each batch in two halves" in said
    assert tight.result()["status"] == "done"
    assert tight.result()["environment"]["micro_batches"] == 2
    calm = tight.calm().result()
    assert calm is not None
    assert "micro_batches" not in calm["environment"]
    assert tight.result()["metrics"]["test/bpc"] == pytest.approx(calm["metrics"]["test/bpc"], rel=1e-4)


@pytest.mark.parametrize(("kind", "how"), [("exit", "ended with code 3"), ("shot", "was ended by SIGKILL")])
def test_a_process_that_is_gone_is_no_result(tmp_path: Path, text_file: Path, kind: str, how: str) -> None:
    """Shot once, the run goes on by itself; ending again and again, it is given up until the next sweep."""
    trouble = Trouble(tmp_path, text_file, kind)
    outcome, said = trouble.sweep()
    assert f"its process {how}: again in 0 s" in said
    if kind == "exit":
        assert dict(outcome.trouble) == {trouble.run.id: "its process ended with code 3"}
        assert trouble.directory.result() is None
        trouble.breaks.unlink()
        outcome, _ = trouble.sweep()
    assert outcome.finished == [trouble.run.id]
    assert trouble.result()["status"] == "done"


def test_a_run_that_takes_too_long(tmp_path: Path, text_file: Path) -> None:
    """It is stopped and recorded; given more time it goes on from where it was, to an undisturbed run's end."""
    trouble = Trouble(tmp_path, text_file, "slow")
    outcome, _ = trouble.sweep(timeout=3.0)
    error = trouble.result()["error"]
    assert trouble.result()["status"] == "timeout"
    assert error.startswith("took longer than 3 s, at step ")
    assert dict(outcome.trouble) == {trouble.run.id: error}
    assert trouble.directory.path(CHECKPOINT).exists()
    trouble.breaks.unlink()
    trouble.sweep(retry="timeout")
    assert trouble.result()["status"] == "done"
    assert_same(trouble.directory, trouble.calm())

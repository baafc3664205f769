"""Run directories: whole or not at all, one writer, and JSON that any reader takes."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

import pytest

from rnnbench.config import PROTOCOL, BudgetConfig, CellConfig, DataConfig, ModelConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.runs import (
    CHECKPOINT,
    CONFIG,
    CURVES,
    HISTORY,
    RESULT,
    WEIGHTS,
    Busy,
    RunDirectory,
    Start,
    finite,
    write_atomic,
)
from rnnbench.runs.scan import last_step

HOLDER = """
import sys, time
from pathlib import Path
from rnnbench.runs import RunDirectory
with RunDirectory(Path(sys.argv[1]), "study", "run").opened({}):
    print("held", flush=True)
    time.sleep(60)
"""
KILLED_BEFORE_RENAME = """
import os, signal, sys
from pathlib import Path
from rnnbench.config import Run
from rnnbench.runs import RunDirectory, Start
with RunDirectory(Path(sys.argv[1]), "study", "run").opened({}) as directory:
    os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
    directory.finish(Run(), "done", Start(), {}, {})
"""


def finish(directory: RunDirectory, status: str = "done", **more: Any) -> dict[str, Any]:
    """End a run that measured nothing, or ``metrics``."""
    return directory.finish(Run(), status, Start(), more.pop("metrics", {}), {}, **more)


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """A run directory that exists."""
    new = RunDirectory(tmp_path / "runs", "study", "run")
    new.folder.mkdir(parents=True)
    return new


@pytest.mark.parametrize("crash", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt(), MemoryError()])
def test_a_crash_before_the_rename_leaves_nothing(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch, crash: BaseException
) -> None:
    """Neither a result nor a leftover; and a result that was there stays as it was."""

    def fail(*_: object) -> NoReturn:
        raise crash

    directory.path(CHECKPOINT).write_bytes(b"what to resume from")
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises((UserError, KeyboardInterrupt, MemoryError)):
            finish(directory)
    assert directory.result() is None
    assert [path.name for path in directory.folder.iterdir()] == [CHECKPOINT]

    first = finish(directory)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises((UserError, KeyboardInterrupt, MemoryError)):
            finish(directory, "failed")
    assert directory.result() == first


def test_killed_before_the_rename(tmp_path: Path) -> None:
    """SIGKILL cannot tidy up: there is no result, and who opens the run next sweeps the leftover away."""
    done = subprocess.run([sys.executable, "-c", KILLED_BEFORE_RENAME, str(tmp_path)])
    assert done.returncode == -signal.SIGKILL
    directory = RunDirectory(tmp_path, "study", "run")
    assert directory.result() is None
    assert list(directory.folder.glob("*.part")), "the process was killed too early: the test showed nothing"
    with directory.opened({"seed": 1}):
        assert not list(directory.folder.glob("*.part"))


def test_result_is_the_last_file_of_a_run(text_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever result.json is there, everything else is there too, and is never written again."""
    from rnnbench.training import train

    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    run = Run(
        cell=CellConfig("gru"),
        model=ModelConfig(hidden_size=4),
        data=DataConfig(path=str(text_file), seq_len=8, batch_size=4),
        budget=BudgetConfig(steps=3, evals=1),
    )
    directory = RunDirectory(tmp_path, "single", run.id)
    renamed: list[str] = []
    replace = os.replace

    def spy(source: str, target: Path) -> None:
        if Path(target).parent == directory.folder:
            renamed.append(Path(target).name)
            if Path(target).name == RESULT:
                assert {CONFIG, HISTORY, CURVES, WEIGHTS} <= {path.name for path in directory.folder.iterdir()}
        replace(source, target)

    monkeypatch.setattr(os, "replace", spy)
    train(run, tmp_path, wandb="disabled")
    assert renamed[-1] == RESULT
    last = directory.path(RESULT).stat().st_mtime_ns
    assert all(path.stat().st_mtime_ns <= last for path in directory.folder.iterdir())
    assert not directory.path(CHECKPOINT).exists()


def test_readers_never_see_half_a_result(directory: RunDirectory) -> None:
    """A reader at any moment finds the old or the new result, whole."""
    finish(directory, filling=[0] * 20_000)
    seen, stop = [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(directory.result())

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 15):
        finish(directory, filling=[number] * 20_000)
    stop.set()
    reader.join()
    assert len(seen) > 1
    assert all(result is not None and len(set(result["filling"])) == 1 for result in seen)


def test_a_torn_last_line_is_left_out(directory: RunDirectory) -> None:
    rows = [{"step": step, "loss": 1 / step} for step in (50, 100, 150)]
    for row in rows:
        directory.append(row)
    whole = directory.path(HISTORY).read_bytes()
    last = len(whole.splitlines(keepends=True)[-1])
    assert directory.history() == rows
    for cut in range(2, last + 1):  # without its line end alone, the row is whole
        directory.path(HISTORY).write_bytes(whole[:-cut])
        assert directory.history() == rows[:2]


def test_the_last_step_is_found_at_a_historys_end(directory: RunDirectory) -> None:
    path = directory.path(HISTORY)
    assert last_step(directory.folder) is None
    path.write_text('{"step": 1}\n{"step": 2}\n{"st')
    assert last_step(directory.folder) == 2
    path.write_text("\n".join(f'{{"step": {step}}}' for step in range(50_000)) + "\n")
    assert last_step(directory.folder) == 49_999


def test_rewind_drops_what_came_after(directory: RunDirectory) -> None:
    """What a rewound history goes on with is what an undisturbed one would hold."""
    assert directory.rewind(0) == []
    rows = [{"step": step, "val/bpc": 2.0} for step in (50, 100, 100, 150)]
    for row in rows:
        directory.append(row)
    with open(directory.path(HISTORY), "a") as file:
        file.write('{"step": 2')
    assert directory.rewind(100) == rows[:3]
    assert directory.history() == rows[:3]
    directory.append(rows[3])
    assert directory.history() == rows


def test_one_writer_and_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    """Another process, and another descriptor here, get Busy; after kill -9 of the holder they get the run."""
    directory = RunDirectory(tmp_path, "study", "run")
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Busy, match="run is being run by another process"), directory.opened({"other": 1}):
            pass
        assert "other" not in directory.path(CONFIG).read_text(), "who was refused wrote into the folder"
    finally:
        holder.kill()
        holder.communicate()
    with (
        directory.opened({"other": 1}),
        pytest.raises(Busy),
        RunDirectory(tmp_path, "study", "run").opened({}),
    ):
        pass
    with directory.opened({}):  # and it is free again after a with
        pass


def test_run_yaml_repeats_the_run(tmp_path: Path) -> None:
    import yaml

    run = Run(cell=CellConfig("lstm", {"forget_bias": 3.0}), data=DataConfig(path="ünï code.txt"), seed=5)
    directory = RunDirectory(tmp_path, "study", run.id)
    with directory.opened(run.to_dict()):
        pass
    assert Run.from_dict(yaml.safe_load(directory.path(CONFIG).read_text(encoding="utf-8"))) == run


def refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


def test_what_is_not_finite_is_a_string(directory: RunDirectory) -> None:
    """Strict JSON, in result and history, whatever the figures are."""
    values = {"a": math.nan, "b": {"c": [math.inf, (-math.inf, 1.5)]}, "d": "nan", "e": None, "f": True, "g": "é"}
    plain = {"a": "nan", "b": {"c": ["inf", ["-inf", 1.5]]}, "d": "nan", "e": None, "f": True, "g": "é"}
    assert finite(values) == plain
    finish(directory, "diverged", metrics=values)
    assert json.loads(directory.path(RESULT).read_text(), parse_constant=refuse)["metrics"] == plain
    directory.append({"step": 1, **values})
    assert json.loads(directory.path(HISTORY).read_text(), parse_constant=refuse) == {"step": 1, **plain}


def test_a_result_says_under_which_protocol_it_was_made(directory: RunDirectory) -> None:
    """A later one reads it, and does not take it for its own."""
    for job in (Run(), Timing()):
        result = directory.finish(job, "done", Start(), {}, {})
        assert result["protocol"] == PROTOCOL == 2
        assert (result["id"], directory.result()) == (job.id_under(2), result)


def one_sentence(error: UserError, folder: Path) -> bool:
    return "\n" not in str(error) and str(folder) in str(error) and "--out" in str(error)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    directory = RunDirectory(file / "below", "study", "run")
    with pytest.raises(UserError) as caught, directory.opened({}):
        pass
    assert one_sentence(caught.value, directory.folder)


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk(directory: RunDirectory, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def full(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, where, full)
    actions: list[tuple[Any, tuple[Any, ...]]] = [
        (finish, (directory,)),
        (directory.write_curves, ({"a": [1.0]},)),
        (write_atomic, (directory.path("x"), b"x")),
    ]
    for action, arguments in actions:
        with pytest.raises(UserError, match="No space left on device") as caught:
            action(*arguments)
        assert one_sentence(caught.value, directory.folder)
    assert list(directory.folder.iterdir()) == []


@pytest.mark.parametrize(
    "content", [b"", b"{", b'{"status": "do', b"[]", b"3", b"null", b'{"id": "run"}', b"\xff\xfe\x00", b"\0" * 500]
)
def test_a_garbage_result_is_no_result(directory: RunDirectory, content: bytes) -> None:
    assert directory.result() is None
    directory.path(RESULT).write_bytes(content)
    assert directory.result() is None
    assert finish(directory) == directory.result()


def test_files_obey_the_umask(directory: RunDirectory) -> None:
    """A colleague may read what one wrote: mkstemp's 0600 must not stay."""
    before = os.umask(0o022)
    try:
        finish(directory)
    finally:
        os.umask(before)
    assert directory.path(RESULT).stat().st_mode & 0o777 == 0o644

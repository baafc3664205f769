"""What verbs print: whole in any encoding, whoever reads it and however long, and without a text's escape codes."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

import pytest
from support.hostile import run_main

from rnnbench.cli.main import VERBS as CLI_VERBS
from rnnbench.cli.main import main
from rnnbench.config import BudgetConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.system import signals
from rnnbench.system.terminal import visible
from rnnbench.training import train

ROOT = Path(__file__).resolve().parents[1]
#: A text, and a file's name, that would redden a terminal, ring its bell and print over its line.
ESCAPES = "naïve ☃ \x1b[31mred\x1b[0m \x9b31m bell\x07 and\r\n"
NAME = "ev\x1b[31mil\x9b☃"
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with that text and a run on it."""
    folder = tmp_path_factory.mktemp("place")
    text = folder / f"{NAME}.txt"
    text.write_text(ESCAPES * 200, encoding="utf-8", newline="")
    run = Run(
        model=ModelConfig(hidden_size=4),
        data=DataConfig(path=str(text), seq_len=8, batch_size=4),
        budget=BudgetConfig(steps=2, evals=1, val_tokens=64),
        probes=ProbeConfig(gradient_flow=False),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNBENCH_DATA", str(folder / "cache"))
        train(run, folder / "runs", wandb="disabled")
    return folder


@pytest.fixture(autouse=True)
def inside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setenv("RNNBENCH_DATA", str(place / "cache"))


def run_folder() -> Path:
    (folder,) = Path("runs/single").glob("lstm-*")
    return folder


def verbs() -> dict[str, list[str]]:
    """Of each verb that prints what others have written a command that ends well."""
    return {
        "train": ["train", "--config", str(run_folder() / "run.yaml"), "--budget.val_tokens", "64"],
        "generate": ["generate", str(run_folder()), "--length", "300", "--temperature", "9"],
        "prompt": ["generate", str(run_folder()), "--length", "9", "--prompt", "☃\x1b[31m"],
        "info": ["data", "info", "--path", f"{NAME}.txt"],
        "list": ["data", "list"],
        "report": ["report", "runs", "--format", "md,csv"],
        "cells": ["cells"],
        "runs": ["runs", "list"],
        "show": ["runs", "show", run_folder().name],
    }


VERBS = ("train", "generate", "prompt", "info", "list", "report", "cells", "runs", "show")


class Terminal(io.TextIOWrapper):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def printed(argv: list[str], encoding: str, kind: type[io.TextIOWrapper] = io.TextIOWrapper) -> tuple[int, str]:
    """Exit status, and what standard output and error got."""
    stream = kind(io.BytesIO(), encoding, newline="")
    with redirect_stdout(stream), redirect_stderr(stream):
        status = main(argv)
    stream.flush()
    return status, stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_asks_too_much_of_an_encoding(verb: str) -> None:
    for encoding in ("ascii", "cp1252"):
        status, text = printed(verbs()[verb], encoding)
        assert (status, len(text) > 100 or verb == "prompt") == (0, True)
    assert "Traceback" not in text


@pytest.mark.parametrize("verb", VERBS)
def test_no_escape_code_of_a_text_reaches_a_terminal(verb: str) -> None:
    status, text = printed(verbs()[verb], "utf-8")
    assert status == 0
    assert not CONTROLS.search(text)
    status, text = printed(verbs()[verb], "utf-8", Terminal)
    assert status == 0
    for code in ("\x1b[31m", "\x1b[0mb", "\x9b", "\x07"):  # the text's; beside them there are rich's
        assert code not in text
    if verb not in ("list", "cells", "runs"):
        assert r"\x1b" in text, "what the text says is shown"


@pytest.mark.parametrize("argv", [["data", "info", "--path", "no\x1b[31m\x9b"], ["runs", "show", "\x1b[31m"], ["\x1b"]])
def test_no_error_has_an_escape_code(argv: list[str]) -> None:
    status, text = printed(argv, "utf-8")
    assert status == 2
    assert not CONTROLS.search(text)
    assert r"\x1b" in text


def test_no_report_on_disk_has_an_escape_code(tmp_path: Path) -> None:
    assert main(["report", "runs", "--format", "md,csv,tex", "--out", str(tmp_path)]) == 0
    for file in tmp_path.rglob("*.*"):
        assert not CONTROLS.search(file.read_text(encoding="utf-8"))


def test_json_is_what_it_says_in_any_encoding() -> None:
    """Exactly the text, escape codes and all."""
    prompt = "☃\x1b[31m\x9b"
    for argv in (["generate", str(run_folder()), "--prompt", prompt, "--json"],):
        status, text = printed(argv, "ascii")
        assert status == 0
        assert json.loads(text[text.index("{") :])["prompt"] == prompt
    status, text = printed(["train", "--data.path", f"{NAME}.txt", "--print_config"], "ascii")
    Path("printed.yaml").write_text(text)
    assert main(["train", "--config", "printed.yaml", "--print_config"]) == 0
    from rnnbench.cli.train import parse

    assert parse(["--config", "printed.yaml"])[0].data.path == f"{NAME}.txt"


def test_what_is_made_visible() -> None:
    assert visible("a\tb\n") == "a\tb\n"
    assert visible("é ☃ \u202e\xa0\xad") == "é ☃ \u202e\xa0\xad"
    assert visible("\x00\x07\x1b[0m\r\n\x7f\x85\x9b") == "\\x00\\x07\\x1b[0m\\r\n\\x7f\\x85\\x9b"


@contextmanager
def a_reader_that_has_left() -> Iterator[TextIO]:
    """The end to write to of a pipe that nobody reads."""
    end, other = os.pipe()
    os.close(end)
    with open(other, "w", encoding="utf-8") as stream:
        yield stream


@pytest.mark.parametrize("verb", VERBS)
def test_a_reader_may_leave(verb: str) -> None:
    with a_reader_that_has_left() as stream, redirect_stdout(stream):
        assert main(verbs()[verb]) == 0
        with pytest.raises(SystemExit) as caught:
            main([verbs()[verb][0], "--help"])
    assert caught.value.code == 0


def test_work_is_done_to_its_end_though_nobody_reads(tmp_path: Path) -> None:
    """Files are written, faults are an exit status, runs are removed; only writing itself stops."""
    root = tmp_path / "runs"
    shutil.copytree("runs", root)
    folder = root / "single" / run_folder().name

    def unread(*argv: str) -> int:
        with a_reader_that_has_left() as stream, redirect_stdout(stream):
            return main(argv)

    assert unread("report", str(root), "--format", "md,csv") == 0
    assert {"report.md", "table.md", "table.csv"} <= {path.name for path in root.glob("single/report/*")}
    assert unread("generate", str(folder), "--prompt", "a", "--length", str(10**12)) == 0
    (folder / "run.yaml").write_text("seed: 7\n")
    assert unread("runs", "verify", str(root)) == 1
    assert unread("runs", "rm", "--out", str(root), "--status", "done,diverged", "--yes") == 0
    assert not folder.exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a disk that is full is a file of Linux")
@pytest.mark.parametrize("verb", ["cells", "generate"])
def test_a_full_disk_is_said(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with open("/dev/full", "w") as stream, redirect_stdout(stream):
        assert main(verbs()[verb]) == 2
    assert "cannot write to the standard output: No space left on device" in capsys.readouterr().err


def test_without_any_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """>&- 2>&-"""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert main(["runs", "list"]) == 0
    assert main(["runs", "lisp"]) == 2
    assert (sys.stdout, sys.stderr) == (None, None)


def test_every_console_is_ours() -> None:
    """rich's own would hand on what a text says to the terminal."""
    for path in (ROOT / "rnnbench").rglob("*.py"):
        for block in re.split(r"\nif TYPE_CHECKING:\n(?:    .*\n)+", path.read_text(encoding="utf-8")):
            assert path.name in ("console.py", "display.py", "run_study.py", "speeds.py") or (
                "from rich.console import Console" not in block
            )


#: A module that swallows what is raised while it is imported, as some do, or turns it into trouble of its own.
MODULE = """
import signal
try:
    signal.raise_signal(signal.SIGINT)
    for _ in range(1000): pass
except BaseException:
    raise ImportError("module 'numpy' has no attribute 'ndarray'")
IMPORTED.append(1)
def main(argv):
    import time
    time.sleep(5)
    return 0
"""


@pytest.fixture
def slow_module(place: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """`rnnbench slow`, in whose import Ctrl-C is pressed; has it been imported?"""
    import builtins

    import rnnbench.cli

    imported: list[int] = []
    (place / "slow.py").write_text(MODULE)
    monkeypatch.setattr(builtins, "IMPORTED", imported, raising=False)
    monkeypatch.setattr(rnnbench.cli, "__path__", [*rnnbench.cli.__path__, str(place)])
    monkeypatch.setitem(CLI_VERBS, "slow", "is interrupted")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield imported
    signal.signal(signal.SIGINT, before)
    sys.modules.pop("rnnbench.cli.slow", None)


def test_ctrl_c_in_an_import_ends_the_verb_after_it(slow_module: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    begin = time.monotonic()
    assert main(["slow"]) == 130
    assert time.monotonic() - begin < 4, "it was lost"
    assert slow_module == [1], "it came in the midst of the import"
    assert capsys.readouterr().err.count("\n") == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_request_to_stop_in_an_import_is_heeded_after_it(slow_module: list[int]) -> None:
    import importlib

    with signals.armed(signal.SIGINT), pytest.raises(signals.Stopped):
        importlib.import_module("rnnbench.cli.slow").main([])
    assert slow_module == [1]


def test_where_there_is_no_handling_signals_a_verb_works() -> None:
    """Outside the main thread."""
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(run_main(["runs", "list"])[0]))
    thread.start()
    thread.join()
    assert statuses == [0]

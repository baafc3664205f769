"""``rnnbench throughput``, from good input and from bad."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rnnbench.cli.main import main
from rnnbench.throughput.cost import SIZES

SMALL = ["--hidden_size", "8", "--batch_size", "2", "--samples", "4", "--wandb", "disabled", "--device", "cpu"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(SIZES, "cpu", 64)
    monkeypatch.setattr("rnnbench.throughput.selection.fresh_peak", lambda *_: 1.5)
    monkeypatch.chdir(tmp_path)


def test_a_table_and_what_ran(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--cell", "gru,mingru", "--seq_len", "6,12", *SMALL]) == 0
    said = capsys.readouterr().out
    assert "tokens/s" in said
    assert "gru/torch ran " in said
    assert "not timed: gru/scan: its next state is not linear in the last one" in said
    folders = {path.parent.name.split("-")[1] for path in Path("runs/throughput").glob("*/result.json")}
    assert folders == {"T6", "T12"}


def test_json_is_that_of_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    command = [
        "throughput",
        "--cell",
        "lstm(forget_bias=1)",
        "--backend",
        "loop,plain",
        "--seq_len",
        "6",
        "--json",
        *SMALL,
    ]
    assert main(command) == 0
    (result,) = json.loads(capsys.readouterr().out)
    stored = json.loads(next(Path("runs/throughput").glob("*/result.json")).read_text())
    assert result == stored
    assert {"lstm(forget_bias=1)/loop/step_ms", "lstm(forget_bias=1)/plain/step_ms"} <= set(result["metrics"])
    assert main(command) == 0, "what was timed is read again"
    assert json.loads(capsys.readouterr().out) == [stored]


def test_decoding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--cell", "gru", "--decode", "--seq_len", "4", "--json", *SMALL[:2], *SMALL[4:]]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert (result["run"]["what"], result["run"]["batch_size"]) == ("decoding", 1)
    assert result["metrics"]["gru/loop/decode_ms"] > 0


def test_nothing_timed_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["throughput", "--cell", "gru", "--backend", "scan", "--seq_len", "4", *SMALL]) == 1
    assert "not timed: gru/scan" in capsys.readouterr().out

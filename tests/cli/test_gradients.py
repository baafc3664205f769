"""`rnnbench gradients`: what it measures is what the trainer measured, and what it refuses is one line."""

from __future__ import annotations

import io
import json
import math
import xml.etree.ElementTree as ET
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from support.refusals import printed_json

from rnnbench.cli.arguments import cell_list
from rnnbench.cli.main import main
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.runs import finite
from rnnbench.training import train

SMALL = ["--seq_len", "24", "--hidden_size", "12", "--seeds", "3", "--out", "g.svg"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def test_table_curves_and_picture(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["gradients", "--cell", "rnn,lstm(forget_bias=3)", *SMALL]) == 0
    out = capsys.readouterr().out
    for word in ("½", "1/100", "beyond", "λ₁", "decades", "vanishing", "lstm(forget_bias=3)", "lag k", "g.svg"):
        assert word in out
    assert "Decades: log₁₀ of what is left over 23 lags" in " ".join(out.split())
    assert "white noise N(0, 1), B = 16, H = 12, T = 24, 3 seeds, the loss at the last step" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= 120
    ET.parse("g.svg")


def test_every_number_is_in_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Untrained, a plain RNN vanishes; an LSTM that starts by keeping reaches further; all follows from the curves."""
    found = printed_json(capsys, "gradients", "--cell", "rnn,lstm,lstm(forget_bias=3)", *SMALL)
    rows = {row["cell"]: row for row in found["rows"]}
    assert list(rows) == ["rnn", "lstm", "lstm(forget_bias=3)"]
    assert rows["rnn"]["verdict"] == "vanishing"
    lost = [seed["curve"][23] for seed in rows["rnn"]["seeds"]]
    interval = scipy.stats.t.interval(0.95, 2, np.mean(lost), scipy.stats.sem(lost))
    told = rows["rnn"]["decades_lost"]
    assert (told["mean"], told["low"], told["high"]) == pytest.approx((np.mean(lost), *interval))
    assert told["lags"] == 23
    assert told["high"] < -1
    assert len({seed["curve"][5] for seed in rows["rnn"]["seeds"]}) == 3  # each drew its own
    assert rows["lstm(forget_bias=3)"]["seeds"][0]["curve"][-1] > rows["lstm"]["seeds"][0]["curve"][-1] + 2
    for seed in rows["rnn"]["seeds"]:
        curve = np.array(seed["curve"])
        assert (len(curve), curve[0]) == (24, 0.0)
        assert seed["half_life"] == pytest.approx(-math.log10(2) / np.polyfit(np.arange(1, 24), curve[1:], 1)[0])
        assert (seed["half_life_first"], seed["half_life_last"], seed["lags"]) == (1, 23, 23)
        for name, share in (("half_lag", 0.5), ("hundredth_lag", 0.01)):
            fallen = [lag for lag in range(24) if lag > curve.argmax() and 10 ** (curve[lag] - curve.max()) <= share]
            assert seed[name] == fallen[0]
        assert seed["beyond_10"] == pytest.approx((10 ** curve[11:]).sum() / (10**curve).sum())
        assert "beyond_32" not in seed, "no lag beyond 32 was measured"
        assert seed["dead_share"] == 0.0
        assert seed["lyapunov"] == pytest.approx(math.log(10) * (curve[-1] - curve[8]) / 15, abs=0.15)
    assert printed_json(capsys, "gradients", "--cell", "rnn", *SMALL)["rows"] == [rows["rnn"]]


def test_a_reach_beyond_the_lags_measured_is_said_to_be(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An LSTM that forgets next to nothing keeps more than a hundredth of its gradient over 23 lags."""
    monkeypatch.setenv("COLUMNS", "120")
    argv = ["--cell", "lstm(forget_bias=9)", *SMALL]
    (row,) = printed_json(capsys, "gradients", *argv)["rows"]
    assert row["hundredth_lag"] == "inf"
    assert [seed["hundredth_lag"] for seed in row["seeds"]] == ["inf"] * 3
    assert main(["gradients", *argv]) == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("lstm(forget_bias=9)"))
    assert "≥ 23" in line


def test_an_average_hides_what_vanishes(capsys: pytest.CaptureFixture[str]) -> None:
    """Same model, same noise: at the first state next to nothing of the last step's loss, all of the average's."""
    (last,) = printed_json(capsys, "gradients", "--cell", "rnn", *SMALL)["rows"]
    (average,) = printed_json(capsys, "gradients", "--cell", "rnn", *SMALL, "--loss", "average")["rows"]
    assert last["log10_gain_at_last_lag"] < -4
    assert average["log10_gain_at_last_lag"] > -1


def test_each_cell_with_each_initialisation_that_acts(capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["--cell", "rnn,gru", "--init", "default,chrono", *SMALL, "--json"]
    assert main(["gradients", *argv]) == 0
    out, err = capsys.readouterr()
    rows = json.loads(out)["rows"]
    assert [(row["cell"], row["condition"]) for row in rows] == [
        ("rnn", "default"), ("gru", "default"), ("gru", "chrono"),
    ]  # fmt: skip
    assert err.count("\n") == 1
    assert err.startswith("rnnbench: left out: the cell RNN has no gate")
    assert rows[2]["log10_gain_at_last_lag"] > rows[1]["log10_gain_at_last_lag"] + 1


def test_a_data_set_instead_of_noise(capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = printed_json(capsys, "gradients", "--cell", "gru", "--data", "adding", *SMALL)["rows"]
    assert row["seq_len"] == len(row["seeds"][0]["curve"]) == 24


def trained(text_file: Path, seed: int) -> tuple[Path, dict[str, Any]]:
    run = Run(
        CellConfig("gru"),
        ModelConfig(hidden_size=6),
        DataConfig(path=str(text_file), seq_len=8, batch_size=4),
        budget=BudgetConfig(steps=5, evals=1),
        probes=ProbeConfig(seq_len=20, batch_size=4),
        seed=seed,
    )
    result = train(run, Path("runs"), wandb="disabled")
    return Path("runs/single") / run.id, result["metrics"]


def test_a_run_is_measured_as_its_training_measured_it(text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first step and after the last, bit for bit; seeds of one run are one line."""
    folders, metrics = zip(*(trained(text_file, seed) for seed in (0, 1)), strict=True)
    rows = printed_json(capsys, "gradients", "--run", ",".join(map(str, folders)), "--out", "r.png")["rows"]
    assert [(row["cell"], row["condition"], len(row["seeds"])) for row in rows] == [
        ("gru", "initial", 2), ("gru", "trained", 2),
    ]  # fmt: skip
    for row, when in zip(rows, ("init", "final"), strict=True):
        for seed, own in zip(row["seeds"], metrics, strict=True):
            for name in ("half_lag", "hundredth_lag", "beyond_10", "decades", "half_life", "half_life_r2"):
                assert seed[name] == finite(own[f"{when}/{name}"])
            assert len(seed["curve"]) == 20
    argv = ("--run", str(folders[0]), "--seq_len", "10", "--out", "r.png")
    (shorter, _) = printed_json(capsys, "gradients", *argv)["rows"]
    assert len(shorter["seeds"][0]["curve"]) == 10
    assert shorter["verdict"] is None  # one seed has no interval


def test_a_terminal_of_few_letters_gets_plain_ones() -> None:
    """Where stdout cannot write ● the curves are ASCII, and nothing fails."""
    out = io.TextIOWrapper(io.BytesIO(), "ascii", errors="replace")
    with redirect_stdout(out):
        assert main(["gradients", "--cell", "rnn", *SMALL]) == 0
    out.flush()
    picture = out.buffer.getvalue().decode("ascii").split("log10 G(k)/G(0)")[1]  # type: ignore[attr-defined]
    assert "ooo" in picture
    assert "lag k" in picture


@pytest.mark.parametrize(
    "text", ["rnn", "lstm(forget_bias=3)", "rnn(nonlinearity=relu)", "torchrecurrent:MGU", "lstm(forget_bias=None)",
             "mamba(a=1, b=True, c=x)", "gru,lstm(forget_bias=3),mamba(a=1, b=2e-05)"],
)  # fmt: skip
def test_a_list_of_cells_reads_what_tables_print(text: str) -> None:
    assert ",".join(cell.label for cell in cell_list(text)) == text


def test_nothing_left_to_measure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gradients", "--cell", "rnn", "--init", "chrono", "--seq_len", "4"]) == 2
    assert "init chrono acts upon nothing in rnn." in capsys.readouterr().err

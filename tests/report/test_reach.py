"""How far gradients reach, as a study reports it: the table with its intervals, the figures of options and contexts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.text import Annotation
from scipy import stats

from rnnbench.report.figures.reach_map import option_figures
from rnnbench.report.results import read
from rnnbench.report.statistics import group
from rnnbench.report.tables.reach import asks_about_gradients, power_of_ten, reach_table
from rnnbench.report.tables.training import tables
from rnnbench.runs import CURVES

Write = Callable[..., Path]
HALF_LAGS = (2, 4, 3, 1, 5)


def gradients(half_lag: float, exponent: float, end: float | str | None = None) -> dict[str, object]:
    return {
        "init/half_lag": half_lag,
        "init/hundredth_lag": 5 * half_lag,
        "init/lyapunov_1": exponent,
        "final/lyapunov_1": exponent / 2,
        "final/half_lag": end or 2 * half_lag,
        "final/hundredth_lag": end or 10 * half_lag,
        "init/log10_gain_at_last_lag": -85.0,
        "init/averaged_log10_gain_at_last_lag": -0.1,
    }


@pytest.fixture
def study(tmp_path: Path, text_run: Write) -> Path:
    for seed, half_lag in enumerate(HALF_LAGS):
        text_run(tmp_path / "s", "rnn", 64, seed, metrics=gradients(half_lag, -0.5 - 0.01 * seed))
        text_run(tmp_path / "s", "lstm", 64, seed, metrics=gradients(20, 0.01, "inf"))
    return tmp_path


def test_the_table(study: Path) -> None:
    rows = {row.raw["cell"]: row for row in reach_table(read([study])).rows}
    raw, text = rows["rnn"].raw, rows["rnn"].text
    assert (raw["init/half_lag"], raw["init/hundredth_lag"]) == (3, 15)
    assert (text["init/reach"], text["final/reach"]) == ("3, 15", "6, 30")
    exponents = -0.5 - 0.01 * np.arange(5)
    assert raw["init/lyapunov_1"] == pytest.approx(-0.52)
    low, high = stats.t.interval(0.95, 4, exponents.mean(), stats.sem(exponents))
    assert text["init/lyapunov_1"] == f"−0.520 (−{-low:.3f} – −{-high:.3f})"
    curves = [curve for r in read([study]) if r.cell == "rnn" and (curve := r.curve("init/gradient_flow")) is not None]
    lost = [float(curve[100] - curve[0]) / math.log(10) for curve in curves]
    low, high = stats.t.interval(0.95, 4, np.mean(lost), stats.sem(lost))
    assert [raw[f"init/{name}"] for name in ("decades", "low", "high")] == pytest.approx([np.mean(lost), low, high])
    assert text["init/decades"].startswith(f"−{-np.mean(lost):.2f} ± ")
    assert high < -1
    assert text["init/verdict"] == "vanishing"
    assert (text["last"], text["averaged"]) == ("1e−85", "0.79")
    assert rows["lstm"].text["final/reach"] == "≥ 256, ≥ 256"
    assert rows["lstm"].raw["final/half_lag"] == math.inf


def test_where_every_direction_is_lost_is_said_and_in_no_mean(tmp_path: Path, text_run: Write) -> None:
    """−0.3 of one seed and −∞ of another, or of older results −44.3: a run one of whose 16 trajectories was lost."""
    ends: dict[str, tuple[float | str, float | str]] = {
        "rnn": (-0.3, -0.5), "irnn": (-0.3, "-inf"), "indrnn": ("-inf", "-inf"), "gru": (-0.3, -44.32),
        "mgu": (-708.4, -708.4),
    }  # fmt: skip
    for cell, values in ends.items():
        for seed, value in enumerate(values):
            text_run(tmp_path / "s", cell, 64, seed, metrics=gradients(2, -0.1) | {"init/lyapunov_1": value})
    rows = {row.raw["cell"]: row for row in reach_table(read([tmp_path])).rows}
    shown = {cell: row.text["init/lyapunov_1"] for cell, row in rows.items()}
    assert shown == {
        "rnn": "−0.400", "irnn": "−∞ for some", "indrnn": "−∞", "gru": "−∞ for some", "mgu": "−∞",
    }  # fmt: skip
    assert {cell: row.raw["init/lyapunov_1"] for cell, row in rows.items()} == pytest.approx(
        {"rnn": -0.4, "irnn": -math.inf, "indrnn": -math.inf, "gru": -math.inf, "mgu": -math.inf}
    )


@pytest.mark.parametrize(("seeds", "hundredth"), [((0, 2), 25.0), ((0, 1, 2), 26.0)])
def test_half_way_is_from_the_history(
    seeds: tuple[int, ...], hundredth: float, tmp_path: Path, text_run: Write
) -> None:
    """Eleven probes; the sixth is in the middle, where the seeds' lags are 25, 26 and beyond, halves 5."""
    for seed in seeds:
        folder = text_run(tmp_path / "s", "gru", 64, seed, metrics=gradients(2, -0.5), laboratory=True)
        with np.load(folder / CURVES) as found:
            steps = found["along/step"].tolist()
        lags = [5 * index + seed if seed < 2 else "inf" for index in range(len(steps))]
        rows = [
            {"step": int(step), "probe/half_lag": index, "probe/hundredth_lag": lag}
            for index, (step, lag) in enumerate(zip(steps, lags, strict=True))
        ]
        (folder / "history.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    table = reach_table(read([tmp_path]))
    assert "… half-way" in {column.title for column in table.columns}
    (row,) = table.rows
    assert row.text["during/reach"] == f"5, {hundredth:g}"
    assert (row.raw["during/half_lag"], row.raw["during/hundredth_lag"]) == (5.0, hundredth)


def test_parts_of_the_state_are_told_where_they_differ(tmp_path: Path, text_run: Write) -> None:
    for cell, lag in (("lstm", "inf"), ("slstm", 4)):
        parts = {"final/hundredth_lag_h": 4, "final/hundredth_lag_c": lag}
        text_run(tmp_path / "s", cell, 64, 0, metrics=gradients(2, -0.5) | parts)
    text_run(tmp_path / "s", "gru", 64, 0, metrics=gradients(2, -0.5))
    rows = {row.raw["cell"]: row for row in reach_table(read([tmp_path])).rows}
    assert {cell: row.text["final/parts"] for cell, row in rows.items()} == {
        "lstm": "c ≥ 256, h 4", "slstm": "–", "gru": "–",
    }  # fmt: skip
    assert (rows["lstm"].raw["final/hundredth_lag_c"], rows["slstm"].raw["final/hundredth_lag_c"]) == (math.inf, 4)


@pytest.mark.parametrize(("r2", "text"), [(0.9801, "12.3 (lags 1–40, R² 0.980)"), (0.98, "–"), (0.5, "–")])
def test_a_fit_is_told_where_it_describes_the_curve(r2: float, text: str, tmp_path: Path, text_run: Write) -> None:
    fit = {"half_life": 12.345, "half_life_r2": r2, "half_life_first": 1, "half_life_last": 40}
    metrics = gradients(2, -0.5) | {f"final/{name}": value for name, value in fit.items()}
    text_run(tmp_path / "s", "gru", 64, 0, metrics=metrics)
    table = reach_table(read([tmp_path]))
    assert table.rows[0].text["final/fit"] == text
    assert table.rows[0].raw["final/half_life"] == 12.345
    assert ("final/fit" in {column.key for column in table.columns}) == (text != "–")
    assert any("R² > 0.98" in note for _, note in table.notes) == (text != "–")


def test_what_has_no_gradient_what_lies_beyond_and_what_grows(tmp_path: Path, text_run: Write) -> None:
    more = {"final/dead_share": 0.25, "init/dead_share": 0.0, "final/max_gain": 130.0}
    more |= {"final/beyond_10": 0.5, "final/beyond_32": 0.125, "final/beyond_100": 0.001}
    more |= {"init/noise_half_lag": 1, "init/noise_hundredth_lag": "inf", "init/noise_lags": 127}
    text_run(tmp_path / "s", "irnn", 64, 0, metrics=gradients(2, -0.5) | more)
    text_run(tmp_path / "s", "gru", 64, 0, metrics=gradients(2, -0.5) | {"final/max_gain": 1.0})
    table = reach_table(read([tmp_path]))
    rows = {row.raw["cell"]: row.text for row in table.rows}
    shown = [[rows[cell][f"final/{name}"] for name in ("dead_share", "beyond", "max_gain")] for cell in ("irnn", "gru")]
    assert shown == [["25 %", "50 %, 12 %, 0.1 %", "130"], ["–", "–", "–"]]
    assert rows["irnn"]["init/dead_share"] == "–"
    assert rows["irnn"]["init/noise"] == "1, ≥ 127", "beyond the lags that were measured on noise"
    columns = {column.key for column in table.columns}
    assert {"final/dead_share", "final/beyond", "init/noise"} <= columns
    assert not {"init/dead_share", "final/noise", "final/fit", "final/parts"} & columns


def test_it_comes_where_exponents_were_measured(study: Path, tmp_path: Path, text_run: Write) -> None:
    assert [table.name for table in tables(read([study]))] == ["gradients", "text", "text-comparisons"]
    assert asks_about_gradients(read([study]))
    plain = tmp_path / "other"
    text_run(plain / "s", "rnn", 64, 0)
    assert [table.name for table in tables(read([plain]))] == ["text"]


@pytest.mark.parametrize(("exponent", "text"), [(-85.4, "1e−85"), (0.0, "1.0"), (-0.3, "0.50"), (4.2, "1e4")])
def test_powers_of_ten(exponent: float, text: str) -> None:
    assert power_of_ten(exponent) == text


def test_an_option_swept_has_its_figure(tmp_path: Path, text_run: Write) -> None:
    """Four values of one option are a sweep; three are not, nor is one that differs by another option as well."""
    for value in (0.0, 1.0, 2.0, 5.0):
        for seed in range(2):
            metrics = gradients(2.0**value, -1 / (1 + value), "inf" if value == 5 else None)
            text_run(tmp_path / "s", {"name": "lstm", "forget_bias": value}, 64, seed, metrics=metrics)
            if value < 5:
                text_run(tmp_path / "s", {"name": "rnn", "gain": 1 + value}, 64, seed, metrics=metrics)
    files = option_figures(group(read([tmp_path])), tmp_path, "", {"svg"})
    assert [path.name for path in files] == ["lstm_against_forget_bias.svg"]


def test_at_the_edges_of_an_options_figure_stands_what_is_infinite(
    tmp_path: Path, text_run: Write, saved: list[matplotlib.figure.Figure]
) -> None:
    """A lag beyond those measured at that value above, and below an exponent of directions that are all lost."""
    for value in (0.0, 1.0, 2.0, 5.0):
        end = {"init/lags": 64 if value == 5 else 256, "init/hundredth_lag": "inf" if value >= 2 else 9.0}
        metrics = gradients(2.0, -0.3) | end | {"init/lyapunov_1": "-inf" if value == 1 else -0.3}
        text_run(tmp_path / "s", {"name": "irnn", "gain": value}, 64, 0, metrics=metrics)
    option_figures(group(read([tmp_path])), tmp_path, "", {"svg"})
    reach, exponents = saved[0].axes
    marks = [
        [(text.xy, text.get_text()) for text in axes.texts if isinstance(text, Annotation)] for axes in saved[0].axes
    ]
    assert marks == [[((2.0, 0.96), "≥256"), ((5.0, 0.96), "≥64")], [((1.0, 0.04), "−∞")]]
    drawn = [float(y) for line in exponents.get_lines()[:2] for y in np.asarray(line.get_ydata(), dtype=float)]
    assert np.nanmin(drawn) == pytest.approx(-0.3)
    assert reach.get_title("left").startswith("How far do gradients")


@pytest.mark.parametrize(
    ("horizons", "text", "raw"),
    [((64, 64, 8), "≥ 64", math.inf), ((8, 64), "8", 8), ((8, 16, 64), "16", 16), ((8, 48), "28", 28)],
)
def test_a_context_as_long_as_the_longest_that_was_read_is_no_measurement(
    horizons: tuple[int, ...], text: str, raw: float, tmp_path: Path, text_run: Write
) -> None:
    """A gain over itself is 0, so that the longest one is always enough: it is shown as a bound, and in no median."""
    for seed, horizon in enumerate(horizons):
        metrics = gradients(2, -0.5) | {"final/context_horizon": horizon}
        folder = text_run(tmp_path / "s", "gru", 64, seed, metrics=metrics)
        with np.load(folder / CURVES) as found:
            arrays = dict(found)
        np.savez(folder / CURVES, **arrays | {"final/context_lengths": np.array([1, 8, 16, 48, 64])})
    reach, training, *_ = tables(read([tmp_path]))
    for table, key in ((reach, "final/context"), (training, "final/context_horizon")):
        (row,) = table.rows
        assert (row.text[key], row.raw["final/context_horizon"]) == (text, raw)
        assert "≥: the longest that was read" in dict(table.notes)[key]


def test_a_divergence_takes_nothing_from_the_beginning(tmp_path: Path, text_run: Write) -> None:
    """Its reach at initialisation counts with the others', what it measured at its end does not."""
    for seed, (half_lag, status) in enumerate([(1.0, "done"), (3.0, "done"), (9.0, "diverged"), (0.0, "failed")]):
        text_run(tmp_path / "s", "rnn", 64, seed, status, metrics=gradients(half_lag, -0.5))
    (row,) = reach_table(read([tmp_path])).rows
    assert (row.raw["init/half_lag"], row.raw["init/hundredth_lag"]) == (3.0, 15.0)
    assert (row.raw["final/half_lag"], row.raw["final/hundredth_lag"]) == (4.0, 20.0)
    assert row.text["seeds"] == "2/4"


def test_where_one_seed_of_two_is_beyond_the_lags_measured_the_other_is_the_median(
    tmp_path: Path, text_run: Write
) -> None:
    for seed, end in enumerate((30, "inf")):
        text_run(tmp_path / "s", "rnn", 64, seed, metrics=gradients(2, -0.5, end))
    (row,) = reach_table(read([tmp_path])).rows
    assert row.text["final/reach"] == "30, 30"

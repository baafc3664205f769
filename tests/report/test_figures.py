"""Figures: a cell looks the same everywhere, files are the same bytes, and the new pictures show their numbers."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Annotation

from rnnbench.cells import cell_names
from rnnbench.config import DataConfig
from rnnbench.report.comparisons import Comparison
from rnnbench.report.figures.contestants import COLORS, backend_color
from rnnbench.report.figures.gradients import pooled, position_perplexity
from rnnbench.report.figures.panels import reference_by_length, validations
from rnnbench.report.figures.ranking import ROWS, improvement
from rnnbench.report.figures.style import FIXED, TABLE, canvas, legend_below, looks, plain_number, save
from rnnbench.report.figures.training import cost_against_length, reach_against_length
from rnnbench.report.page.training_plots import training_plots
from rnnbench.report.results import read
from rnnbench.report.significance import Difference
from rnnbench.report.statistics import group


def with_positions(folder: Path, nll: np.ndarray) -> None:
    """A run's curves of a stateless evaluation."""
    curves: dict[str, Any] = {"test/nll_by_position": nll, "test/nll_position_sizes": np.full(len(nll), 10)}
    np.savez(folder / "curves.npz", **curves)


def test_every_cell_of_ours_has_a_look_of_its_own() -> None:
    """By colour and marker (points), and by colour and line style (lines without markers)."""
    ours = [name for name in cell_names() if name in TABLE]
    assert len(ours) >= 32
    assert set(TABLE) == set(ours)
    for attributes in (("color", "marker"), ("color", "linestyle")):
        assert len({tuple(getattr(TABLE[name], a) for a in attributes) for name in ours}) == len(ours)
    plain = {color for color, _ in FIXED.values()}
    assert not plain & {look.color for name, look in TABLE.items() if name not in FIXED}


def test_company_changes_no_look() -> None:
    """Of cells of ours, alone or among all others; of another's, where no second one is in the figure."""
    every = looks([*TABLE, "leaky"])
    for name in (*TABLE, "leaky"):
        assert looks([name])[name] == looks([name, "rnn", "mgu"])[name] == every[name]


def test_others_cells_differ_from_one_another_and_from_ours() -> None:
    names = ["leaky", "mine", "torchrecurrent:MGU", "torch:LSTM", "x"]
    found = looks(names)
    assert len({look.color for look in found.values()}) == len(names)
    many = looks([f"cell{i}" for i in range(25)])
    assert len({(look.color, look.marker) for look in many.values()}) == 25
    ours = {look.marker for look in TABLE.values()}
    assert not ours & {look.marker for look in many.values()}
    assert len(looks([f"cell{i}" for i in range(40)])) == 40  # more than there are looks


def test_variants_keep_colour_and_marker() -> None:
    found = looks(["mgu", "mgu(a=1)", "mgu, lr=0.01", "lstm, clip=1"])
    three = [look for label, look in found.items() if label.startswith("mgu")]
    assert len({(look.color, look.marker) for look in three}) == 1
    assert len({look.linestyle for look in three}) == 3
    assert found["lstm, clip=1"] == looks(["lstm"])["lstm"]


def test_a_backend_has_one_colour() -> None:
    assert backend_color("torch, dtype=bfloat16") == backend_color("torch") == COLORS["torch"]
    assert backend_color("unknown") in COLORS.values()
    assert backend_color("unknown") == backend_color("unknown, dtype=float16")


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_the_same_figure_is_the_same_bytes(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        with canvas() as (figure, (axes,)):
            axes.plot([1, 2], [3, 4], label="a")
            legend_below(figure, axes)
            (file,) = save(figure, tmp_path / name, {suffix})
            assert file.suffix == f".{suffix}"
    one, two = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
    assert one == two
    assert one.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[suffix])


def test_a_legend_is_read_line_by_line() -> None:
    with canvas(width=4.0) as (figure, (axes,)):
        for index in range(7):
            axes.plot([0], [index], label=f"label {index}")
        legend_below(figure, axes)
        figure.draw_without_rendering()
        (legend,) = figure.legends
        places = [(text.get_window_extent(), text.get_text()) for text in legend.get_texts()]
    rows = sorted(places, key=lambda place: (-round(place[0].y0), place[0].x0))
    assert [text for _, text in rows] == [f"label {index}" for index in range(7)]
    assert len({round(box.y0) for box, _ in places}) > 1


@pytest.mark.parametrize(("low", "high"), [(30, 95), (2.2, 2.6), (1, 1000), (0.01, 1e4), (90, 130), (5.1, 17)])
def test_a_logarithmic_axis_has_a_few_ticks_that_do_not_touch(low: float, high: float) -> None:
    with canvas(width=4.0) as (figure, (axes,)):
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        plain_number(axes.xaxis)
        figure.draw_without_rendering()
        shown = [
            label.get_window_extent()
            for label, at in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)
            if low <= at <= high and label.get_text()
        ]
    assert 2 <= len(shown) <= 10
    assert all(a.x1 < b.x0 for a, b in itertools.pairwise(sorted(shown, key=lambda box: box.x0)))


def test_pools_are_half_octaves_and_keep_the_sum() -> None:
    rng = np.random.default_rng(0)
    nll, sizes = rng.random(13), rng.integers(1, 50, 13).astype(float)
    at, means = pooled(nll, sizes)
    assert at[:3].tolist() == [1, 2, 3]
    assert len(at) == 7  # [1] [2] [3] [4 5] [6 7] [8 … 11] [12 13]
    assert means[3] == pytest.approx((nll[3] * sizes[3] + nll[4] * sizes[4]) / (sizes[3] + sizes[4]))
    weights = [sizes[a:b].sum() for a, b in itertools.pairwise((0, 1, 2, 3, 5, 7, 11, 13))]
    assert (means * weights).sum() / sizes.sum() == pytest.approx((nll * sizes).sum() / sizes.sum())
    for length, pools in ((1, 1), (2, 2), (4, 4), (8, 6), (64, 11), (256, 15)):  # a short last pool joins another
        at, _ = pooled(np.ones(length), np.ones(length))
        assert len(at) == pools
        assert np.all(np.diff(at) > 0)


def test_perplexity_by_position_is_drawn_at_the_longest_length(
    tmp_path: Path, text_run: Callable[..., Path], saved: list[matplotlib.figure.Figure]
) -> None:
    for length, seed in itertools.product((16, 64), range(2)):
        with_positions(text_run(tmp_path / "s", "gru", length, seed), 3.0 / np.arange(1, length + 1) + 0.1 * seed)
    text_run(tmp_path / "s", "rnn", 64, 0)  # has none of it
    (file,) = position_perplexity(group(read([tmp_path])), tmp_path / "p", {"svg"})
    assert file.name == "p.svg"
    lines = {str(line.get_label()): line for line in saved[0].axes[0].get_lines()}
    assert "gru, T = 64" in lines
    assert not any("rnn" in label or "16" in label for label in lines)
    x, y = (np.asarray(values) for values in lines["gru, T = 64"].get_data())
    assert x[0] == 1
    assert x[-1] == pytest.approx((48 + 64) / 2)
    assert y[0] == pytest.approx((math.exp(3.0) + math.exp(3.1)) / 2)
    assert "state carried on" in lines
    assert position_perplexity([g for g in group(read([tmp_path])) if g.cell == "rnn"], tmp_path / "q", {"svg"}) == []


def test_learning_curves_are_means_over_the_same_steps(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    """One seed has a step twice, as a run that was killed after a validation and resumed has, and one a score that is
    not finite, and no last one: neither moves the scores that follow to another step.
    """
    rows: dict[int, list[tuple[int, float | str]]] = {
        0: [(10, 3.0), (20, 2.0), (30, 1.5), (40, 1.0)],
        1: [(10, 9.9), (10, 3.2), (20, 2.2), (30, 1.7), (40, 1.2)],
        2: [(10, 3.4), (20, "inf"), (30, 1.9)],
    }
    for seed, points in rows.items():
        folder = text_run(tmp_path / "s", "gru", 64, seed)
        lines = [{"step": step, "tokens": 100 * step, "val/bpc": value} for step, value in points]
        (folder / "history.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (g,) = group(read([tmp_path]))
    found = validations(g.done, "val/bpc")
    assert found is not None
    tokens, scores = found
    assert tokens.tolist() == [1000, 3000]
    assert scores.mean(0).tolist() == pytest.approx([3.2, 1.7])
    (plot,) = (p for p in training_plots("text", g.results, ()) if p.title.startswith("How does it learn"))
    assert (plot.data[0]["x"], plot.data[0]["y"]) == ([0.001, 0.003], pytest.approx([3.2, 1.7]))
    assert validations(g.done, "val/mse") is None
    for result in g.results:
        (result.folder / "history.jsonl").write_text('{"step": 3, "val/bpc": 2.0}\n{"val/bpc": 1.0}\n')
    counted = validations(g.done, "val/bpc")
    assert counted is not None
    assert counted[0].tolist() == [3 * 64 * 32], "of T steps of B sequences each, where nobody has counted them"


def test_a_reference_that_depends_on_the_data_s_settings_is_no_one_line(
    tmp_path: Path, task_run: Callable[..., Path], text_run: Callable[..., Path]
) -> None:
    """Persistence errs by 0.2 a day ahead and by 0.4 two days ahead: a line at 0.3 would be neither's."""
    for horizon, persistence in ((24, 0.2), (48, 0.4)):
        for cell in ("gru", "lstm"):
            data = DataConfig("glucose", seq_len=64, horizon=horizon)
            metrics = {"test/mse": 0.3, "reference/persistence_mse": persistence, "reference/mean_mse": 1.0}
            task_run(tmp_path / "s", data, metrics, cell)
    groups = group(read([tmp_path]))
    assert reference_by_length(groups, "reference/persistence_mse") == {}
    assert reference_by_length(groups, "reference/mean_mse") == {64: 1.0}
    near = [g for g in groups if dict(g.extras)["data.horizon"] == 24]
    assert reference_by_length(near, "reference/persistence_mse") == {64: 0.2}
    for length, seed in itertools.product((16, 64), range(3)):  # one that depends on the seed is its mean
        metrics = {"reference/ngram_read_bpc": 2.0 + seed + length}
        text_run(tmp_path / "seeds" / "s", "gru", length, seed, metrics=metrics, full=False)
    by_seed = reference_by_length(group(read([tmp_path / "seeds"])), "reference/ngram_read_bpc")
    assert by_seed == {16: 19.0, 64: 67.0}


def test_costs_are_speed_and_memory(
    tmp_path: Path, text_run: Callable[..., Path], saved: list[matplotlib.figure.Figure]
) -> None:
    for length in (16, 64):
        text_run(tmp_path / "s", "gru", length, 0, metrics={"memory/peak_mib": 100.0 + length})
    groups = group(read([tmp_path]))
    cost_against_length(groups, tmp_path / "c", {"png"})
    speed, memory = saved[0].axes
    assert memory.get_title("left") == "How much memory does it take?"
    assert list(np.asarray(memory.get_lines()[0].get_ydata())) == [116.0, 164.0]
    assert speed.get_ylabel().startswith("tokens per second")


def test_a_reach_beyond_the_lags_measured_is_marked_at_the_edge(
    tmp_path: Path, text_run: Callable[..., Path], saved: list[matplotlib.figure.Figure]
) -> None:
    """Hollow points at initialisation, a line after training; a ≥ over the length at which it ends beyond them."""
    for length, end in ((16, 40), (64, "inf")):
        metrics = {"init/hundredth_lag": 8, "final/hundredth_lag": end}
        text_run(tmp_path / "s", "gru", length, 0, metrics=metrics, full=False)
    reach_against_length(group(read([tmp_path])), tmp_path / "r", {"svg"})
    (axes,) = saved[0].axes
    marks = [(text.xy[0], text.get_text()) for text in axes.texts if isinstance(text, Annotation)]
    assert marks == [(64, "≥")]
    before, after = axes.get_lines()[:2]
    assert (np.asarray(before.get_xdata()).tolist(), np.asarray(before.get_ydata()).tolist()) == ([16, 64], [8, 8])
    assert (np.asarray(after.get_xdata()).tolist(), np.asarray(after.get_ydata()).tolist()) == ([16], [40])
    (diagonal,) = (line for line in axes.get_lines() if line.get_label() == "lag = T")
    assert np.asarray(diagonal.get_ydata()).tolist() == [16, 64]


def comparison(better: str = "gru", length: int | None = 64, p: float = 0.01, probability: float = 0.8) -> Comparison:
    difference = Difference(mean=0.1, low=0.05, high=0.15, p=p, p_equivalent=None, paired=False)
    place = "all" if length is None else f"T = {length}"
    return Comparison("kjv", place, length, better, "rnn", (5, 5), (0, 0), difference, probability, 0.6, 1.0, None)


def test_a_row_a_pair_filled_where_it_is_sure(tmp_path: Path, saved: list[matplotlib.figure.Figure]) -> None:
    assert improvement([comparison(), comparison("lstm", None, p=0.5)], tmp_path / "i", {"svg"})
    (axes,) = saved[0].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "gru > rnn, T = 64", "lstm > rnn, over all lengths",
    ]  # fmt: skip
    first, second = (line for line in axes.get_lines() if np.asarray(line.get_xdata()).tolist() == [0.8])
    assert to_hex(first.get_markerfacecolor()) == to_hex(FIXED["gru"][0])
    assert to_hex(second.get_markerfacecolor()) == "#ffffff"
    assert np.asarray(first.get_ydata()).tolist() == [0]


def test_of_too_many_pairs_those_over_all_are_shown(tmp_path: Path, saved: list[matplotlib.figure.Figure]) -> None:
    many = [comparison(f"c{i}", length) for i in range(25) for length in (16, 64)]
    improvement([*many, comparison("gru", None)], tmp_path / "a", {"svg"})
    improvement(many, tmp_path / "b", {"svg"})
    assert [len(figure.axes[0].get_yticks()) for figure in saved] == [1, 25]
    assert len(many) > ROWS
    assert improvement([], tmp_path / "c", {"svg"}) == []

"""Pictures of the gradient laboratory: drawn where the runs have what they show, and showing it."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
import scipy.stats
from matplotlib.colors import to_hex

from rnnbench.probes.heat_map import flow_heat_map, lag_axis
from rnnbench.probes.measured import Measured, mean_decades, mean_of_those_left
from rnnbench.report import report
from rnnbench.report.figures.gradients import curves_figure, mean_along
from rnnbench.report.figures.terminal import DECADES, curves
from rnnbench.report.page.gradient_plots import gradient_plots
from rnnbench.report.results import read
from rnnbench.report.statistics import Group, group
from rnnbench.report.tables.reach import gradient_table

LAGS = np.arange(64.0)
#: More than are drawn as lines.
CELLS = ("rnn", "lstm", "gru", "mingru", "lru", "mamba", "lem", "janet", "mgu", "sru")


def measured(cell: str = "lstm", rate: float = -0.3, seeds: int = 3, condition: str = "default") -> Measured:
    """Curves that fall exponentially, and what the first of them comes to in closed form."""

    def falls_to(share: float) -> float:
        lag = math.ceil(math.log(share) / rate)
        return lag if lag < len(LAGS) else math.inf

    scalars: dict[str, float] = {
        "lags": 63, "half_lag": falls_to(0.5), "hundredth_lag": falls_to(0.01), "horizon": 15,
        "beyond_10": (math.exp(11 * rate) - math.exp(64 * rate)) / (1 - math.exp(64 * rate)), "max_gain": 1.0,
        "log10_gain_at_last_lag": 63 * rate / math.log(10), "dead_share": 0.0, "half_life": -math.log(2) / rate,
        "half_life_r2": 1.0, "half_life_first": 1, "half_life_last": 63,
    }  # fmt: skip
    curves = [(rate + 0.001 * seed) * LAGS + 5.0 for seed in range(seeds)]
    return Measured(cell, condition, 64, list(range(seeds)), curves, [scalars] * seeds, [rate] * seeds)


def test_the_laboratory_of_a_study(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for cell in ("rnn", {"name": "lstm", "forget_bias": 3.0}):
        for seed in range(2):
            text_run(tmp_path / "s", cell, 64, seed, laboratory=True)
    files = {Path(name).name for name in report([tmp_path], {"svg"}, None, None)["s"]["files"]}
    wanted = {"gradient_flow_along.svg", "reach_along.svg", "laboratory-rnn-T64.svg"}
    assert wanted | {"laboratory-lstm_forget_bias_3_-T64.svg"} <= files
    assert sum(name.startswith("laboratory") for name in files) == 2  # the first seed's


def test_a_laboratory_shows_what_there_is(
    tmp_path: Path, text_run: Callable[..., Path], saved: list[matplotlib.figure.Figure]
) -> None:
    folder = text_run(tmp_path / "s", "gru", 64, 0, laboratory=True)
    with np.load(folder / "curves.npz") as arrays:
        kept = {name: arrays[name] for name in arrays if "lyapunov" in name or "gates" in name}
    np.savez(folder / "curves.npz", **kept)
    report([tmp_path], {"svg"}, None, None)
    (figure,) = (one for one in saved if one.get_suptitle().startswith("gru on kjv, T = 64, seed 0"))
    exponents, gates = figure.axes
    first = exponents.get_lines()[0]
    assert np.allclose(first.get_ydata(), kept["init/lyapunov"])
    assert first.get_linestyle() == "--"
    assert [text.get_text() for text in gates.get_legend().get_texts()] == ["keep", "write"]


@pytest.mark.parametrize(
    ("ends", "last"), [((40.0, 41.0, 42.0), 41.0), ((40.0, "inf", "inf"), 200.0), ((40.0, "inf"), 40.0)]
)
def test_reach_along_training_ends_with_the_runs_own(
    ends: tuple[float | str, ...],
    last: float,
    tmp_path: Path,
    text_run: Callable[..., Path],
    saved: list[matplotlib.figure.Figure],
) -> None:
    """The median: beyond the lags measured it stands at the last of them; of two seeds it is the one that is known."""
    for seed, end in enumerate(ends):
        values = {"init/hundredth_lag": 2.0 + seed, "final/hundredth_lag": end, "init/lags": 200, "final/lags": 200}
        text_run(tmp_path / "s", "gru", 64, seed, metrics=values, laboratory=True)
    report([tmp_path], {"svg"}, None, None)
    (axes,) = (one.axes[0] for one in saved if "reach farther as training goes on" in one.axes[0].get_title("left"))
    lines = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.get_lines()}
    assert len(lines["gru"]) == 11
    assert (lines["gru"][0], lines["gru"][-1]) == (2.0 + (len(ends) - 1) / 2, last)
    beyond = lines.get("not within the lags measured")
    assert (beyond is None) == ("inf" not in ends)
    assert beyond is None or list(beyond) == [200.0, 200.0]


def test_what_lies_beyond_is_told_by_the_lags_that_were_measured_there(
    tmp_path: Path, text_run: Callable[..., Path], saved: list[matplotlib.figure.Figure]
) -> None:
    """One cell over 64 lags and nine others over 256: of the one it is known that it reaches 64, and no more."""
    for index, cell in enumerate(CELLS):
        for length in (16, 64):
            lags = 64 if cell == "lru" else 256
            value = "inf" if cell in ("lru", "sru") else 3 + index
            metrics = {f"{when}/{name}": v for when in ("init", "final") for name, v in
                       (("lags", lags), ("hundredth_lag", value))}  # fmt: skip
            text_run(tmp_path / "s", cell, length, 0, metrics=metrics)
    groups = group(read([tmp_path]))
    report([tmp_path], {"png"}, None, None)
    (figure,) = (one for one in saved if one.axes[0].get_title("left") == "At initialisation")
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    for axes in figure.axes[:2]:
        shown = {
            (names[int(y)], int(x)): t.get_text().removeprefix("○ ") for t in axes.texts for x, y in [t.get_position()]
        }
        assert {(name, shown[name, column]) for name in ("lru", "sru") for column in (0, 1)} == {
            ("lru", "≥64"), ("sru", "≥256"),
        }  # fmt: skip
        (image,) = axes.get_images()
        assert np.asarray(image.get_array())[names.index("lru")].tolist() == [64.0, 64.0]
    maps = [plot for plot in gradient_plots(groups) if plot is not None and "is down to 1/100" in plot.title]
    assert len(maps) == 2
    for plot in maps:
        texts = dict(zip(plot.y["ticktext"], plot.data[0]["text"], strict=True))
        assert (texts["lru"], texts["sru"], texts["rnn"]) == (["≥ 64"] * 2, ["≥ 256"] * 2, ["3", "3"])


def test_cells_whose_gradients_reach_farthest_come_first_whatever_was_measured(
    tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    """Down to 1/100 at lags 40, 37, … 13; the last cell's curve, cut off at lag 20, has lost least on average."""
    for index, cell in enumerate(CELLS):
        folder = text_run(tmp_path / "s", cell, 64, 0)
        curve = -4.61 / (40 - 3 * index) * np.arange(21.0 if cell == "sru" else 257.0)
        np.savez(folder / "curves.npz", **{"init/gradient_flow": curve, "final/gradient_flow": curve})
    plots = [plot for plot in gradient_plots(group(read([tmp_path]))) if plot is not None]
    for plot in plots[:2]:
        assert plot.y["ticktext"] == list(CELLS)


@pytest.mark.slow
def test_a_map_of_reaches(tmp_path: Path, text_run: Callable[..., Path], saved: list[matplotlib.figure.Figure]) -> None:
    """Ten cells at two lengths: the farthest on top, what is beyond the lags measured shown as such, a circle where
    gradients do not vanish.
    """
    for index, cell in enumerate(CELLS):
        for length in (16, 64):
            for seed in range(2):
                value = "inf" if cell == "lru" and length == 64 else 3 + 20 * index
                text_run(tmp_path / "s", cell, length, seed, metrics={"final/hundredth_lag": value}, laboratory=True)
    files = {Path(name).name for name in report([tmp_path], {"png"}, None, None)["s"]["files"]}
    assert "reach_map.png" in files
    laboratories = {name for name in files if name.startswith("laboratory")}
    assert laboratories == {f"laboratory-{cell}-T64.png" for cell in ("rnn", "lstm", "gru")}, "of the plain cells"
    (figure,) = (one for one in saved if one.axes[0].get_title("left") == "At initialisation")
    before, after = figure.axes[:2]
    names = [label.get_text() for label in before.get_yticklabels()]
    assert names[:3] == ["lru", "sru", "mgu"]
    assert names[-1] == "rnn"
    shown = {(names[int(y)], int(x)): text.get_text() for text in after.texts for x, y in [text.get_position()]}
    assert shown["rnn", 0] == "3"
    assert shown["lru", 0] == "83"
    assert shown["lru", 1] == "≥256"
    assert {text.get_text().removeprefix("○ ") for text in before.texts} == {"8"}
    (image,) = after.get_images()
    colours = np.asarray(image.get_array())
    assert colours[names.index("lru"), 1] == 256.0, "coloured as the last lag measured"
    assert colours.max() == 256.0
    circles = {place[0] for place, text in shown.items() if text.startswith("○ ") and place[1] == 1}
    assert circles == {g.cell for g in group(read([tmp_path])) if g.length == 64 and not vanishes(g)} != set()


def vanishes(g: Group) -> bool:
    """Does the 95 % interval of log₁₀ G(100)/G(0) lie below −1? By scipy."""
    lost = [float(curve[100] - curve[0]) / math.log(10) for curve in g.curves("final/gradient_flow")]
    _, high = scipy.stats.t.interval(0.95, len(lost) - 1, np.mean(lost), scipy.stats.sem(lost))
    return bool(high < -1)


#: 10⁸ times as much at lag 10 as at lag 0, half a decade less at each lag from there.
GROWN = np.where(LAGS < 10, 0.0, 8.0 - 0.5 * (LAGS - 10))


@pytest.mark.parametrize(
    ("flow", "horizon"),
    [
        (np.array([[-1.0], [-0.1], [0.0]]) * LAGS, [2, 20, 63]),
        (np.stack([GROWN, -LAGS]), [14, 2]),  # of what was measured: of what is shown, up to 10², it would be 26
        (np.stack([-LAGS, np.full(64, -np.inf), np.full(64, np.nan), -0.1 * LAGS]), [2, np.nan, np.nan, 20]),
    ],
)
def test_a_heat_map_is_dark_where_nothing_arrives(flow: np.ndarray, horizon: list[float]) -> None:
    """Where there is no gradient at all, as of a model whose relus have all died, there is no horizon."""
    axes = matplotlib.figure.Figure().subplots()
    mesh = flow_heat_map(axes, 10.0 * np.arange(len(flow)), flow)
    shown = np.asarray(mesh.get_array()).reshape(64, len(flow))
    assert np.array_equal(shown, np.clip(np.nan_to_num(flow, nan=-np.inf, neginf=-np.inf), -12, 2).T)
    (line,) = axes.get_lines()
    np.testing.assert_array_equal(np.asarray(line.get_ydata()), horizon)
    assert axes.get_ylim() == (0, 63)


def test_a_seed_without_a_gradient_darkens_no_map_and_no_curve(
    tmp_path: Path, text_run: Callable[..., Path], saved: list[matplotlib.figure.Figure]
) -> None:
    """Of three seeds one has none at the third step, and the same one none beyond lag 100 at the end."""
    fresh, kept = [], []
    for seed in range(3):
        folder = text_run(tmp_path / "s", "gru", 64, seed, laboratory=True)
        with np.load(folder / "curves.npz") as found:
            arrays = dict(found)
        kept.append({name: arrays[name].copy() for name in ("along/gradient_flow", "final/gradient_flow")})
        if seed == 1:
            arrays["along/gradient_flow"][2] = -np.inf
            arrays["along/gradient_flow"][-1, 101:] = arrays["final/gradient_flow"][101:] = -np.inf
        np.savez(folder / "curves.npz", **arrays)
        fresh.append(folder)
    (g,) = group(read([tmp_path]))
    steps_and_flow = mean_along(g.done)
    assert steps_and_flow is not None
    _, flow = steps_and_flow
    each = [(one["along/gradient_flow"] - one["along/gradient_flow"][:, :1]) / math.log(10) for one in kept]
    expected = np.mean(each, axis=0)
    expected[2] = np.mean([each[0][2], each[2][2]], axis=0)
    expected[-1, 101:] = np.mean([each[0][-1, 101:], each[2][-1, 101:]], axis=0)
    np.testing.assert_allclose(flow, expected, atol=1e-12)
    report([tmp_path], {"svg"}, None, None)
    (axes,) = (one.axes[1] for one in saved if "… and trained at" in one.axes[-1].get_title("left"))
    line = next(line for line in axes.get_lines() if line.get_label() == "gru")
    ends = [(one["final/gradient_flow"] - one["final/gradient_flow"][0]) / math.log(10) for one in kept]
    living = np.concatenate([np.mean(ends, axis=0)[:101], np.mean([ends[0], ends[2]], axis=0)[101:]])
    np.testing.assert_allclose(np.asarray(line.get_ydata()), living, atol=1e-12)


def test_means_of_those_that_are_left() -> None:
    none = -math.inf
    curves = np.array([[0.0, -2.0, none], [0.0, none, none], [0.0, -4.0, none]])
    assert mean_of_those_left(curves).tolist() == [0.0, -3.0, none]
    assert mean_decades([math.log(10) * curve + 5.0 for curve in curves]).tolist() == pytest.approx([0.0, -3.0, none])
    for shorter in ([curves[0], curves[2, :2]], [curves[2, :2], curves[0]]):
        assert mean_decades([math.log(10) * curve for curve in shorter]).tolist() == pytest.approx([0.0, -3.0])


@pytest.mark.parametrize(("seq_len", "last"), [(2, 1), (3, 2), (64, 32), (65, 64), (256, 128)])
def test_lags_are_ticked_at_powers_of_two(seq_len: int, last: int) -> None:
    axes = matplotlib.figure.Figure().subplots()
    lag_axis(axes, seq_len)
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks[:2] == ["0", "1"]
    assert int(ticks[-1]) == last


def test_curves_of_a_run_are_dashed_before_training(tmp_path: Path, saved: list[matplotlib.figure.Figure]) -> None:
    rows = [measured(condition="initial"), measured(rate=-0.01, condition="trained")]
    (file,) = curves_figure(rows, tmp_path / "x.svg", "made by a test")
    assert file == tmp_path / "x.svg"
    axes = saved[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["made by a test"]
    before, after = (line for line in axes.get_lines() if not str(line.get_label()).startswith("_"))
    assert (before.get_linestyle(), after.get_linestyle()) == ("--", "-")
    assert to_hex(before.get_color()) == to_hex(after.get_color())
    assert "1/100 at 16, vanishing" in str(before.get_label())
    assert "1/100 at ≥ 63, preserved" in str(after.get_label())
    assert np.allclose(before.get_ydata(), mean_decades(rows[0].curves))


def test_the_table_says_the_verdict_and_minus_infinity() -> None:
    lost = measured("transformer", seeds=1)
    lost.exponents = [-math.inf]
    some, spread = measured("irnn"), measured("gru")
    some.exponents, spread.exponents = [-0.1, -math.inf, -0.2], [-0.1, -0.2, -0.6]
    table = gradient_table([measured(), lost, some, spread], "made by a test")
    first, second, third, fourth = (row.text for row in table.rows)
    half_width = scipy.stats.t.ppf(0.975, 2) * scipy.stats.sem(spread.exponents)
    assert spread.exponent() == pytest.approx((-0.3, half_width))
    assert fourth["lyapunov"] == f"−0.30 ± {half_width:.2f}"
    assert first["lyapunov"] == "−0.3000", "three seeds that agree"
    assert third["lyapunov"] == "−∞ for some", "no mean of a number and of none"
    assert (first["verdict"], first["half"], first["hundredth"]) == ("vanishing", "3", "16")
    assert first["beyond"] == "3.7 %"  # e^(−0.3 × 11), the rest of a geometric series
    decades = np.array([-0.300, -0.299, -0.298]) * 63 / math.log(10)
    half_width = scipy.stats.t.ppf(0.975, 2) * scipy.stats.sem(decades)
    assert first["decades"] == f"−{-decades.mean():.3f} ± {half_width:.3f}"
    assert (second["verdict"], second["decades"], second["lyapunov"]) == ("–", "–", "−∞")
    columns = {column.key for column in table.columns}
    assert not {"condition", "dead", "gain"} & columns, "nothing is to be said of them"
    assert "over 63 lags" in dict(table.notes)["decades"]


def test_the_table_tells_of_what_is_beyond_of_the_dead_and_of_fits_that_are_good() -> None:
    far, dead, bent = measured("lru", -0.01), measured("irnn", -0.2), measured("gru", -0.1)
    dead.scalars = [one | {"dead_share": 0.25, "max_gain": 12.0} for one in dead.scalars]
    bent.scalars = [one | {"half_life_r2": 0.98} for one in bent.scalars]
    table = gradient_table([far, dead, bent], "made by a test")
    rows = {row.raw["cell"]: row.text for row in table.rows}
    assert (rows["lru"]["half"], rows["lru"]["hundredth"]) == ("≥ 63", "≥ 63")
    assert (rows["irnn"]["dead"], rows["lru"]["dead"]) == ("25 %", "–")
    assert (rows["irnn"]["gain"], rows["lru"]["gain"]) == ("12.0", "–")
    assert rows["irnn"]["fit"] == "3.47 (lags 1–63)"
    assert rows["gru"]["fit"] == "–", "no exponential describes its curve"
    raw = {row.raw["cell"]: row.raw for row in table.rows}
    assert (raw["lru"]["hundredth_lag"], raw["gru"]["half_life_r2"]) == (math.inf, 0.98)


@pytest.mark.parametrize("plain", [False, True])
def test_curves_in_the_terminal(plain: bool) -> None:
    """Each point stands where its value is; a steep line has no gap, and ends at the lower edge."""
    lines = [line.plain for line in curves({"rnn": -1.0 * LAGS, "gru": -0.02 * LAGS}, 80, plain)]
    symbols = "ox" if plain else "●▲"
    assert lines[-1].split() == [symbols[0], "rnn", symbols[1], "gru"]
    picture = lines[: DECADES + 1]
    assert picture[0].startswith("   0 ")
    assert picture[-1].startswith(" -12 ")
    assert all(symbols[0] in line for line in picture[1:])
    assert symbols[1] not in picture[4]
    axis = next(line for line in lines if "lag k" in line)
    for lag in (1, 2, 4, 8):  # row = −log₁₀ of the gradient, at the column that is ticked with the lag
        assert symbols[0] in picture[lag][axis.index(f" {lag} ") : axis.index(f" {lag} ") + 3]
    assert all(len(line) <= 80 for line in lines)
    assert not plain or all(line.isascii() for line in lines)
    assert any("red" in str(span.style) for span in curves({"rnn": -LAGS}, 80)[3].spans)

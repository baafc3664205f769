"""What a study compares with what: a table, a set of figures and a heading for each panel, along its own axis."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.figure
import pytest
from support.timings import job, write_job

from rnnbench.config import PROTOCOL
from rnnbench.report import report
from rnnbench.report.figures.pareto import choices
from rnnbench.report.page import write_page
from rnnbench.report.page.summary import summary
from rnnbench.report.panels import panels
from rnnbench.report.results import read
from rnnbench.report.statistics import SEQ_LEN, TRUNCATE, group
from rnnbench.report.tables.training import tables
from rnnbench.report.timings import timings
from rnnbench.runs import PanelFile, StudyFile, write_study

Write = Callable[..., Path]
BACK, LONGER = "How far the gradient goes back: all else is the same.", "A longer T at as many characters."
CELLS = ("lstm", "gru")


@pytest.fixture
def study(tmp_path: Path, text_run: Write) -> Path:
    """Two cells by five seeds: at T = 64 the gradient goes back 4 steps or all, and at T = 16 all.

    The runs at T = 64 that are not truncated stand in both panels.
    """
    folder = tmp_path / "runs" / "two"
    cut, whole, short = set(), set(), set()
    for seed in range(5):
        for cell in CELLS:
            bpc = {"test/bpc": 2.5 - 0.1 * CELLS.index(cell) + 0.001 * seed}
            cut.add(text_run(folder, cell, 64, seed, metrics=bpc, truncate=4).name)
            whole.add(text_run(folder, cell, 64, seed).name)
            short.add(text_run(folder, cell, 16, seed).name)
    described = (
        PanelFile("truncation", BACK, TRUNCATE, frozenset(cut | whole)),
        PanelFile("practice", LONGER, SEQ_LEN, frozenset(short | whole)),
        PanelFile("later", "What nobody has run yet.", SEQ_LEN, frozenset({"lstm-kjv-T4-s0-00000000"})),
    )
    write_study(folder, StudyFile("How long?", False, described))
    return folder


def test_each_panel_has_its_tables(study: Path) -> None:
    by_name = {table.name: table for table in tables(read([study]))}
    assert list(by_name) == [
        f"text{kind}-{panel}" for panel in ("truncation", "practice") for kind in ("", "-comparisons", "-effects")
    ]
    for panel, symbol, lengths, title in (("truncation", "K", {4, 64}, BACK), ("practice", "T", {16, 64}, LONGER)):
        table, pairs, effects = (by_name[f"text{kind}-{panel}"] for kind in ("", "-comparisons", "-effects"))
        assert {table.title, pairs.title, effects.title} == {title}
        (column,) = (column for column in table.columns if column.key == "length")
        assert column.title == symbol
        assert {row.raw["length"] for row in table.rows} == lengths
        assert {row.raw["all"] for row in table.rows} == {5}
        assert {row.raw["place"] for row in pairs.rows} == {f"{symbol} = {length}" for length in lengths} | {"all"}
        assert {row.raw["place"] for row in effects.rows} == set(CELLS)
    tests = {name: {row.text["test"] for row in table.rows} for name, table in by_name.items() if "effects" in name}
    assert tests == {"text-effects-truncation": {"paired t"}, "text-effects-practice": {"Welch"}}


def test_each_panel_has_its_figures_along_its_axis(study: Path, saved: list[matplotlib.figure.Figure]) -> None:
    files = {Path(name).name for name in report([study], {"svg", "md"}, None, None)["two"]["files"]}
    for panel in ("truncation", "practice"):
        stems = ("overview", "bpc_against_length", "reach_against_length", "learning_curves", "improvement")
        assert {f"{stem}-{panel}.svg" for stem in stems} <= files
        assert {f"table-text{kind}-{panel}.md" for kind in ("", "-comparisons", "-effects")} <= files
    assert not any("later" in name or "other" in name for name in files)
    scores = {}
    for figure in saved:
        (axes, *more), title = figure.axes, figure.axes[0].get_title("left")
        if not more and title in ("How far back must gradients go?", "What does a longer T change?"):
            ticks = [label.get_text() for label in axes.get_xticklabels()]
            scores[title] = (axes.get_xlabel().split(" (")[0], ticks, [str(x) for x in axes.get_lines()[0].get_xdata()])
    assert scores == {
        "How far back must gradients go?": ("truncation K", ["4", "64"], ["4", "64"]),
        "What does a longer T change?": ("sequence length T", ["16", "64"], ["16", "64"]),
    }
    assert "Numbers: T." in (study / "report" / "pareto-practice.svg").read_text(), (
        "quality against speed names the axis"
    )
    assert "Numbers: K." in (study / "report" / "pareto-truncation.svg").read_text()
    page = (study / "report" / "report.md").read_text()
    assert page.count(BACK) == page.count(LONGER) == 3, "above each table"
    assert page.index(BACK) < page.index(LONGER)


def test_words_and_page_follow_the_panels(study: Path) -> None:
    results = read([study])
    said = dict(summary(results, (), tables(results)))
    assert {BACK, LONGER} <= set(said)
    assert any(sentence.startswith("K = 4: gru has the lowest") for sentence in said[BACK])
    assert any("gru, lengths against the longest: K = " in sentence for sentence in said[BACK])
    assert any(sentence.startswith("T = 16: lstm has the lowest") for sentence in said[LONGER])
    page = write_page("two", results, (), tables(results), study).read_text(encoding="utf-8")
    assert re.findall(r'<h3 class="block">([^<]*)</h3>', page) == [BACK, LONGER]
    for title in ("Text (truncation)", "Text: what the length changes (practice)"):
        assert f">{title}</h3>" in page


def test_what_stands_in_no_panel_makes_one_of_its_own(study: Path, text_run: Write) -> None:
    extra = text_run(study, "rnn", 64, 0).name
    found = panels(read([study]))
    assert [(panel.name, panel.axis, len(panel.results)) for panel in found] == [
        ("truncation", TRUNCATE, 20), ("practice", SEQ_LEN, 20), ("other", SEQ_LEN, 1),
    ]  # fmt: skip
    assert [result.id for result in found[-1].results] == [extra]
    table = tables(read([study]))[-1]
    assert (table.name, [row.raw["cell"] for row in table.rows]) == ("text-other", ["rnn"])


def test_runs_of_an_older_protocol_are_apart_in_each_panel(study: Path, text_run: Write) -> None:
    old = text_run(study, "lstm", 16, 9, protocol=1).name
    write_study(study, StudyFile("How long?", False, (PanelFile("practice", LONGER, SEQ_LEN, frozenset({old})),)))
    assert [(panel.name, len(panel.results)) for panel in panels(read([study]))] == [
        ("practice", 20), ("truncation", 20), ("practice-protocol1", 1),
    ]  # fmt: skip
    (last,) = (table for table in tables(read([study])) if "protocol1" in table.name)
    assert last.title == f"{LONGER} Made under protocol 1; not to be mixed with runs of protocol {PROTOCOL}."


@pytest.mark.parametrize("content", [None, "", "{", "[]", '{"question": 3}', '{"panels": [{"name": "x"}]}'])
def test_without_a_description_all_is_one_panel(content: str | None, tmp_path: Path, text_run: Write) -> None:
    for length in (16, 64):
        text_run(tmp_path / "s", "gru", length, 0, full=False)
    if content is not None:
        (tmp_path / "s" / "study.json").write_text(content)
    (panel,) = panels(read([tmp_path]))
    assert (panel.name, panel.ending, panel.title, panel.axis, panel.search) == ("", "", "", SEQ_LEN, False)
    assert len(panel.results) == 2


def test_along_truncations_what_goes_back_all_the_way_is_at_t(study: Path) -> None:
    groups = group(panels(read([study]))[0].results, TRUNCATE)
    assert [(g.cell, g.length, g.place, g.extras) for g in groups] == [
        (cell, length, f"K = {length}", ()) for length in (4, 64) for cell in CELLS
    ]
    along_length = group(panels(read([study]))[0].results)
    assert {(g.length, g.extras) for g in along_length} == {
        (64, (("optim.truncate", 4),)), (64, (("optim.truncate", None),)),
    }  # fmt: skip


def test_the_speed_of_a_truncated_run_is_that_of_its_t(study: Path, tmp_path: Path) -> None:
    """What its run measured: a layer that was timed by itself had its whole gradient, at T = 4 of too few steps."""
    for length in (4, 64):
        write_job(tmp_path / "timed", job(CELLS, seq_len=length, batch_size=32), ("torch",))
    groups = group(panels(read([study]))[0].results, TRUNCATE)
    found = choices(groups, timings(read([tmp_path / "timed"])), "test/bpc")
    assert {one.group.length for one in found} == {4, 64}
    for one in found:
        assert one.timed is None
        assert one.speed == one.group.median("throughput/tokens_per_second")


def test_panels_of_timings_have_tables_and_figures_of_their_own(tmp_path: Path) -> None:
    ids: dict[str, set[str]] = {"wide": set(), "slim": set()}
    for name, width in (("wide", 256), ("slim", 64)):
        for length in (64, 256):
            ids[name].add(write_job(tmp_path / "s", job(seq_len=length, hidden_size=width), ("loop", "torch")).name)
    described = tuple(PanelFile(name, f"H is {name}.", "seq_len", frozenset(own)) for name, own in ids.items())
    write_study(tmp_path / "s", StudyFile("How fast?", False, described))
    by_name: dict[str, Any] = {table.name: table for table in tables(read([tmp_path / "s"]))}
    assert {"timing-wide", "speedup-wide", "timing-slim", "speedup-slim"} <= set(by_name)
    assert {row.raw["hidden_size"] for row in by_name["timing-slim"].rows} == {64}
    files = {Path(name).stem for name in report([tmp_path / "s"], {"svg"}, None, None)["s"]["files"]}
    assert {f"timing_against_length-{name}" for name in ids} <= files

from __future__ import annotations

import itertools
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats

from rnnbench.errors import UserError
from rnnbench.report.page import write_page
from rnnbench.report.page.document import plotly
from rnnbench.report.page.plot import DARK
from rnnbench.report.page.summary import summary
from rnnbench.report.page.text import kept, script
from rnnbench.report.results import read
from rnnbench.report.statistics import group
from rnnbench.report.tables.training import tables
from rnnbench.report.timings import timings
from rnnbench.runs import SAMPLE_MARK

Write = Callable[..., Path]
SHIPPED = Path(__file__).parents[2] / "experiments" / "results"
HOSTILE = '</script><script>window.hacked = 1</script><img src="http://evil.example/x" onerror="window.hacked = 1">'
VOID = {"meta", "img", "br", "input", "link", "hr"}


@dataclass
class Page(HTMLParser):
    """What a browser without scripts sees: elements, texts of table cells, contents of scripts."""

    text: str
    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    values: list[list[list[str | None]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    bold: list[str] = field(default_factory=list)
    stack: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.elements.append((tag, found))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "table":
            self.tables.append([])
            self.values.append([])
        elif tag == "tr":
            self.tables[-1].append([])
            self.values[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self.values[-1][-1].append(found.get("data-value"))
        elif tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag, f"{tag} is not nested"

    def handle_data(self, data: str) -> None:
        if "script" in self.stack:
            self.scripts[-1] += data
        elif "td" in self.stack or ("th" in self.stack and "table" in self.stack):
            self.tables[-1][-1][-1] += data
            if "strong" in self.stack:
                self.bold.append(data)

    @property
    def data(self) -> Any:
        return json.loads(self.scripts[0])


def page_of(study: Path, out: Path) -> Page:
    results = read([study])
    out.mkdir(parents=True, exist_ok=True)
    timed = timings([result for result in results if result.kind == "timing"])
    written = write_page(study.name, results, timed, tables(results), out)
    assert written == out / "report.html"
    assert [path.name for path in out.iterdir()] == ["report.html"]
    return Page(written.read_text(encoding="utf-8"))


@pytest.fixture
def page(text_study: Path, tmp_path: Path) -> Page:
    return page_of(text_study, tmp_path / "out")


def scores(study: Path, cell: str, length: int) -> list[float]:
    """Each seed's."""
    (g,) = (g for g in group(read([study])) if (g.cell, g.length) == (cell, length))
    return list(g.values("test/bpc"))


def said(study: Path) -> str:
    """The summary's words."""
    results = read([study])
    timed = timings([result for result in results if result.kind == "timing"])
    return " ".join(" ".join([head, *points]) for head, points in summary(results, timed, tables(results)))


def test_the_page_asks_nothing_of_anyone_and_is_the_same_bytes(page: Page, text_study: Path, tmp_path: Path) -> None:
    assert page_of(text_study, tmp_path / "again").text == page.text
    links = {value for _, found in page.elements for name, value in found.items() if name in ("src", "href", "action")}
    assert links
    assert all(link is not None and link.startswith("#") for link in links)
    assert not {"link", "iframe", "img", "object", "embed"} & {tag for tag, _ in page.elements}
    (policy,) = [str(found["content"]) for _, found in page.elements if "http-equiv" in found]
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert page.stack == []


def test_its_tables_are_the_reports_and_sorted_by_raw_numbers(page: Page, text_study: Path) -> None:
    made = tables(read([text_study]))
    assert len(page.tables) == len(made) + 1
    for table, shown in zip(made, page.tables[: len(made)], strict=True):
        assert shown[0] == [column.title for column in table.columns]
        lines = [[row.text.get(column.key, "") for column in table.columns] for row in (*table.rows, *table.references)]
        assert shown[1:] == lines
    bold = [row.text[c.key] for table in made for row in table.rows for c in table.columns if c.key in row.bold]
    assert page.bold == bold
    assert all(table.caption.split("`")[0] in page.text.replace("&#x27;", "'") for table in made)
    first = made[0]
    keys = [column.key for column in first.columns]
    behind = {"test/bpc": "test/bpc", "length": "length", "reach": "final/hundredth_lag", "seeds": "done"}
    for key, name in behind.items():
        values = [line[keys.index(key)] for line in page.values[0][1 : 1 + len(first.rows)]]
        assert [float(str(value)) for value in values] == pytest.approx([row.raw[name] for row in first.rows])
    assert "Infinity" in [value for line in page.values[0] for value in line]


def test_every_run_has_its_page_and_its_curves_are_thin(page: Page, text_study: Path) -> None:
    results = read([text_study])
    runs = page.data["runs"]
    assert [run["id"] for run in runs] == [result.id for result in results]
    routes = [run["route"] for run in runs]
    assert len(set(routes)) == len(routes)
    links = [str(found.get("href")) for _, found in page.elements]
    assert [link for link in links if link.startswith("#run/")] == [f"#run/{route}" for route in routes]
    for run, result in zip(runs, results, strict=True):
        assert run["config"] == json.loads(json.dumps(result.run))
        for name, (x, y) in run["curves"].items():
            assert len(x) == len(y) <= 64
            assert x == sorted(set(x)), name
        curve = result.curve("final/gradient_flow")
        if curve is not None:
            lags, flow = run["curves"]["final/gradient_flow"]
            assert lags[-1] == len(curve) - 1
            assert flow[-1] == pytest.approx((curve[-1] - curve[0]) / math.log(10), rel=1e-3)
    (failed,) = [run for run in runs if run["status"] == "failed"]
    assert failed["error"].startswith("OutOfMemoryError")
    assert failed["curves"] == {}


def test_no_text_of_a_run_becomes_markup(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    study = tmp_path / "runs" / 'a <b>&"study'
    clean = tmp_path / "runs" / "clean"
    for folder in (study, clean):
        for seed in range(2):
            text_run(folder, "gru", 16, seed)
    broken = text_run(study, "rnn", 16, 0, "failed", full=False)
    values = json.loads((broken / "result.json").read_text())
    values |= {"error": HOSTILE, "environment": {"commit": HOSTILE, "device": HOSTILE}}
    values["metrics"] = {"note": HOSTILE}
    values["run"]["data"]["path"] = f"/tmp/{HOSTILE.replace('/', '')}.txt"
    (broken / "result.json").write_text(json.dumps(values))
    (broken / "sample.txt").write_text(f"{HOSTILE}{SAMPLE_MARK}{HOSTILE}")
    (broken / "samples.json").write_text(json.dumps([{"source": HOSTILE, "target": 1, "decoded": None}, 3]))
    page, other = page_of(study, tmp_path / "one"), page_of(clean, tmp_path / "two")
    assert len(page.scripts) == len(other.scripts) == 5
    assert "<" not in page.scripts[0]
    assert {tag for tag, _ in page.elements} == {tag for tag, _ in other.elements}
    assert not any(name.startswith("on") for _, found in page.elements for name in found)
    (run,) = [run for run in page.data["runs"] if run["status"] == "failed"]
    assert run["error"] == HOSTILE
    assert run["sample"] == [HOSTILE, HOSTILE]
    assert run["pairs"] == [[HOSTILE, "1", "None"]]
    drawn = json.dumps(page.data["plots"])
    assert "<img" not in drawn
    assert "<script" not in drawn


def test_figures_have_our_colours_and_their_traces(page: Page, text_study: Path) -> None:
    titles = [1 for tag, found in page.elements if tag == "h3" and str(found.get("id")).startswith("plot-")]
    plots = page.data["plots"]
    assert len(titles) == len(plots) >= 8
    score = plots[0]["data"]
    lines = {one["name"]: one for one in score if one["mode"] == "lines+markers"}
    assert list(lines) == ["rnn", "lstm", "gru"]
    assert lines["lstm"]["x"] == [16, 32, 64]
    assert lines["lstm"]["line"]["color"] == "#0072B2"
    assert len(lines["lstm"]["error_y"]["array"]) == 3
    values = [scores(text_study, "lstm", length) for length in (16, 32, 64)]
    assert lines["lstm"]["y"] == pytest.approx([np.mean(seeds) for seeds in values], rel=1e-4)
    upper = [scipy.stats.t.ppf(0.975, 4) * scipy.stats.sem(seeds) for seeds in values]
    assert lines["lstm"]["error_y"]["array"] == pytest.approx(upper, rel=1e-2)
    colors = set(json.dumps(plots).split('"#')[1:])
    assert {f"#{text[:6]}" for text in colors} <= set(DARK)
    assert max(len(one["x"]) for plot in plots for one in plot["data"]) <= 2 * 128


def test_words_claim_no_more_than_seeds_can_bear(tmp_path: Path, text_run: Write) -> None:
    for seeds, study in ((2, tmp_path / "few"), (5, tmp_path / "five")):
        for cell in ("rnn", "lstm"):
            for seed in range(seeds):
                text_run(study, cell, 16, seed)
    few, five = said(tmp_path / "few"), said(tmp_path / "five")
    mean = np.mean(scores(tmp_path / "few", "lstm", 16))
    assert f"T = 16: lstm has the lowest test bits per character, {mean:.3f}. There are too few seeds" in few
    assert "better than" not in few
    assert "p = " not in few
    assert "p < " not in few
    lstm, rnn = (scores(tmp_path / "five", cell, 16) for cell in ("lstm", "rnn"))
    found = scipy.stats.ttest_ind(rnn, lstm, equal_var=False)
    assert found.pvalue < 0.001
    low, high = found.confidence_interval(0.95)
    gap = np.mean(rnn) - np.mean(lstm)
    assert f"It is better than rnn ({gap:.2g}, {low:.2g} to {high:.2g}, p < 0.001)." in five
    assert "too few seeds" not in five
    assert "all beat unigram (4.21); none beats xz, conditional (1.93)" in five


def test_words_rank_nothing_that_may_not_be_ranked(tmp_path: Path, text_run: Write) -> None:
    """Scores alone at one learning rate for all, at one seed, and of a single cell; and why."""
    for cell in ("rnn", "lstm"):
        for seed in range(5):
            text_run(tmp_path / "rate", cell, 16, seed, tuned=False)
        text_run(tmp_path / "seed", cell, 16, 0)
    words = "One learning rate: no ranking: test bits per character rnn 2.369 and lstm 2.099 at T = 16."
    assert words in said(tmp_path / "rate")
    for study in ("rate", "seed"):
        assert "has the lowest" not in said(tmp_path / study)
    assert "One seed: no ranking: test bits per character rnn 2." in said(tmp_path / "seed")
    text_run(tmp_path / "alone", "gru", 16, 0)
    assert "no ranking" not in said(tmp_path / "alone")
    assert "has the lowest" not in said(tmp_path / "alone")


def test_words_on_two_that_are_alike(tmp_path: Path, text_run: Write) -> None:
    """A lead within the noise is not called one; that two are equal is said where it was shown."""
    cases = {"vague": ((2.0, 2.1, 2.2, 2.3, 2.4), (2.3, 2.0, 2.41, 2.1, 2.2))}
    cases["near"] = ((2.0, 2.001, 2.002, 2.003, 2.004), (2.001, 2.002, 2.0, 2.0045, 2.004))
    for study, values in cases.items():
        for cell, own in zip(("rnn", "gru"), values, strict=True):
            for seed, score in enumerate(own):
                text_run(tmp_path / study, cell, 16, seed, metrics={"test/bpc": score})
    words = said(tmp_path / "vague")
    assert "rnn has the lowest test bits per character, 2.200. It is not shown to differ from gru (0.0020, −0." in words
    assert "better than" not in words
    assert "It is equivalent to gru (0.00030, −0.0" in said(tmp_path / "near")


def test_a_lag_beyond_those_measured_is_told_by_the_last_of_them(tmp_path: Path, text_run: Write) -> None:
    """Whatever the other lags are: 255 were measured, so nothing is known to be beyond less."""
    for cell, reach in (("rnn", 8), ("gru", "inf")):
        for length in (16, 64):
            metrics = {"final/hundredth_lag": reach, "init/lags": 255, "final/lags": 255}
            text_run(tmp_path / "few", cell, length, 0, metrics=metrics)
    (reaches,) = [
        one
        for one in page_of(tmp_path / "few", tmp_path / "out").data["plots"]
        if "lag at which the gradient is down" in json.dumps(one["layout"])
    ]
    labels = {label for one in reaches["data"] if one["name"] == "gru" for label in one.get("customdata", [])}
    assert labels == {"8", "≥ 255"}


def test_words_tell_of_lost_runs_and_compare_each_length_with_the_longest(
    text_study: Path, tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    words = said(text_study)
    for cell in ("lstm", "gru"):
        assert f"{cell}, lengths against the longest: T = 64 before T = 16 by 0.039 (0.035 to 0.044; better)" in words
    assert "rnn, lengths against" not in words, "of its longest two runs were lost, so there are too few"
    assert "2 of 45 were lost: 1 diverged (rnn at T = 64); 1 failed (rnn at T = 64)" in words
    assert "OutOfMemoryError: 3 of 2" in words
    text_run(tmp_path / "all" / "s", "gru", 16, 0, "failed", full=False)
    words = said(tmp_path / "all" / "s")
    assert "No run came to a score." in words


def test_a_timing_study_has_words_and_plots(timing_study: Path, tmp_path: Path) -> None:
    words = said(timing_study)
    assert words.startswith(" 3 timing jobs of 2 cells (lstm and gru), at T = 32, 128 and 512")
    assert "At T = 32 the fastest training step is gru on torch" in words
    assert "lstm on loop is the slowest" in words
    first = page_of(timing_study, tmp_path / "out").data["plots"][0]
    assert [one["name"] for one in first["data"]] == ["lstm · loop", "lstm · torch", "gru · loop", "gru · torch"]
    assert first["data"][0]["x"] == [32, 128, 512]


@pytest.mark.parametrize("study", ["quick/all_tasks", "quick/longest_solvable", "quick/decode_latency"])
def test_committed_results_have_pages(study: str, tmp_path: Path) -> None:
    page = page_of(SHIPPED / study, tmp_path / "out")
    assert page.data["plots"]
    words = said(SHIPPED / study)
    assert "nan" not in words.lower().split()
    assert "None" not in words.replace("None was lost", "")
    assert words.count("(") == words.count(")")


def test_without_plotly_it_says_what_to_install(
    text_study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plotly.cache_clear()
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(UserError, match=r"pip install 'rnnbench\[dashboards\]'"):
        page_of(text_study, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
    plotly.cache_clear()


@pytest.mark.parametrize("count", [1, 16, 64, 65, 256, 1000])
@pytest.mark.parametrize("most", [48, 64, 128])
def test_thinning_keeps_both_ends_and_the_beginning(count: int, most: int) -> None:
    few = kept(count, most).tolist()
    assert len(few) == min(count, most)
    assert few == sorted(set(few))
    assert few[:16] == list(range(min(16, count)))
    assert few[-1] == count - 1


def test_what_json_cannot_say_is_refused() -> None:
    assert script({"a": "</script>&"}) == '{"a":"\\u003c/script>&"}'
    with pytest.raises(ValueError):
        script([math.inf])


@pytest.mark.slow
def test_a_thousand_runs(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    cells = ("rnn", "lstm", "gru", "mgu", "janet", "mingru", "lru", "sru", "qrnn", "hgrn")
    for cell, length, seed in itertools.product(cells, (16, 32, 64, 128, 256), range(20)):
        text_run(tmp_path / "big", cell, length, seed)
    results = read([tmp_path / "big"])
    made = tables(results)
    begin = time.perf_counter()
    path = write_page("big", results, (), made, tmp_path)
    assert time.perf_counter() - begin < 8
    assert path.stat().st_size < 15e6

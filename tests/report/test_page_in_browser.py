"""The page as a reader has it: in headless Chromium, from disk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rnnbench.report.page import write_page
from rnnbench.report.page.plot import DARK
from rnnbench.report.results import Result, read
from rnnbench.report.tables.training import tables
from rnnbench.report.timings import timings
from rnnbench.runs import SAMPLE_MARK

pytestmark = pytest.mark.browser
Written = tuple[Path, list[Result]]
HOSTILE = '</script><script>window.hacked = 1</script><img src="http://evil.example/x" onerror="window.hacked = 1">'


@dataclass
class Reader:
    """A browser, and all that went wrong or out in it."""

    browser: Any
    wrong: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    contexts: list[Any] = field(default_factory=list)

    def open(self, path: Path, route: str = "", width: int = 1100, **how: Any) -> Any:
        context = self.browser.new_context(viewport={"width": width, "height": 800}, **how)
        self.contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: self.wrong.append(message.text) if message.type != "log" else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.goto(f"{path.as_uri()}{route}")
        return page

    def check(self) -> None:
        """No error in the console, and nothing asked of any network."""
        assert self.wrong == []
        assert [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed; make test-browser installs it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def reader(chromium: Any) -> Iterator[Reader]:
    one = Reader(chromium)
    yield one
    for context in one.contexts:
        context.close()
    one.check()


def written(study: Path) -> Written:
    results = read([study])
    timed = timings([result for result in results if result.kind == "timing"])
    return write_page(study.name, results, timed, tables(results), study), results


@pytest.fixture
def page_file(text_study: Path) -> Written:
    """Of the text study, with a sample in one run and a hostile error in another."""
    for folder in text_study.glob("gru-*-T16-s0-*"):
        (folder / "sample.txt").write_text(f"In the beginning{SAMPLE_MARK} was the word\n<b>not bold</b>")
    (failed,) = [result.folder for result in read([text_study]) if result.status == "failed"]
    values = json.loads((failed / "result.json").read_text())
    (failed / "result.json").write_text(json.dumps(values | {"error": HOSTILE}))
    return written(text_study)


def draw_all(page: Any) -> int:
    """Scroll past every figure, as a reader would."""
    count = page.locator("[data-plot]").count()
    for at in range(count):
        page.locator(f"#plot-{at}").scroll_into_view_if_needed()
        page.wait_for_selector(f"#plot-{at} .main-svg", state="attached")
    return int(count)


def column(page: Any, table: str, at: int) -> list[str]:
    rows = page.locator(f"#{table} tbody:not(.references) tr:visible > :nth-child({at + 1})")
    return [text.strip() for text in rows.all_inner_texts()]


def test_it_loads_and_every_figure_has_its_traces(page_file: Written, reader: Reader) -> None:
    page = reader.open(page_file[0])
    assert page.title() == "seqlen · rnnbench"
    assert draw_all(page) >= 8
    lines = dict(page.evaluate("document.getElementById('plot-0').data.map(one => [one.name, one.line.color])"))
    assert {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73"}.items() <= lines.items()
    for at in range(page.locator("[data-plot]").count()):
        drawn = page.locator(f"#plot-{at} .scatterlayer .trace, #plot-{at} .heatmaplayer image").count()
        assert drawn == page.evaluate(f"document.getElementById('plot-{at}').data.length"), at
    buttons = page.evaluate("[...document.querySelectorAll('#plot-0 .modebar-btn')].map(one => one.dataset.title)")
    assert len(buttons) == 4
    assert not [title for title in buttons if "hare" in title or "loud" in title]


def test_a_table_sorts_by_its_numbers(page_file: Written, reader: Reader) -> None:
    page = reader.open(page_file[0])
    heads = page.locator("#table-text thead th")
    titles = [title.split("\n")[0] for title in heads.all_inner_texts()]
    at = titles.index("test bpc")
    button = heads.nth(at).locator("button")
    assert heads.nth(at).get_attribute("aria-sort") == "none"
    button.click()
    assert heads.nth(at).get_attribute("aria-sort") == "ascending"
    up = [float(text.split()[0]) for text in column(page, "table-text", at)]
    assert len(up) == 9
    assert up == sorted(up)
    button.press("Enter")
    assert heads.nth(at).get_attribute("aria-sort") == "descending"
    assert [float(text.split()[0]) for text in column(page, "table-text", at)] == up[::-1]
    tokens = titles.index("tokens/s")
    heads.nth(tokens).locator("button").click()
    assert heads.nth(at).get_attribute("aria-sort") == "none"
    speeds = [float(text.replace("\u202f", "")) for text in column(page, "table-text", tokens)]
    assert speeds == sorted(speeds)


def test_filters_filter(page_file: Written, reader: Reader) -> None:
    page = reader.open(page_file[0])
    box = page.locator("#table-text")
    assert box.get_by_role("status").inner_text() == "9 rows"
    box.get_by_label("cell", exact=True).select_option("lstm")
    assert column(page, "table-text", 0) == ["lstm"] * 3
    box.get_by_label("T", exact=True).select_option("64")
    assert box.get_by_role("status").inner_text() == "1 of 9 rows"
    assert box.locator("tbody.references tr:visible").count() == 3
    runs = page.locator("#table-runs")
    runs.get_by_label("status", exact=True).select_option("diverged")
    assert len(column(page, "table-runs", 0)) == 1
    runs.get_by_label("status", exact=True).select_option("")
    runs.get_by_label("Filter").fill("rnn T64")
    assert runs.get_by_role("status").inner_text() == "5 of 45 rows"


def test_a_run_has_a_page_of_its_own(page_file: Written, reader: Reader) -> None:
    path, results = page_file
    page = reader.open(path)
    (run,) = [r for r in results if (r.cell, r.seq_len, r.run["seed"]) == ("gru", 16, 0)]
    page.locator("#table-runs").get_by_role("link", name=run.id).click()
    assert page.locator("h1:visible").inner_text() == run.id
    assert page.title() == f"{run.id} · seqlen"
    article = page.locator("#run")
    assert article.locator(".canvas .main-svg:first-child").count() == 3
    assert article.get_by_text("seed: 0").count() == 1
    assert "In the beginning was the word\n<b>not bold</b>" in article.inner_text()
    bpc = article.locator("tr", has=page.get_by_role("rowheader", name="test/bpc", exact=True)).locator("td")
    assert float(bpc.inner_text()) == pytest.approx(run.number("test/bpc"), rel=1e-4)
    article.get_by_role("link", name="all runs").click()
    assert page.locator("#runs").is_visible()
    assert not article.is_visible()
    page.goto(f"{path.as_uri()}#run/nothing")
    assert page.locator("h1:visible").inner_text() == "No such run"


def test_an_error_is_shown_and_not_obeyed(page_file: Written, reader: Reader) -> None:
    path, results = page_file
    (failed,) = [result for result in results if result.status == "failed"]
    page = reader.open(path, f"#run/{failed.id}")
    assert page.locator("#run .error").inner_text() == HOSTILE
    assert page.evaluate("window.hacked") is None
    assert page.locator("#run img").count() == 0


@pytest.mark.parametrize("route", ["", "#run/"])
def test_a_narrow_screen_scrolls_only_down(page_file: Written, reader: Reader, route: str) -> None:
    path, results = page_file
    page = reader.open(path, route + results[0].id if route else "", 360, has_touch=True, is_mobile=True)
    draw_all(page) if not route else page.wait_for_selector("#run .main-svg")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.evaluate("[...document.querySelectorAll('.canvas svg')].every(one => one.clientWidth <= 330)")


def test_the_dark_follows_the_system_and_the_button(page_file: Written, reader: Reader) -> None:
    page = reader.open(page_file[0], color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    color = "document.getElementById('plot-0').data[0].line.color"
    dark = page.evaluate(ground)
    draw_all(page)
    assert page.evaluate(color) == DARK["#D55E00"]
    page.get_by_role("button", name="Switch to light colours").click()
    assert page.evaluate(color) == "#D55E00"
    light = page.evaluate(ground)
    assert light != dark
    page.reload()
    assert page.evaluate(ground) == light  # the choice is kept
    other = reader.open(page_file[0], color_scheme="light")
    assert other.evaluate(ground) == light
    draw_all(other)
    other.emulate_media(color_scheme="dark")
    for _ in range(50):  # a change of the system's theme comes with the next frame
        if other.evaluate(color) != "#D55E00":
            break
        other.wait_for_timeout(100)
    assert other.evaluate(color) == DARK["#D55E00"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(page_file: Written, reader: Reader, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    path, results = page_file
    page = reader.open(path, color_scheme=scheme)
    draw_all(page)
    found = axe.run(page)
    assert found.response["violations"] == [], found.generate_report()
    (failed,) = [result for result in results if result.status == "failed"]
    for run in (results[0], failed):
        found = axe.run(reader.open(path, f"#run/{run.id}", color_scheme=scheme))
        assert found.response["violations"] == [], found.generate_report()


def test_without_scripts_the_tables_are_read_and_printing_takes_to_paper(page_file: Written, reader: Reader) -> None:
    page = reader.open(page_file[0], java_script_enabled=False)
    assert page.locator("#table-text tbody tr:visible").count() == 12
    assert page.locator("#summary li:visible").count() >= 3
    assert page.get_by_text("need JavaScript").is_visible()
    printed = reader.open(page_file[0], color_scheme="dark")
    printed.pdf()
    printed.wait_for_selector("#plot-7 .main-svg", state="attached")
    assert printed.evaluate("document.documentElement.dataset.theme") is None


def test_a_timing_study(timing_study: Path, reader: Reader) -> None:
    path, results = written(timing_study)
    page = reader.open(path)
    assert draw_all(page) >= 2
    page.goto(f"{path.as_uri()}#run/{results[0].id}")
    assert page.locator("#run table").first.locator("tbody tr").count() == 4

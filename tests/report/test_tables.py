from __future__ import annotations

import csv
import io
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from rnnbench.config import DataConfig
from rnnbench.report import report
from rnnbench.report.page.summary_training import training_sentences
from rnnbench.report.references import reference_values
from rnnbench.report.results import read
from rnnbench.report.statistics import group
from rnnbench.report.tables import writers
from rnnbench.report.tables.table import Table, count, lag, number, with_interval, with_points, with_range
from rnnbench.report.tables.training import tables
from rnnbench.report.task_families import TASK_FAMILIES


def the_table(path: Path) -> Table:
    """The one that is not of comparisons."""
    table, *pairs = tables(read([path]))
    assert not table.part
    assert all(pair.part for pair in pairs)
    return table


def markdown_rows(text: str) -> list[dict[str, str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(cells[0], row, strict=True)) for row in cells[2:]]


def test_markdown_says_the_numbers(text_study: Path) -> None:
    rows = markdown_rows(writers.markdown(the_table(text_study)))
    for row, g in zip(rows, group(read([text_study])), strict=False):
        found = g.estimate("test/bpc")
        shown = [float(number) for number in re.findall(r"\d+\.\d+", row["test bpc"])]
        assert (row["cell"], row["T"], row["seeds done"]) == (g.cell, str(g.length), f"{len(g.done)}/{len(g.results)}")
        assert shown[0] == pytest.approx(np.mean(found.values), abs=6e-4)
        assert shown[1:] == pytest.approx(sorted(found.values) if found.interval is None else found.interval, abs=6e-4)
    assert [row["cell"] for row in rows[9:]] == ["*uniform*", "*unigram*", "*xz, conditional*"]
    assert rows[9]["test bpc"] == "*5.977*"


def test_csv_has_the_numbers_in_full(text_study: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(writers.csv(the_table(text_study)))))
    groups = group(read([text_study]))
    assert len(rows) == len(groups) == 9
    for row, g in zip(rows, groups, strict=True):
        found = g.estimate("test/bpc")
        assert float(row["test/bpc"]) == found.mean == pytest.approx(np.mean(found.values), rel=1e-15)
        assert row["test/bpc_low"] == ("" if found.low is None else repr(found.low))
        assert tuple(map(float, row["test/bpc_points"].split())) == found.values
        assert (row["done"], row["all"]) == (str(len(g.done)), str(len(g.results)))
        assert float(row["reference/unigram_bpc"]) == 4.21
    lost = next(row for row in rows if (row["cell"], row["length"]) == ("rnn", "64"))
    assert (lost["diverged"], lost["failed"]) == ("1", "1")


def test_bold_where_intervals_lie_apart_and_nowhere_else(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    def write(study: str, seeds: int, gap: float, lost: bool = False, spread: float = 0.01) -> list[frozenset[str]]:
        for seed in range(seeds):
            for cell, base in (("lstm", 2.0), ("gru", 2.0 + gap)):
                status = "diverged" if lost and cell == "lstm" and seed == 0 else "done"
                text_run(tmp_path / study, cell, 16, seed, status, {"test/bpc": base + spread * seed}, full=False)
        return [row.bold & {"test/bpc"} for row in the_table(tmp_path / study).rows]

    best = [frozenset({"test/bpc"}), frozenset()]
    assert write("apart", 5, 0.1) == best
    assert write("overlapping", 5, 0.02) == [frozenset()] * 2
    assert write("touching", 5, 0.0, spread=0.0) == [frozenset()] * 2
    assert write("a thousandth apart", 5, 0.001, spread=0.0) == best
    assert write("few", 4, 0.1) == [frozenset()] * 2
    assert write("survivors", 6, 0.1, lost=True) == [frozenset()] * 2


def test_the_caption_says_what_produced_the_numbers(text_study: Path) -> None:
    table = the_table(text_study)
    for part in ("seqlen", "1.5 M tokens", "seeds 0–4", "cpu", "0123456789", "rnnbench report", "runs/seqlen"):
        assert part in table.caption
    notes = " ".join(note for _, note in table.notes)
    assert "2 of 45 runs (4 %)" in notes
    assert "adapts on the test part" in notes


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_the_terminal_table_fits_and_keeps_what_matters(text_study: Path, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(writers.rich_table(the_table(text_study), width))
    lines = console.export_text().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert all(line.startswith(("rnn", "lstm", "gru")) for line in lines if "/5" in line)
    assert any("2.332 (2.330 2.333 2.334)" in line and "3/5" in line for line in lines)  # on one line, whole
    assert ("Not shown" in "\n".join(lines)) == (width < 200)


def test_latex_is_balanced_and_escaped(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for seed in range(2):
        text_run(tmp_path / "my_study", {"name": "lstm", "forget_bias": 3.0}, 16, seed, full=False)
    text = writers.latex(the_table(tmp_path / "my_study"))
    assert r"lstm(forget\_bias=3)" in text
    assert r"my\_study" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    columns = text.split(r"\begin{tabular}{")[1].split("}")[0]
    body = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") + 1 for line in body} == {len(columns)}
    assert text.isascii()


SERIES = {
    "test/mse": 0.4, "test/mae": 0.5, "test/mase": 1.25,
    "reference/seasonal_naive_mse": 0.42, "reference/persistence_mse": 1.3, "reference/persistence_mase": 2.0,
}  # fmt: skip
ADDING = {"test/mse": 0.01, "test/mse_x4": 0.25, "reference/guess_mse": 0.1767}


def shown(folder: Path) -> list[dict[str, str]]:
    return markdown_rows(writers.markdown(the_table(folder)))


def test_series_and_adding_have_their_own_columns(tmp_path: Path, task_run: Callable[..., Path]) -> None:
    task_run(tmp_path / "series", "glucose", SERIES)
    task_run(tmp_path / "adding", "adding", ADDING)
    assert (the_table(tmp_path / "series").name, the_table(tmp_path / "adding").name) == ("series", "adding")
    rows = shown(tmp_path / "series")
    assert (rows[0]["test mse"], rows[0]["test mae"], rows[0]["test mase"]) == ("0.4000", "0.5000", "1.250")
    assert [row["cell"] for row in rows[1:]] == ["*persistence*", "*seasonal naive*"]
    assert (rows[1]["test mse"], rows[1]["test mase"], rows[1]["test mae"]) == ("*1.300*", "*2.000*", "")
    run, guess = shown(tmp_path / "adding")
    assert (run["mse at 4T"], guess["test mse"], guess["mse at 4T"]) == ("0.2500", "*0.1767*", "")
    assert "mse at 16T" not in run


def test_a_reference_that_depends_on_the_seed_is_its_mean(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    """As the n-gram's on what was read is; in the line below the table and in the numbers behind it."""
    for seed in range(3):
        text_run(tmp_path / "s", "gru", 64, seed, metrics={"reference/ngram_read_bpc": 2.0 + seed}, full=False)
    table = the_table(tmp_path)
    (line,) = (row for row in table.references if row.raw["cell"] == "ngram_read")
    assert (line.raw["test/bpc"], line.text["test/bpc"]) == (3.0, "3.000")
    assert [row.raw["reference/ngram_read_bpc"] for row in table.rows] == [3.0]
    results = read([tmp_path])
    assert reference_values(results, "bpc")["ngram_read"] == 3.0
    said = training_sentences(TASK_FAMILIES["text"], group(results), [], [])
    assert any("n-gram on what was read" in sentence for sentence in said), (
        "2.1 beats 3.0, though not the first seed's 2.0"
    )


def test_shares_and_their_references_over_length(tmp_path: Path, task_run: Callable[..., Path]) -> None:
    metrics = {"test/error": 0.03125, "test/error_x2": 0.5, "test/nll": 0.2, "test/accuracy": 0.96875}
    task_run(tmp_path / "s", "copy", metrics | {"reference/guess_error": 0.875, "reference/guess_error_x2": 0.875})
    run, guess = shown(tmp_path / "s")
    assert (run["test error"], run["error at 2T"]) == ("0.031", "0.500")
    assert "accuracy" not in run, "it is the error once more"
    assert (guess["cell"], guess["test error"], guess["error at 2T"]) == ("*blind guess*", "*0.875*", "*0.875*")
    assert the_table(tmp_path / "s").rows[0].raw["test/error"] == 0.03125


def test_what_is_better_when_more_is_bold_when_most(
    tmp_path: Path, task_run: Callable[..., Path], choose_rates: Callable[[Path], None]
) -> None:
    for seed in range(5):
        for cell, bpc, chrf in (("rnn", 2.0, 0.3), ("gru", 1.5, 0.6)):
            scores = {"test/bpc": bpc + 0.01 * seed, "test/chrf": chrf + 0.01 * seed}
            task_run(tmp_path / "s", "kjv_web", scores | {"model/matched_parameters": 5000}, cell, seed)
    assert [row.bold for row in the_table(tmp_path / "s").rows] == [frozenset()] * 2, "at one learning rate nothing is"
    choose_rates(tmp_path / "s")
    rnn, gru = the_table(tmp_path / "s").rows
    assert (rnn.bold, gru.bold) == (frozenset(), {"test/bpc", "test/chrf"})


def test_a_reference_that_depends_on_a_setting_has_a_line_for_each(
    tmp_path: Path, task_run: Callable[..., Path]
) -> None:
    for horizon in (6, 24):
        lines = {"reference/persistence_mse": horizon / 10, "reference/mean_mse": 1.0}
        task_run(tmp_path / "s", DataConfig("glucose", horizon=horizon), {"test/mse": 0.1} | lines)
    lines = [(row["cell"], row["horizon"], row["test mse"]) for row in shown(tmp_path / "s")[2:]]
    assert lines == [
        ("*mean*", "", "*1.000*"),
        ("*persistence*", "*6*", "*0.6000*"),
        ("*persistence*", "*24*", "*2.400*"),
    ]


def test_rates_are_a_column_where_they_differ(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for length, lr in ((16, 1e-3), (64, 4e-3)):
        text_run(tmp_path / "own", "gru", length, 0, lr=lr)
        text_run(tmp_path / "same", "gru", length, 0)
    assert [row["rate"] for row in shown(tmp_path / "own")[:2]] == ["0.001", "0.004"]
    assert [row.raw["rate"] for row in the_table(tmp_path / "same").rows] == [2e-3, 2e-3]
    assert "rate" not in shown(tmp_path / "same")[0]


def test_rates_that_a_study_compares_are_one_column(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for lr in (1e-3, 4e-3):
        text_run(tmp_path / "s", "gru", 64, 0, lr=lr, tuned=False)
    table = the_table(tmp_path / "s")
    assert [row.text["optim.lr"] for row in table.rows] == ["0.001", "0.004"]
    keys = [column.key for column in table.columns]
    assert len(set(keys)) == len(keys), "no column stands there twice"


def test_no_note_explains_a_column_that_is_not_there(text_study: Path) -> None:
    for table in tables(read([text_study])):
        assert {key for key, _ in table.notes} <= {column.key for column in table.columns}, table.name


FIVE = ("rnn", "lstm", "gru", "mgu", "janet")


@pytest.mark.parametrize(
    ("cells", "shift", "noted"),
    [(("lstm", "gru"), 0, False), (("lstm", "gru"), 1, False), (FIVE, 0, True), (FIVE, 1, True)],
)
def test_of_more_than_four_cells_it_is_said_which_are_compared(
    cells: tuple[str, ...], shift: int, noted: bool, tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    """And of four or fewer it is not, for there every pair is. shift: another cell leads at the other length."""
    for at, cell in enumerate(cells):
        for length, place in ((16, at), (64, (at - shift) % len(cells))):
            for seed in range(5):
                metrics = {"test/bpc": 2 + 0.1 * place + 0.001 * seed}
                text_run(tmp_path / "s", cell, length, seed, metrics=metrics, full=False)
    (pairs,) = (table for table in tables(read([tmp_path])) if table.name == "text-comparisons")
    leaders = {row.raw["better"] for row in pairs.rows if row.raw["length"] is not None}
    assert len(leaders) == 1 + shift
    note = "Of more than 4 cells the best is compared with each other one."
    assert (note in [sentence for _, sentence in pairs.notes]) == noted


def test_formats_of_numbers() -> None:
    assert [number(v) for v in (None, float("nan"), float("inf"), -float("inf"), 0.0)] == ["–", "–", "∞", "−∞", "0"]
    assert [number(v, 3) for v in (12345.0, 1.5, 0.0123, 3.1e-7)] == ["12\u202f300", "1.50", "0.0123", "3.1e-07"]
    assert [count(v) for v in (72192, 83.0, 83.5)] == ["72\u202f192", "83", "83.5"]
    assert with_interval(2.34567, 0.0123) == "2.346 ± 0.012"
    assert with_range(0.04, -0.0123, 0.0923) == "0.040 (−0.012 – 0.092)"
    assert with_points(2.0, (2.0,)) == "2.000"
    assert with_points(2.0, (2.1, 1.9)) == "2.000 (1.900 2.100)"


def test_a_lag_beyond_those_measured_is_a_bound() -> None:
    assert [lag(value, 255.0) for value in (None, math.nan, 0.0, 12.0, 1234, 255.0)] == [
        "–", "–", "0", "12", "1\u202f234", "255",
    ]  # fmt: skip
    assert lag(12.5, 255) == "12.5", "a median between two seeds'"
    assert (lag(math.inf, 255.0), lag(math.inf, 1023)) == ("≥ 255", "≥ 1\u202f023")
    assert lag(math.inf, None) == "∞", "where nobody knows how many were measured"


RESULTS = Path(__file__).resolve().parents[2] / "experiments" / "results"
DOCUMENT = r"\documentclass{article}\usepackage{booktabs}\begin{document}\tiny %s \end{document}"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex; Debian's texlive-latex-base has it")
@pytest.mark.parametrize("size", ["quick", "full", "h200"])
def test_latex_compiles(size: str, tmp_path: Path) -> None:
    report([RESULTS / size], {"tex"}, tmp_path, None)
    files = sorted(tmp_path.rglob("*.tex"))
    assert files
    inputs = " ".join(rf"\input{{{file.relative_to(tmp_path)}}}\clearpage" for file in files)
    (tmp_path / "all.tex").write_text(DOCUMENT % inputs)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if line.startswith("!"))


def test_letters_that_latex_lacks_are_named_by_their_code(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    text_run(tmp_path / "étude_#1 & 中", "gru", 16, 0, full=False)
    (table,) = tables(read([tmp_path]))
    text = writers.latex(table)
    assert max(text) < "\u0100"
    assert r"étude\_\#1 \& [U+4E2D]" in text

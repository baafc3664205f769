"""What a report writes and prints; and `--check`, which finds what on disk differs from the results."""

from __future__ import annotations

import io
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from rnnbench.cli.main import main
from rnnbench.errors import UserError
from rnnbench.report import report
from rnnbench.report.figures.style import FIXED, looks

ALL = {"md", "csv", "tex", "svg"}
TEXT_FIGURES = {
    "bpc_against_length",
    "gradient_flow",
    "reach_against_length",
    "cost_against_length",
    "improvement",
    "learning_curves",
    "overview",
    "pareto",
}


def test_everything_is_written_and_printed(text_study: Path) -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    answer = report([text_study.parent], ALL, None, console)
    assert list(answer) == ["seqlen"]
    out = text_study / "report"
    files = [Path(name) for name in answer["seqlen"]["files"]]
    assert {path.name for path in files} == {path.name for path in out.iterdir()}
    assert {path.stem for path in files if path.suffix == ".svg"} == TEXT_FIGURES
    wanted = {"table.md", "table.csv", "table.tex", "report.md", "table-comparisons.csv", "table-effects.csv"}
    assert wanted < {path.name for path in files}
    for path in files:
        assert path.stat().st_size > (10_000 if path.suffix == ".svg" else 500)
        if path.suffix == ".svg":
            ET.parse(path)
    page = (out / "report.md").read_text()
    assert (out / "table.md").read_text().strip() in page
    assert all(f"({name}.svg)" in page for name in TEXT_FIGURES)
    assert "lstm" in console.export_text()
    json.dumps(answer, allow_nan=False)
    assert len(answer["seqlen"]["table"]) == 9
    assert len(answer["seqlen"]["comparisons"]) == (3 + 3 + 1 + 1) + 2 * 2, "pairs of cells; two cells' lengths"
    assert answer["seqlen"]["table"][8]["final/hundredth_lag"] == "inf"


def test_the_same_results_give_the_same_bytes(
    text_run: Callable[..., Path], timing_study: Path, tmp_path: Path
) -> None:
    study = tmp_path / "runs" / "seqlen"
    for seed in range(2):
        text_run(study, "gru", 16, seed)
    pages = []
    for name in ("one", "two"):
        answer = report([study, timing_study], {"svg", "md", "csv"}, tmp_path / name, None)
        assert sorted(answer) == ["seqlen", "speed"]
        pages.append({p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")})
    assert pages[0] == pages[1]
    assert Path("speed/timing_against_length.svg") in pages[0]
    assert not (study / "report").exists()


def test_lone_runs_without_curves_or_history_make_what_they_can(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    text_run(tmp_path / "s", "gru", 16, 0, full=False)
    text_run(tmp_path / "s", "rnn", 16, 0, "failed", full=False)
    files = {Path(name).name for name in report([tmp_path], {"svg"}, None, None)["s"]["files"]}
    assert files == {"bpc_against_length.svg", "reach_against_length.svg", "cost_against_length.svg"}


def test_a_study_in_which_all_failed_has_a_table_and_no_figure(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    text_run(tmp_path / "s", "gru", 16, 0, "failed", full=False)
    files = {Path(name).name for name in report([tmp_path], ALL, None, None)["s"]["files"]}
    assert files == {"table.md", "table.csv", "table.tex", "report.md"}


def test_nothing_is_written_without_formats(text_study: Path) -> None:
    assert report([text_study], set(), None, None)["seqlen"]["files"] == []
    assert not (text_study / "report").exists()


def test_errors_are_one_sentence(text_study: Path, tmp_path: Path, text_run: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match=r'^unknown format "sgv"\. Did you mean "svg"\?$'):
        report([text_study], {"sgv"}, None, None)
    text_run(tmp_path / "elsewhere" / "seqlen", "gru", 16, 0, full=False)
    with pytest.raises(UserError, match='two study folders are named "seqlen"'):
        report([text_study, tmp_path / "elsewhere"], set(), None, None)


def test_a_cell_looks_the_same_in_every_company() -> None:
    alone = looks(["lstm"])["lstm"]
    variants = looks(["rnn", "zz", "lstm(forget_bias=3)", "lstm", "aa"])
    assert (alone.color, alone.marker) == FIXED["lstm"]
    assert variants["lstm"] == alone
    assert variants["lstm(forget_bias=3)"].color == alone.color
    assert variants["lstm(forget_bias=3)"].linestyle != alone.linestyle
    assert len({look.color for look in variants.values()}) == 4


TABLES = ("md", "csv", "tex")


@pytest.fixture
def reported(text_study: Path) -> Path:
    report([text_study], set(TABLES), None, None)
    return text_study


def test_what_was_just_written_is_right(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (reported / "report").iterdir()}
    assert main(["report", "--check", str(reported)]) == 0
    assert "9 tables on disk: every cell is what" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in (reported / "report").iterdir()}


@pytest.mark.parametrize("suffix", TABLES)
def test_a_cell_that_was_edited_is_named(reported: Path, suffix: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = reported / "report" / f"table.{suffix}"
    text = path.read_text()
    old = next(word for word in text.replace(",", " ").replace("|", " ").split() if word.startswith("2.3"))
    path.write_text(text.replace(old, "1.999", 1))
    assert main(["report", "--check", str(reported)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "9 tables on disk: 1 difference."
    assert "1.999" in lines[0]
    assert "on disk" in lines[0]
    assert path.name in lines[0]


def test_results_that_have_changed_are_noticed(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    victim = next(path for path in reported.glob("lstm*/result.json"))
    values = json.loads(victim.read_text())
    values["metrics"]["test/bpc"] += 0.1
    victim.write_text(json.dumps(values))
    assert main(["report", "--check", "--json", str(reported)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert all(found[str(reported / "report" / f"table.{suffix}")] for suffix in TABLES)


def test_rows_and_files_too_many_or_too_few(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = reported / "report" / "table.md"
    table.write_text(table.read_text().replace("| rnn", "| rnn | x |\n| rnn", 1))
    (reported / "report" / "table-comparisons.csv").unlink()
    (reported / "report" / "table-other.md").write_text("| a |\n")
    assert main(["report", "--check", str(reported)]) == 1
    out = capsys.readouterr().out
    assert "rows on disk" in out
    assert "table-comparisons.csv: the results give it, but it is not there" in out
    assert "table-other.md: the results give no such table" in out


def test_nothing_to_check_is_an_error(text_study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--check", str(text_study)]) != 0
    assert "no table on disk to check" in capsys.readouterr().err

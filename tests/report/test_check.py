"""`rnnbench report --check`: a table on disk that does not say what the ledger says is found, cell by cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rnnbench.cli.main import main
from rnnbench.report import report

FORMATS = ("md", "csv", "tex")


@pytest.fixture
def reported(text_study: Path) -> Path:
    report([text_study], set(FORMATS), None, None)
    return text_study


def test_what_was_just_written_is_right(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (reported / "report").iterdir()}
    assert main(["report", "--check", str(reported)]) == 0
    assert "9 tables on disk: every cell is what the ledger gives." in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in (reported / "report").iterdir()}


@pytest.mark.parametrize("suffix", FORMATS)
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


def test_a_ledger_that_went_on_is_noticed(reported: Path, capsys: pytest.CaptureFixture[str]) -> None:
    victim = next(path for path in reported.glob("lstm*/result.json"))
    values = json.loads(victim.read_text())
    values["metrics"]["test/bpc"] += 0.1
    victim.write_text(json.dumps(values))
    assert main(["report", "--check", "--json", str(reported)]) == 1
    found = json.loads(capsys.readouterr().out)
    assert all(found[str(reported / "report" / f"table.{suffix}")] for suffix in FORMATS)


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

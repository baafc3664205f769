"""The committed results: the README's table and figure are what their ledger gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnbench.config import Run
from rnnbench.report import report
from rnnbench.report.results import read

ROOT = Path(__file__).resolve().parents[1]
STUDIES = sorted(path.parent.parent for path in (ROOT / "experiments" / "results").glob("**/report/table*.md"))
STUDIES = list(dict.fromkeys(STUDIES))  # a study of text and series has a table for each


def test_there_are_some() -> None:
    assert STUDIES


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_table_is_what_the_ledger_gives(folder: Path, tmp_path: Path) -> None:
    report([folder], {"md"}, tmp_path, None)

    def rows(path: Path) -> list[str]:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]

    made, kept = ({p.name: rows(p) for p in f.glob("table*.md")} for f in (tmp_path / folder.name, folder / "report"))
    assert kept == made
    assert all(len(table) >= 4 for table in kept.values()), "a header, its rule, a cell and a line to beat"


@pytest.mark.parametrize("folder", STUDIES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_the_ledger_is_of_runs_that_can_be_repeated(folder: Path) -> None:
    """Each run's folder still has the identity of the Run in it, and says which commit made it."""
    for result in read([folder]):
        if result.kind == "train":
            assert Run.from_dict(result.run).id == result.id == result.folder.name
        assert result.environment["commit"]
        assert not result.environment["commit"].endswith("+")

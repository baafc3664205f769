"""The committed results: the tables and figures beside them, and those of the README, are what the packed runs give."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest

from rnnbench.config import Run
from rnnbench.report import report
from rnnbench.report.results import read
from rnnbench.system.python_files import load_file

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "experiments" / "results"
STUDIES = sorted({path.parent.parent for path in RESULTS.glob("**/report/table*.md")})
#: The one whose figures are drawn again with every test run: it has most kinds of them.
DRAWN = RESULTS / "quick" / "seqlen_perplexity"
#: Pixels by which a point of a figure may lie elsewhere on another machine.
CLOSE = 0.5
every_study = pytest.mark.parametrize("folder", STUDIES, ids=lambda path: f"{path.parent.name}-{path.name}")


@pytest.fixture(scope="module")
def made_tables() -> ModuleType:
    """experiments/results/tables.py, which `make tables` runs."""
    return load_file(RESULTS / "tables.py")


def test_there_are_some(made_tables: ModuleType) -> None:
    assert STUDIES
    assert made_tables.studies() == STUDIES


@every_study
def test_the_tables_are_what_the_runs_give(folder: Path, tmp_path: Path) -> None:
    report([folder], {"md"}, tmp_path, None)

    def rows(path: Path) -> list[str]:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("|")]

    made, kept = ({p.name: rows(p) for p in f.glob("table*.md")} for f in (tmp_path / folder.name, folder / "report"))
    assert kept == made
    assert all(len(table) >= 3 for table in kept.values()), "a header, its rule and a line"


@every_study
def test_the_runs_can_be_repeated(folder: Path) -> None:
    """Each run still has the identity of the Run in it, and says which commit and protocol made it."""
    for result in read([folder]):
        if result.kind == "train":
            assert Run.from_dict(result.run).id_under(result.protocol) == result.id == result.folder.name
        assert result.environment["commit"]
        assert not result.environment["commit"].endswith("+")


def test_the_readmes_tables_are_made_of_them(made_tables: ModuleType) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert {match[2] for match in made_tables.PLACE.finditer(readme)} == {*made_tables.TABLES}
    assert made_tables.filled(readme) == readme
    spoilt = made_tables.PLACE.sub(lambda match: f"{match[1]}| 1 |{match[3]}", readme)
    assert spoilt != readme
    assert made_tables.filled(spoilt) == readme


def parted(path: Path) -> tuple[list[str], list[float]]:
    """What a figure says besides numbers, and its numbers."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"(?<=[#\"])[a-z]?[0-9a-f]{10}\b", "", text)  # names of paths, which hash their numbers
    number = r"-?\d+\.?\d*(?:e-?\d+)?"
    return re.split(number, text), [float(found) for found in re.findall(number, text)]


def same_figures(folders: list[Path], out: Path) -> None:
    """Each figure that is kept is drawn again the same."""
    for name, made in report(folders, {"svg"}, out, None).items():
        (folder,) = (folder for folder in folders if folder.name == name)
        kept = sorted((folder / "report").glob("*.svg"))
        assert {path.name for path in kept} <= {Path(file).name for file in made["files"]}
        for path in kept:
            (words, numbers), (others, values) = parted(path), parted(out / name / path.name)
            assert words == others, path
            assert max(abs(a - b) for a, b in zip(numbers, values, strict=True)) <= CLOSE, path


@pytest.mark.slow
def test_the_figures_are_what_the_runs_give(tmp_path: Path) -> None:
    """Of the study on the README's first page, as it is reported: with the timings beside it."""
    same_figures([DRAWN, DRAWN.parent / "seqlen_throughput"], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("preset", sorted({folder.parent for folder in STUDIES}), ids=lambda path: path.name)
def test_all_figures_are_what_the_runs_give(preset: Path, tmp_path: Path) -> None:
    same_figures([folder for folder in STUDIES if folder.parent == preset], tmp_path)


def test_the_results_are_small(made_tables: ModuleType) -> None:
    """Packed, with the figures that the README shows and no others."""
    files = [path for path in RESULTS.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    kept = [path for path in files if path.suffix not in (".html", ".png", ".pdf", ".csv", ".tex")]
    assert len(kept) <= 200
    assert sum(path.stat().st_size for path in kept) <= 12e6
    assert all(made_tables.shown(path) for path in kept if path.suffix == ".svg")

"""The LaTeX tables of every committed study go through pdflatex, in a document with booktabs and nothing else."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.report import report
from rnnbench.report.results import read
from rnnbench.report.tables import writers
from rnnbench.report.tables.training import tables

RESULTS = Path(__file__).resolve().parents[2] / "experiments" / "results"
DOCUMENT = r"\documentclass{article}\usepackage{booktabs}\begin{document}\tiny %s \end{document}"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex; Debian's texlive-latex-base has it")
@pytest.mark.parametrize("room", ["quick", "full", "h200"])
def test_it_compiles(room: str, tmp_path: Path) -> None:
    report([RESULTS / room], {"tex"}, tmp_path, None)
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

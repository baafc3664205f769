"""A study: its jobs, the panels of jobs that are compared with each other, and how it is found."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from rnnbench.config import CellConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.runs import PanelFile, StudyFile
from rnnbench.sweep.study import Job, Panel, Results, Study, find_study

A, B, C, D = (Run(CellConfig(cell), seed=7) for cell in ("rnn", "lstm", "gru", "mgu"))
ONE, TWO = Panel("one", "A and B.", (A, B), "optim.truncate"), Panel("two", "B and C.", iter([B, C]))


@pytest.fixture(autouse=True)
def no_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_CELLS", "")


def study(*items: Job | Panel, **more: Any) -> Study:
    return Study("mine", "Which?", {"quick": lambda: items}, **more)


def ids(*jobs: Job) -> frozenset[str]:
    return frozenset(job.id for job in jobs)


def test_jobs_are_done_once_and_in_order() -> None:
    """Also those of several panels."""
    assert study(C, A, C, A, B).jobs("quick") == [C, A, B]
    both = study(ONE, TWO)
    assert both.jobs("quick") == [A, B, C]
    assert [(panel.name, panel.title, panel.axis, panel.jobs) for panel in both.panels("quick")] == [
        ("one", "A and B.", "optim.truncate", (A, B)), ("two", "B and C.", "data.seq_len", (B, C))
    ]  # fmt: skip
    assert both.panels("quick") == both.panels("quick"), "jobs that were yielded once stay"
    one = PanelFile("one", "A and B.", "optim.truncate", ids(A, B))
    two = PanelFile("two", "B and C.", "data.seq_len", ids(B, C))
    assert both.described("quick") == StudyFile("Which?", False, (one, two))


def test_jobs_outside_any_panel_make_one_without_a_name() -> None:
    (alone,) = study(A, B, A).panels("quick")
    assert (alone.name, alone.title, alone.axis) == ("", "", "data.seq_len")
    (timed,) = study(Timing()).panels("quick")
    assert timed.axis == "seq_len", "as a Timing calls it"
    assert [panel.name for panel in study(ONE, C, search=True).panels("quick")] == ["one", ""]
    assert study(ONE, C, search=True).described("quick").search


def test_jobs_that_results_ask_for_join_them() -> None:
    def further(preset: str, results: Results) -> Iterable[Job]:
        return [D] if A.id in results else []

    asking = study(A, follow_up=further)
    assert asking.jobs("quick", {}) == [A]
    assert asking.jobs("quick", {A.id: {}}) == [A, D]
    assert asking.described("quick", {A.id: {}}).panels == (PanelFile("", "", "data.seq_len", ids(A, D)),)


def test_what_is_no_study_is_refused() -> None:
    with pytest.raises(UserError, match='unknown preset of mine "quik". Did you mean "quick"?'):
        study(A).jobs("quik")
    with pytest.raises(UserError, match="a Panel's name"):
        Panel("a/b", "", ())
    with pytest.raises(UserError, match=r"axis of a Panel .*data.seqlen.*data.seq_len"):
        Panel("a", "", (), "data.seqlen")
    with pytest.raises(UserError, match="must yield Runs and Timings, got 'x'"):
        study(Panel("one", "", ["x"])).panels("quick")  # type: ignore[list-item]
    with pytest.raises(UserError, match="must yield Runs and Timings, got 3"):
        study(3).jobs("quick")  # type: ignore[arg-type]
    for items in ((Panel("one", "A.", [A]), Panel("one", "B.", [B])), (Panel("", "A.", [A]), B)):
        with pytest.raises(UserError, match="has 2 panels"):
            study(*items).jobs("quick")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "study.py does not exist"),
        ("", "study.py does not define STUDY = Study"),
        ("STUDY = 3", "study.py does not define STUDY = Study"),
        ("import nothing_like_that", "study.py failed to load: ModuleNotFoundError: No module named"),
        ("raise OSError('a\\nb')", "study.py failed to load: OSError"),
        ("from rnnbench import Run; Run(seed=-1)", "seed must be in 0"),
    ],
)
def test_a_file_that_is_no_study(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "study.py").write_text(content)
    with pytest.raises(UserError) as caught:
        find_study(str(tmp_path / "study.py"))
    assert message in str(caught.value)
    assert os.environ["RNNBENCH_CELLS"] == "", "the workers are to load what is no study"


def test_a_study_is_found_by_name_here_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_study("seqlen_perplexity").name == "seqlen_perplexity"
    with pytest.raises(UserError, match='unknown study "seqlen_perplexit". Did you mean "seqlen_perplexity"?'):
        find_study("seqlen_perplexit")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    text = 'from rnnbench import Study\nSTUDY = Study("mine", "?", {})\n'
    (tmp_path / "experiments" / "seqlen_perplexity.py").write_text(text)
    assert find_study("seqlen_perplexity").name == "mine"
    assert find_study("seqlen_gradients").name == "seqlen_gradients"

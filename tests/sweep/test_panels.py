"""What a study says of itself: panels of jobs that are compared with each other, and the file beside its runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rnnbench.config import CellConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.runs import PanelFile, RunDirectory, Start, StudyFile, read_study
from rnnbench.sweep.display import Display
from rnnbench.sweep.outcome import Options, Outcome
from rnnbench.sweep.run_study import run_study
from rnnbench.sweep.study import Job, Panel, Results, Study

A, B, C, D = (Run(CellConfig(cell), seed=7) for cell in ("rnn", "lstm", "gru", "mgu"))
ONE, TWO = Panel("one", "A and B.", (A, B), "optim.truncate"), Panel("two", "B and C.", iter([B, C]))


def study(*given: Job | Panel, **more: Any) -> Study:
    return Study("mine", "Which?", {"quick": lambda: given, "other": lambda: [Panel("one", "C.", [C])]}, **more)


def ids(*jobs: Job) -> frozenset[str]:
    return frozenset(job.id for job in jobs)


def test_a_job_of_several_panels_is_done_once() -> None:
    found = study(ONE, TWO)
    assert found.jobs("quick") == [A, B, C]
    assert [(panel.name, panel.title, panel.axis, panel.jobs) for panel in found.panels("quick")] == [
        ("one", "A and B.", "optim.truncate", (A, B)), ("two", "B and C.", "data.seq_len", (B, C))
    ]  # fmt: skip
    assert found.panels("quick") == found.panels("quick"), "jobs that were yielded once are there again and again"
    one = PanelFile("one", "A and B.", "optim.truncate", ids(A, B))
    two = PanelFile("two", "B and C.", "data.seq_len", ids(B, C))
    assert found.described("quick") == StudyFile("Which?", False, (one, two))


def test_jobs_outside_any_panel_make_one_without_a_name() -> None:
    (alone,) = study(A, B, A).panels("quick")
    assert (alone.name, alone.title, alone.axis) == ("", "", "data.seq_len")
    assert study(A, B, A).jobs("quick") == [A, B]
    (timed,) = study(Timing()).panels("quick")
    assert timed.axis == "seq_len", "as a Timing calls it"
    assert [panel.name for panel in study(ONE, C, search=True).panels("quick")] == ["one", ""]
    assert study(ONE, C, search=True).described("quick").search


def test_what_results_ask_for_joins_them() -> None:
    def further(preset: str, results: Results) -> Iterable[Job]:
        return [D] if A.id in results else []

    found = study(A, follow_up=further)
    assert found.jobs("quick", {}) == [A]
    assert found.jobs("quick", {A.id: {}}) == [A, D]
    assert found.described("quick", {A.id: {}}).panels == (PanelFile("", "", "data.seq_len", ids(A, D)),)


def test_what_is_no_panel_is_refused() -> None:
    with pytest.raises(UserError, match="a Panel's name"):
        Panel("a/b", "", ())
    with pytest.raises(UserError, match=r"axis of a Panel .*data.seqlen.*data.seq_len"):
        Panel("a", "", (), "data.seqlen")
    with pytest.raises(UserError, match="must yield Runs and Timings, got 'x'"):
        study(Panel("one", "", ["x"])).panels("quick")  # type: ignore[list-item]
    with pytest.raises(UserError, match="must yield Runs and Timings, got 3"):
        study(3).jobs("quick")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "given", [(Panel("one", "A.", [A]), Panel("one", "B.", [B])), (Panel("", "A.", [A]), B)], ids=["named", "unnamed"]
)
def test_no_job_is_lost_where_two_panels_have_one_name(given: tuple[Job | Panel, ...]) -> None:
    """They are all done, or the study is refused."""
    try:
        found = study(*given).jobs("quick")
    except UserError:
        return
    assert found == [A, B]


def conducted(found: Study, preset: str, root: Path) -> list[StudyFile]:
    """What the study's file said whenever jobs were handed out; each is done by a stroke of the pen."""
    seen: list[StudyFile] = []

    def launch(jobs: Sequence[Job], root: Path, name: str, options: Options, display: Display) -> Outcome:
        seen.append(read_study(root / name))
        for job in jobs:
            directory = RunDirectory(root, name, job.id)
            with directory.opened(job.to_dict()):
                directory.finish(job, "done", Start(), {}, {})
        return Outcome(finished=[job.id for job in jobs])

    run_study(found, preset, root, Options(1, "disabled"), launch, Console(quiet=True))
    return seen


def test_the_file_is_there_before_the_first_run_and_grows_with_the_rounds(tmp_path: Path) -> None:
    def further(preset: str, results: Results) -> Iterable[Job]:
        return [job for known, job in ((A, C), (C, D)) if known.id in results]

    seen = conducted(study(A, B, follow_up=further, search=True), "quick", tmp_path)
    assert [one.panels[0].runs for one in seen] == [ids(A, B), ids(A, B, C), ids(A, B, C, D)]
    assert read_study(tmp_path / "mine") == seen[-1]
    assert (seen[-1].question, seen[-1].search) == ("Which?", True)


def test_presets_share_a_folder_and_its_panels(tmp_path: Path) -> None:
    conducted(study(ONE, TWO), "quick", tmp_path)
    conducted(study(ONE, TWO), "other", tmp_path)
    panels = {panel.name: panel for panel in read_study(tmp_path / "mine").panels}
    assert (panels["one"].runs, panels["one"].title) == (ids(A, B, C), "C.")
    assert panels["two"].runs == ids(B, C)

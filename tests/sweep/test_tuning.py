from __future__ import annotations

import dataclasses
import io
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from rnnbench.config import CellConfig, DataConfig, OptimConfig, ProbeConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.report.tables import writers
from rnnbench.report.tables.learning_rates import choices_table
from rnnbench.runs import write_rates
from rnnbench.runs.study_files import RATES as RATES_FILE
from rnnbench.sweep import Study, find_study
from rnnbench.sweep.study import Job, Panel, Tune
from rnnbench.sweep.tuning import (
    GRID,
    TunedRate,
    at_rate,
    choose,
    extended,
    group,
    known_choices,
    tuned_study,
    tuning_study,
)

RATES = (1e-3, 2e-3, 4e-3)
CELLS, LENGTHS, SEEDS = ("rnn", "lstm"), (16, 64), (0, 1, 1000)


def jobs(study: Study, preset: str = "quick") -> list[Run]:
    return [job for job in study.jobs(preset) if isinstance(job, Run)]


def study(*runs: Job) -> Study:
    return Study("mine", "Which?", {"quick": lambda: runs})


MINE = study(
    *(
        Run(CellConfig(cell), data=DataConfig(seq_len=seq_len, batch_size=2048 // seq_len), seed=seed)
        for seed in SEEDS
        for cell in CELLS
        for seq_len in LENGTHS
    )
)


def results(tuning: Study, outcome: Callable[[Run], tuple[str, float | str]]) -> dict[str, dict[str, Any]]:
    """Results of every trial: its status and its bits per character on validation."""
    outcomes = {run.id: outcome(run) for run in jobs(tuning)}
    return {
        id: {"status": status, "metrics": {"val/nll": 9.0, "val/bpc": bpc}} for id, (status, bpc) in outcomes.items()
    }


def test_every_group_has_the_same_trials_on_seeds_of_their_own() -> None:
    tuning = tuning_study(MINE, "quick", RATES, seeds=2)
    trials = jobs(tuning)
    assert tuning.name == "mine-lr"
    assert len(trials) == len(CELLS) * len(LENGTHS) * len(RATES) * 2
    tried: dict[str, list[tuple[float, int]]] = {}
    for run in trials:
        tried.setdefault(group(run), []).append((run.optim.lr, run.seed))
    assert list(tried) == [group(run) for run in jobs(MINE)[:4]]
    assert all(found == [(lr, seed) for lr in RATES for seed in (1001, 1002)] for found in tried.values())


def test_only_seed_and_rate_are_changed_and_nothing_is_probed() -> None:
    mine = {run.id for run in jobs(MINE)[:4]}
    for trial in jobs(tuning_study(MINE, "quick", RATES)):
        assert not trial.probes.gradient_flow
        assert dataclasses.replace(at_rate(trial, OptimConfig.lr), seed=0, probes=ProbeConfig()).id in mine


def test_a_group_is_what_trains_alike() -> None:
    run = Run(seed=3, data_seed=8, optim=OptimConfig(lr=0.5), probes=ProbeConfig(seq_len=9, lyapunov=1))
    assert group(run) == group(Run())
    assert group(dataclasses.replace(run, optim=OptimConfig(lr=0.5, truncate=8))) != group(Run())
    assert tuning_study(study(run), "quick", RATES).jobs("quick")[0].data_seed is None  # type: ignore[union-attr]


def test_a_grid_grows_for_all_until_no_choice_is_at_its_edge() -> None:
    """Each round tries the same rates for every group; what was chosen inside stays comparable."""
    best = {"rnn": 1e-2, "lstm": 4e-4}

    def outcome(run: Run) -> tuple[str, float]:
        return "done", 2 + abs(math.log(run.optim.lr / best[run.cell.name]))

    grid: tuple[float, ...] = RATES
    rounds = []
    while True:
        tuning = tuning_study(MINE, "quick", grid)
        choices = choose(tuning, "quick", results(tuning, outcome))
        rounds.append(grid)
        if (longer := extended(grid, choices)) == grid:
            break
        grid = longer
    assert rounds[1] == (5e-4, *RATES, 8e-3)
    assert rounds[2] == (2.5e-4, 5e-4, *RATES, 8e-3, 1.6e-2)
    assert len(rounds) == 3
    assert not any(choice.at_edge for choice in choices)
    assert {choice.about["cell"]: choice.lr for choice in choices} == {"rnn": 8e-3, "lstm": 5e-4}


def chosen(
    outcome: Callable[[Run], tuple[str, float | str]], rates: Sequence[float] = RATES, seeds: int = 1
) -> TunedRate:
    """The choice for a study of one run, whose trials have these results."""
    tuning = tuning_study(study(Run()), "quick", rates, seeds)
    (choice,) = choose(tuning, "quick", results(tuning, outcome))
    return choice


def test_a_grid_ends_at_its_limits() -> None:
    lowest = chosen(lambda run: ("done", run.optim.lr), (2e-5, 4e-5))
    assert lowest.at_edge
    assert extended((2e-5, 4e-5), [lowest]) == (1e-5, 2e-5, 4e-5)
    assert extended((1.9e-5, 3.8e-5), [dataclasses.replace(lowest, lr=1.9e-5)]) == (1.9e-5, 3.8e-5)
    assert extended((0.25, 0.5), [dataclasses.replace(lowest, lr=0.5)]) == (0.25, 0.5, 1.0)
    assert extended((0.26, 0.52), [dataclasses.replace(lowest, lr=0.52)]) == (0.26, 0.52)
    lost = chosen(lambda run: ("diverged", 1.0), (0.25, 0.5))
    assert extended((0.25, 0.5), [lost]) == (0.25, 0.5), "where all are lost there is no edge to go beyond"


def test_of_rates_that_are_as_good_the_smallest_is_taken() -> None:
    choice = chosen(lambda run: ("done", 2.0 + (run.optim.lr < 2e-3)))
    assert (choice.lr, choice.at_edge) == (2e-3, False)


@pytest.mark.parametrize("score", [math.inf, math.nan, "inf", "nan"])
def test_a_trial_whose_score_is_no_finite_number_is_lost(score: float | str) -> None:
    """Whatever its status says: it is in no mean, and a rate with fewer lost trials is taken before it."""
    bad = lambda run: run.optim.lr == 2e-3 and run.seed == 1000  # noqa: E731
    choice = chosen(lambda run: ("done", score if bad(run) else run.optim.lr), seeds=2)
    assert choice.lost == {1e-3: 0, 2e-3: 1, 4e-3: 0}
    assert choice.scores == {1e-3: 1e-3, 2e-3: 2e-3, 4e-3: 4e-3}
    assert choice.lr == 1e-3


def test_no_trial_has_a_seed_of_the_study_s_of_either_kind() -> None:
    runs = [Run(seed=1001, data_seed=1000), Run(seed=3, data_seed=1003)]
    trials = jobs(tuning_study(study(*runs), "quick", RATES, seeds=3))
    assert {(run.seed, run.data_seed) for run in trials} == {(1002, None), (1004, None), (1005, None)}


def test_a_study_that_asks_for_rates_keeps_its_name_and_its_panels() -> None:
    panel = Panel("few", "Two of them.", jobs(MINE)[:2], "optim.truncate")
    asking = Study("mine", "Which?", {"quick": lambda: [panel, *jobs(MINE)[2:4]]}, tune=Tune(RATES))
    tuning = tuning_study(asking, "quick", RATES)
    choices = choose(tuning, "quick", results(tuning, lambda run: ("done", run.optim.lr)))
    tuned = tuned_study(asking, "quick", choices)
    assert tuned.name == "mine"
    assert [(one.name, one.title, one.axis, len(tuple(one.jobs))) for one in tuned.panels("quick")] == [
        ("few", "Two of them.", "optim.truncate", 2), ("", "", "data.seq_len", 2),
    ]  # fmt: skip
    assert all(isinstance(job, Run) and job.optim.lr == 1e-3 for one in tuned.panels("quick") for job in one.jobs)


def test_rates_chosen_before_are_taken_where_all_groups_have_one(tmp_path: Path) -> None:
    asking = Study(
        "mine", "Which?", {"quick": lambda: jobs(MINE)[:4], "more": lambda: [Run(CellConfig("gru"))]}, tune=Tune(RATES)
    )
    tuning = tuning_study(asking, "quick", RATES)
    choices = choose(tuning, "quick", results(tuning, lambda run: ("done", run.optim.lr)))
    assert known_choices(asking, "quick", tmp_path) is None
    (tmp_path / "mine").mkdir()
    write_rates(tmp_path / "mine", [choice.to_dict() for choice in choices])
    assert known_choices(asking, "quick", tmp_path) == choices
    assert known_choices(asking, "more", tmp_path) is None
    (tmp_path / "mine" / RATES_FILE).write_text('{"protocol": 1, "choices": []}')
    assert known_choices(asking, "quick", tmp_path) is None, "of another protocol"


def test_each_group_takes_the_rate_with_the_best_mean_validation() -> None:
    best = {("rnn", 16): 1e-3, ("rnn", 64): 2e-3, ("lstm", 16): 4e-3, ("lstm", 64): 2e-3}
    tuning = tuning_study(MINE, "quick", RATES, seeds=2)

    def outcome(run: Run) -> tuple[str, float]:
        away = abs(run.optim.lr - best[run.cell.name, run.data.seq_len])
        luck = 0.1 if run.seed % 2 else -0.1  # cancels in the mean
        return "done", 2 + 100 * away + luck

    choices = choose(tuning, "quick", results(tuning, outcome))
    assert {(c.about["cell"], c.about["data.seq_len"]): c.lr for c in choices} == best
    assert [c.at_edge for c in choices] == [True, False, True, False]
    assert choices[0].scores == pytest.approx({1e-3: 2.0, 2e-3: 2.1, 4e-3: 2.3})
    assert choices[0].label == "rnn, data.seq_len 16"
    tuned = tuned_study(MINE, "quick", choices)
    assert tuned.name == "mine-tuned"
    assert [(run.cell, run.data, run.seed) for run in jobs(tuned)] == [(r.cell, r.data, r.seed) for r in jobs(MINE)]
    assert all(run.optim.lr == best[run.cell.name, run.data.seq_len] for run in jobs(tuned))


@pytest.mark.parametrize("status", ["diverged", "failed", "oom", "timeout"])
def test_a_rate_at_which_a_trial_was_lost_ranks_last(status: str) -> None:
    """The better its other trial, the more tempting."""

    def outcome(run: Run) -> tuple[str, float | str]:
        if run.optim.lr == 4e-3:
            return ("done", 0.5) if run.seed == 1000 else (status, 0.5)
        return "done", 3.0 if run.optim.lr == 1e-3 else 4.0

    choice = chosen(outcome, seeds=2)
    assert (choice.lr, choice.found) == (1e-3, True)
    assert choice.lost == {1e-3: 0, 2e-3: 0, 4e-3: 1}
    assert choice.scores[4e-3] == 0.5


def test_where_every_rate_loses_trials_the_fewest_decide() -> None:
    lost = {1e-3: 3, 2e-3: 2, 4e-3: 1}
    choice = chosen(lambda run: ("diverged" if run.seed - 1000 < lost[run.optim.lr] else "done", 2.0), seeds=3)
    assert (choice.lr, choice.lost, choice.scores[1e-3]) == (4e-3, lost, None)


@pytest.mark.parametrize("outcome", [("diverged", 2.0), ("done", "nan"), ("done", "inf"), ("failed", 1.0)])
def test_where_all_are_lost_the_middle_stays_and_is_said(outcome: tuple[str, float | str]) -> None:
    choice = chosen(lambda run: outcome, GRID)
    assert (choice.lr, choice.found, choice.at_edge) == (4e-3, False, False)
    assert "| 0.004 | all lost |" in writers.markdown(choices_table([choice]))


def test_a_trial_without_a_result_stops_the_choice() -> None:
    tuning = tuning_study(MINE, "quick", RATES)
    found = results(tuning, lambda run: ("done", 2.0))
    gone = jobs(tuning)[3].id
    del found[gone]
    with pytest.raises(UserError, match=f"1 trials of mine-lr have no result, {gone}"):
        choose(tuning, "quick", found)
    found[gone] = {"status": "done", "metrics": {"test/bpc": 2.0}}
    with pytest.raises(UserError, match=f"{gone} has no validation score"):
        choose(tuning, "quick", found)


def test_a_study_that_sweeps_rates_itself_has_one_group_for_them() -> None:
    clipping = find_study("clipping")
    groups = {group(run) for run in jobs(clipping)}
    assert len(groups) == 12  # three cells, four ways to clip; two rates
    tuning = tuning_study(clipping, "quick", RATES)
    choices = choose(tuning, "quick", results(tuning, lambda run: ("done", 2.0)))
    assert len(jobs(tuned_study(clipping, "quick", choices))) == 12 * 5
    assert choices[4].label == "rnn(gain=1.5), optim.clip None"


def test_what_cannot_be_tuned_is_refused() -> None:
    for grid in ((), (1e-3,), (1e-3, 1e-3), (0.0, 1e-3), (1e-3, float("nan")), (1e-3, float("inf"))):
        with pytest.raises(UserError, match="two or more positive numbers"):
            tuning_study(MINE, "quick", grid)
    with pytest.raises(UserError, match="at least one tuning seed, got 0"):
        tuning_study(MINE, "quick", RATES, seeds=0)
    with pytest.raises(UserError, match="trains nothing"):
        tuning_study(study(Timing()), "quick")
    with pytest.raises(UserError, match="longest_solvable asks for later runs"):
        tuning_study(find_study("longest_solvable"), "quick")
    with pytest.raises(UserError, match="nothing to choose"):
        tuning_study(study(), "quick")
    other = tuning_study(study(Run(CellConfig("gru"))), "quick", RATES)
    choices = choose(other, "quick", results(other, lambda run: ("done", 2.0)))
    with pytest.raises(UserError, match="no learning rate was chosen for rnn kjv T=16 seed 0"):
        tuned_study(MINE, "quick", choices)


def test_the_table_and_the_json_say_what_was_tried() -> None:
    tuning = tuning_study(study(Run(), Run(CellConfig("rnn"))), "quick", RATES, seeds=2)

    def outcome(run: Run) -> tuple[str, float]:
        lost = run.cell.name == "rnn" and run.optim.lr == 4e-3 and run.seed == 1000
        return "diverged" if lost else "done", 2 + run.optim.lr * (100 if run.cell.name == "rnn" else -100)

    choices = choose(tuning, "quick", results(tuning, outcome))
    text = writers.markdown(choices_table(choices, "made by hand"))
    lines = text.splitlines()
    assert lines[0] == "| cell | 0.001 | 0.002 | 0.004 | chosen |  |"
    assert lines[2] == "| lstm | 1.900 | 1.800 | **1.600** | 0.004 | edge |"
    assert lines[3].startswith("| rnn | **2.100** | 2.200 | 2.400 (1 of 2 lost) | 0.001 |")
    assert "Mean val/bpc of 2 trials a rate." in text
    kept = json.loads(json.dumps([choice.to_dict() for choice in choices]))
    assert kept[1]["rates"][2] == {"lr": 4e-3, "score": pytest.approx(2.4), "lost": 1, "trials": 2}
    assert (kept[1]["lr"], kept[1]["at_edge"], kept[1]["about"]) == (1e-3, True, {"cell": "rnn"})
    config = kept[1]["config"]
    assert "seed" not in config
    rebuilt = Run.from_dict({**config, "seed": 0, "optim": {**config["optim"], "lr": OptimConfig.lr}})
    assert group(rebuilt) == choices[1].group


def test_a_choice_inside_the_grid_needs_no_remark() -> None:
    """No column for remarks where there is none, and the table can be shown on any terminal."""
    table = choices_table([chosen(lambda run: ("done", abs(run.optim.lr - RATES[1])))])
    assert [column.title for column in table.columns] == ["cell", "0.001", "0.002", "0.004", "chosen"]
    for width in (20, 80, 200):
        Console(file=io.StringIO(), width=width).print(writers.rich_table(table, width))


def score(choice: TunedRate, lr: float) -> tuple[int, float]:
    value = choice.scores[lr]
    return choice.lost[lr], float("inf") if value is None else value


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_rate_is_better_than_the_chosen_one(data: st.DataObject) -> None:
    outcomes = st.tuples(st.sampled_from(["done", "done", "diverged"]), st.floats(0, 5))
    choice = chosen(lambda run: data.draw(outcomes), seeds=2)
    if choice.found:
        assert score(choice, choice.lr) == min(score(choice, lr) for lr in RATES)
    assert choice.at_edge == (choice.lr in (RATES[0], RATES[-1]))

"""The search for the longest solvable T against oracles whose threshold is known."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, OptimConfig, Run
from rnnbench.errors import UserError
from rnnbench.probes.solvable import bracket, passed
from rnnbench.sweep.bracketing import RATIO, asked_for, at_length, next_length
from rnnbench.sweep.study import Study

LENGTHS = (10, 12, 15, 20, 24, 30, 40, 48, 60, 80, 96, 120, 160)


def searched(solves: Callable[[int], bool], lengths: tuple[int, ...] = LENGTHS) -> tuple[Any, list[int]]:
    """The bracket at which a search ends, and the lengths tried on the way."""
    tried: dict[int, list[bool]] = {}
    while (length := next_length(bracket(tried), lengths)) is not None:
        assert length not in tried, "nothing is tried twice"
        tried[length] = [solves(length)]
    return bracket(tried), list(tried)


def test_every_threshold_is_bracketed() -> None:
    """Within the ratio, or by two neighbours of the lengths that may be tried; in a logarithm of tries."""
    for threshold in range(10, 160):
        end, tried = searched(lambda length: length <= threshold)  # noqa: B023 - called at once
        assert end.solved <= threshold < end.failed
        neighbours = LENGTHS.index(end.failed) - LENGTHS.index(end.solved) == 1
        assert neighbours or end.failed <= RATIO * end.solved
        assert len(tried) <= 7
        assert tried[:2] == [10, 20]


def test_a_fine_grid_is_bisected_on_the_log_scale() -> None:
    found, tried = searched(lambda length: length <= 777, tuple(range(8, 5000)))
    assert tried[:8] == [8, 16, 32, 64, 128, 256, 512, 1024]
    assert tried[8] == 724, "√(512 · 1024)"
    assert found.failed / found.solved <= RATIO
    assert found.solved <= 777 < found.failed


def test_all_pass_and_all_fail() -> None:
    found, tried = searched(lambda length: True)
    assert (found.solved, found.failed, found.middle) == (160, None, 160)
    assert tried == [10, 20, 40, 80, 160]
    found, tried = searched(lambda length: False)
    assert (found.solved, found.failed, found.middle) == (None, 10, 5)
    assert tried == [10]
    assert searched(lambda length: True, (10, 12, 15))[1] == [10, 15], "the last one, though it is not twice the first"


def test_an_oracle_that_is_not_monotone() -> None:
    """Whatever it answers, the search ends, and all that was tried up to ``solved`` has passed."""
    draw = random.Random(0)
    for _ in range(100):
        answers = {length: draw.random() < 0.7 for length in LENGTHS}
        found, tried = searched(answers.__getitem__)
        assert all(answers[length] for length in tried if found.solved is not None and length <= found.solved)
        assert found.failed is None or not answers[found.failed]


def test_a_bracket_of_exactly_the_ratio_is_narrow_enough() -> None:
    """10 and 12 are a fifth apart; twice the last length is enough to double it, and the middle is geometric."""
    lengths = (10, 11, 12, 13, 20, 21)
    assert RATIO * 10 == 12
    assert next_length(bracket({10: [True], 12: [False]}), lengths) is None
    assert next_length(bracket({10: [True], 13: [False]}), lengths) in (11, 12)
    assert next_length(bracket({10: [True]}), lengths) == 20
    assert bracket({10: [True], 40: [False]}).middle == pytest.approx(20.0)


def test_a_pass_above_a_failure_does_not_count() -> None:
    found = bracket({40: [True], 20: [False], 10: [True], 80: [True]})
    assert (found.solved, found.failed) == (10, 20)
    assert next_length(found, LENGTHS) == 15


@pytest.mark.parametrize(("good", "seeds", "solved"), [(4, 5, True), (3, 5, False), (8, 10, True), (1, 1, True)])
def test_four_of_five_seeds_are_enough(good: int, seeds: int, solved: bool) -> None:
    found = bracket({10: [index < good for index in range(seeds)]})
    assert found.tried == ((10, good, seeds),)
    assert (found.solved == 10) == solved
    assert (found.failed == 10) != solved


def test_what_passes() -> None:
    assert passed("adding", "done", {"test/mse": 0.0099, "test/error": 1.0})
    assert not passed("adding", "done", {"test/mse": 0.01})
    assert passed("copy", "done", {"test/error": 0.0})
    assert not passed("selective_copy", "diverged", {"test/error": 0.0})
    assert not passed("copy", "failed", {})
    assert not passed("copy", "done", {"test/error": "nan"})


def first(seeds: int = 3) -> list[Run]:
    """Two cells on one task."""
    return [
        Run(CellConfig(cell), data=DataConfig("adding", seq_len=10, batch_size=96), budget=BudgetConfig(tokens=9600),
            seed=seed)
        for seed in range(seeds) for cell in ("rnn", "gru")
    ]  # fmt: skip


def trained(run: Run, reach: Mapping[str, int]) -> dict[str, Any]:
    """A result: a cell passes up to its reach; gru's seed 2 always fails."""
    if run.cell.name == "gru" and run.seed == 2:
        return {"status": "failed", "metrics": {}}
    solved = run.data.seq_len <= reach[run.cell.name]
    return {"status": "done", "metrics": {"test/mse": 0.001 if solved else 0.16}}


def test_rounds_end_resume_and_ask_for_whole_lengths() -> None:
    """Replayed from the results after every single result, the search does the same runs as if never disturbed."""
    study = Study(
        "search", "How far?", {"quick": lambda: first(2)}, lambda preset, found: asked_for(first(2), found, LENGTHS)
    )
    reach = {"rnn": 13, "gru": 55}

    def rounds(at_once: int | None) -> dict[str, Run]:
        results: dict[str, Mapping[str, Any]] = {}
        done: dict[str, Run] = {}
        while todo := [job for job in study.jobs("quick", results) if job.id not in results]:
            for job in todo[:at_once]:
                assert isinstance(job, Run)
                results[job.id], done[job.id] = trained(job, reach), job
        return done

    whole, killed = rounds(None), rounds(1)
    assert whole == killed
    assert study.jobs("quick") == first(2), "the first round, where nothing is known"
    by_cell: dict[str, dict[int, list[bool]]] = {"rnn": {}, "gru": {}}
    for run in whole.values():
        assert run.data.batch_size * run.data.seq_len == 960
        assert run.steps == 10
        mse = trained(run, reach)["metrics"]["test/mse"]
        by_cell[run.cell.name].setdefault(run.data.seq_len, []).append(mse < 0.01)
    assert all(len(seeds) == 2 for tried in by_cell.values() for seeds in tried.values())
    assert (bracket(by_cell["rnn"]).solved, bracket(by_cell["rnn"]).failed) == (12, 15)
    assert (bracket(by_cell["gru"]).solved, bracket(by_cell["gru"]).failed) == (48, 60)


def test_failed_runs_stay_in_the_denominator() -> None:
    """Two of three seeds are fewer than 80 %: gru's search is over at once, rnn's goes on."""
    results = {run.id: trained(run, {"rnn": 100, "gru": 100}) for run in first()}
    further = [run for run in asked_for(first(), results, LENGTHS) if run.id not in results]
    assert [(run.cell.name, run.data.seq_len, run.seed) for run in further] == [("rnn", 20, seed) for seed in range(3)]


# --- several learning rates -----------------------------------------------------------------------------------------

RATES = (3e-3, 1e-3, 1e-2)
#: Which of five seeds pass, by T and learning rate; of what is not listed none does.
Passing = Mapping[tuple[int, float], int]


def five() -> list[Run]:
    return [
        Run(CellConfig("gru"), data=DataConfig("adding", seq_len=10, batch_size=96), budget=BudgetConfig(tokens=9600),
            seed=seed)
        for seed in range(5)
    ]  # fmt: skip


def searched_at(passing: Passing, at_once: int | None = None) -> dict[str, tuple[Run, dict[str, Any]]]:
    """Every run of a search that is replayed after so many results, in their order, with its result."""
    done: dict[str, tuple[Run, dict[str, Any]]] = {}
    while True:
        results = {id: result for id, (_, result) in done.items()}
        todo = [run for run in asked_for(five(), results, LENGTHS, RATES) if run.id not in done]
        if not todo:
            return done
        for run in todo[:at_once]:
            passes = run.seed < passing.get((run.data.seq_len, run.optim.lr), 0)
            done[run.id] = run, {"status": "done", "metrics": {"test/mse": 0.001 if passes else 0.16}}


def order(found: Mapping[str, tuple[Run, Any]]) -> list[tuple[int, float]]:
    """T and learning rate, as they were tried; all seeds of each."""
    seeds: dict[tuple[int, float], list[int]] = {}
    for run, _ in found.values():
        seeds.setdefault((run.data.seq_len, run.optim.lr), []).append(run.seed)
    assert all(sorted(several) == [0, 1, 2, 3, 4] for several in seeds.values())
    return list(seeds)


LEARNT = {(10, 1e-3): 5, (20, 1e-3): 4, (40, 1e-2): 5, (80, 3e-3): 3, (60, 1e-2): 4}


def test_the_first_rate_that_solves_is_tried_first_at_the_next_length() -> None:
    """And what has solved a length ends its trials; the others follow in the order in which they last stood."""
    assert order(searched_at(LEARNT)) == [
        (10, 3e-3), (10, 1e-3),
        (20, 1e-3),
        (40, 1e-3), (40, 3e-3), (40, 1e-2),
        (80, 1e-2), (80, 1e-3), (80, 3e-3),  # not solved: three of five at the best of them
        (60, 3e-3), (60, 1e-2),  # so that one is tried first
    ]  # fmt: skip


def test_of_two_rates_at_which_as_many_pass_the_first_tried_stays_first() -> None:
    found = order(searched_at({(10, 3e-3): 5, (20, 1e-3): 3, (20, 1e-2): 3}))
    assert found[:4] == [(10, 3e-3), *((20, rate) for rate in RATES)]
    assert found[4:7] == [(15, 1e-3), (15, 3e-3), (15, 1e-2)]


def test_a_length_that_no_rate_solves_has_failed() -> None:
    """Three of five seeds at one rate, and two others at another, are no four."""
    found = searched_at({(10, 3e-3): 3, (10, 1e-2): 3})
    assert order(found) == [(10, rate) for rate in RATES], "and nothing longer is tried"
    then = order(searched_at({(10, 3e-3): 5, (20, 1e-2): 3}))
    assert then[1:4] == [(20, rate) for rate in RATES]
    assert then[4:7] == [(15, 1e-2), (15, 3e-3), (15, 1e-3)], "first the one that most seeds have passed at"


def test_a_search_over_rates_that_is_killed_asks_for_what_is_missing_alone() -> None:
    """After each single result; and where one of a finished search is lost, for that one."""
    whole = searched_at(LEARNT)
    assert searched_at(LEARNT, 1) == whole
    results = {id: result for id, (_, result) in whole.items()}
    assert all(run.id in results for run in asked_for(five(), results, LENGTHS, RATES))
    for lost in list(results)[::4]:
        kept = {id: result for id, result in results.items() if id != lost}
        assert [run.id for run in asked_for(five(), kept, LENGTHS, RATES) if run.id not in kept] == [lost]


def test_without_rates_a_runs_own_is_the_only_one() -> None:
    runs = [dataclasses.replace(run, optim=OptimConfig(lr=0.5)) for run in five()]
    results = {run.id: {"status": "done", "metrics": {"test/mse": 0.16}} for run in runs}
    assert list(asked_for(runs, results, LENGTHS)) == runs


def test_what_cannot_be_searched_is_refused() -> None:
    with pytest.raises(UserError, match='no longest solvable T is defined on "parity"'):
        list(asked_for([Run(data=DataConfig("parity"))], {}, LENGTHS))
    with pytest.raises(UserError, match="T = 7 does not divide the 960 steps"):
        at_length(first()[0], 7)

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, Run
from rnnbench.sweep.wandb_files.export import factors, varying
from rnnbench.sweep.wandb_files.sweep_file import flat


def product(*parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for part in chosen for key, value in part.items()} for chosen in itertools.product(*parts)]


def test_what_varies_together_is_one_factor_and_the_rest_is_not() -> None:
    rows = product(
        [{"T": 16, "B": 128}, {"T": 64, "B": 32}],
        [{"cell": name} for name in "abc"],
        [{"seed": seed} for seed in (0, 1)],
    )
    assert factors(rows, ["cell", "T", "B", "seed"]) == [("cell",), ("T", "B"), ("seed",)]


def test_pairwise_independence_is_not_enough() -> None:
    rows = [{"a": a, "b": b, "c": a ^ b, "d": d} for a in (0, 1) for b in (0, 1) for d in (0, 1)]
    assert factors(rows, list("abcd")) == [("a", "b", "c"), ("d",)]


def test_a_missing_combination_binds_its_keys() -> None:
    rows = product([{"a": 0}, {"a": 1}], [{"b": 0}, {"b": 1}], [{"c": 0}, {"c": 1}])
    assert factors(rows, list("abc")) == [("a",), ("b",), ("c",)]
    assert factors(rows[1:], list("abc")) == [("a", "b", "c")]


def test_a_key_that_only_some_rows_have_varies() -> None:
    rows = [{"a": 0}, {"a": 0, "b": 1}]
    assert varying(rows) == ["b"]


def test_a_run_is_flat_with_its_cell_as_one_value() -> None:
    run = Run(CellConfig("rnn", {"gain": 2.0}), data=DataConfig(seq_len=16), budget=BudgetConfig(steps=3))
    values = flat(run)
    assert (values["cell"], values["data.seq_len"], values["budget.steps"]) == ('{"name": "rnn", "gain": 2}', 16, 3)
    assert len(set(values) ^ set(flat(Run()))) == 0


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_factors_of_a_product_are_found_and_multiply_to_it(data: st.DataObject) -> None:
    """Rows made as a product of random relations: every group found lies within one of them, and they multiply."""
    names = iter("abcdefgh")
    parts = []
    for _ in range(data.draw(st.integers(1, 3))):
        keys = [next(names) for _ in range(data.draw(st.integers(1, 2)))]
        rows = st.tuples(*[st.integers(0, 2) for _ in keys])
        parts.append([dict(zip(keys, row, strict=True)) for row in data.draw(st.sets(rows, min_size=2, max_size=5))])
    rows_made = product(*parts)
    groups = factors(rows_made, varying(rows_made))
    assert sorted(key for group in groups for key in group) == sorted(varying(rows_made))
    for group in groups:
        assert any(set(group) <= set(part[0]) for part in parts)
    pieces = [{tuple(row[key] for key in group) for row in rows_made} for group in groups]
    count = 1
    for piece in pieces:
        count *= len(piece)
    assert count == len(rows_made)

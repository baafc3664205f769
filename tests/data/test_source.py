"""The loader's position, and seeds."""

from __future__ import annotations

import pytest
import torch

from rnnbench.data.source import Batches, StepLoader, evenly, generator
from rnnbench.data.task import Batch


def numbered(step: int) -> Batch:
    return Batch(torch.tensor([step]), torch.tensor([step]))


def steps(batches: object) -> list[int]:
    return [int(batch.x) for batch in batches]  # type: ignore[attr-defined]


def test_batches_are_sized_and_can_be_read_again() -> None:
    batches = Batches(numbered, 3)
    assert len(batches) == 3
    assert steps(batches) == steps(batches) == [0, 1, 2]


def test_the_loader_resumes_where_it_was_and_keeps_its_length() -> None:
    loader = StepLoader(numbered, 10)
    going = iter(loader)
    seen = [int(next(going).x) for _ in range(4)]
    other = StepLoader(numbered, 10)
    other.load_state_dict(loader.state_dict())
    iter(other)  # thrown away, as Lightning does
    next(iter(StepLoader(numbered, 10)))
    assert len(other) == 10
    assert seen + steps(other) == list(range(10))
    assert other.state_dict() == {"step": 10}


def test_a_new_iterator_goes_on() -> None:
    loader = StepLoader(numbered, 5)
    next(iter(loader))
    next(iter(loader))
    assert steps(loader) == [2, 3, 4]
    assert steps(loader) == []


def test_generators_differ_by_every_part_of_the_key() -> None:
    keys: list[tuple[int | str, ...]] = [("a", 0, 1), ("a", 1, 0), ("b", 0, 1), ("a", 0), ("a", 1), (0, 1), (10, 1)]
    draws = {tuple(torch.rand(4, generator=generator(*key)).tolist()) for key in keys}
    assert len(draws) == len(keys)
    assert torch.equal(torch.rand(4, generator=generator("a", 0)), torch.rand(4, generator=generator("a", 0)))


@pytest.mark.parametrize(("count", "of"), [(1, 1), (3, 10), (16, 16), (20, 7), (781, 3811)])
def test_evenly_spread_indices(count: int, of: int) -> None:
    at = evenly(count, of)
    gaps = at.diff()
    assert len(at) == min(count, of)
    assert int(at[0]) >= 0
    assert int(at[-1]) < of
    if len(at) > 1:
        assert int(gaps.min()) >= 1
        assert int(gaps.max() - gaps.min()) <= 1

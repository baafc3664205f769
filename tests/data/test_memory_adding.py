"""The adding problem's definition, its variance, and its seeds."""

from __future__ import annotations

import pytest
import torch

from rnnbench.config import DataConfig
from rnnbench.data.synthetic.adding import AddingData
from rnnbench.errors import UserError


def adding(seq_len: int = 10, batch_size: int = 32, seed: int = 0) -> AddingData:
    return AddingData(DataConfig(name="adding", seq_len=seq_len, batch_size=batch_size), seed)


@pytest.mark.parametrize("seq_len", [2, 3, 10, 101])
def test_one_marker_a_half_and_the_target_is_the_marked_sum(seq_len: int) -> None:
    batch = adding(seq_len, batch_size=2000).train_batch(0)
    value, marker = batch.x.unbind(-1)
    half = seq_len // 2
    assert batch.x.shape == (2000, seq_len, 2)
    assert batch.x.dtype == batch.y.dtype == torch.float32
    assert set(marker.flatten().tolist()) <= {0.0, 1.0}
    assert (marker[:, :half].sum(1) == 1).all()
    assert (marker[:, half:].sum(1) == 1).all()
    assert marker.any(0).all()  # every place is drawn
    assert float(value.min()) >= 0
    assert float(value.max()) < 1
    torch.testing.assert_close(batch.y[:, 0], (value * marker).sum(1))


def test_guessing_one_costs_a_sixth() -> None:
    data = adding(seq_len=4, batch_size=200_000)
    error = (data.train_batch(0).y - 1).double().square()
    standard_error = float(error.std()) / 200_000**0.5
    assert abs(float(error.mean()) - data.references()["guess_mse"]) < 4 * standard_error
    assert standard_error < 0.001  # so the misprint 0.1767 is well outside


def test_training_is_pure_and_differs_by_seed_and_step() -> None:
    one, two = adding(seed=1), adding(seed=1)
    late = [two.train_batch(step).x for step in reversed(range(5))][::-1]
    assert all(torch.equal(one.train_batch(step).x, late[step]) for step in range(5))
    assert len({float(adding(seed=s).train_batch(t).x[0, 0, 0]) for s in range(3) for t in range(3)}) == 9


def test_val_and_test_do_not_depend_on_the_seed() -> None:
    rows = {}
    for part in ("val", "test", "train"):
        one, two = (torch.cat([b.x for b in adding(seed=s).evaluation(part)]) for s in (0, 1))
        assert torch.equal(one, two)
        assert len(one) == len(torch.unique(one[:, 0, 0])) == 1000
        rows[part] = one
    assert not torch.equal(rows["val"], rows["test"])
    assert torch.equal(adding(seed=0).probe_batch(256, 7).x, adding(seed=1).probe_batch(256, 7).x)


@pytest.mark.parametrize(("limit", "count"), [(1, 1), (25, 2), (3330, 333), (10**6, 1000)])
def test_a_limit_takes_the_first_sequences(limit: int, count: int) -> None:
    got = torch.cat([batch.x for batch in adding().evaluation("val", limit=limit)])
    whole = torch.cat([batch.x for batch in adding().evaluation("val")])
    assert len(got) == count
    assert torch.equal(got, whole[:count])


def test_a_single_step_is_refused() -> None:
    with pytest.raises(UserError, match="at least 2, got 1"):
        adding(seq_len=1)

"""NARMA10's sequences obey its equation, and are pure, standardised and never wild."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.series.narma import NarmaData, narma10


def test_narma10_by_its_equation() -> None:
    u = torch.rand(3, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / 2
    got = narma10(u)
    for row in range(3):
        y, past = [0.0], [0.0] * 9 + u[row].tolist()
        for t in range(40):
            history = sum(y[-10:])
            y.append(0.3 * y[-1] + 0.05 * y[-1] * history + 1.5 * past[t] * past[t + 9] + 0.1)
        np.testing.assert_allclose(got[row], y[1:], rtol=1e-12)


def test_narma10_batches_are_pure_standardised_causal_and_never_wild() -> None:
    config = DataConfig(name="narma10", batch_size=8)
    data, other = load(config, seed=1), NarmaData(config, seed=2)
    batch = data.train_batch(7)
    assert batch.x.shape == batch.y.shape == (8, 100, 1)
    assert torch.equal(batch.x, data.train_batch(7).x)
    assert not torch.equal(batch.x, other.train_batch(7).x)
    for part in ("train", "val", "test"):
        for a, b in zip(data.evaluation(part, False), other.evaluation(part), strict=True):
            assert torch.equal(a.y, b.y)
    test = torch.cat([one.y for one in data.evaluation("test", False)])
    assert test.shape == (500, 100, 1)
    assert float(test.max()) < 6
    assert abs(float(test.mean())) < 0.05
    assert float(test.std()) == pytest.approx(1, abs=0.05)
    assert len(next(iter(data.evaluation("val", False, limit=300))).x) == 3
    facts = data.facts()
    u = torch.tensor([facts["sample"]["u"]], dtype=torch.float64)
    np.testing.assert_allclose(narma10(u)[0], facts["sample"]["y"])


def test_narma10_draws_runaway_sequences_again() -> None:
    data = NarmaData(DataConfig(name="narma10", seq_len=500))
    # Of 1000 sequences as long, nine reach 1, one of them on its way to infinity.
    outputs = data._system(1000, "scale")[1]
    assert bool((outputs < 1).all())


def test_narma10_references_lie_in_order() -> None:
    references = load(DataConfig(name="narma10", seq_len=60)).references()
    assert references["mean_mse"] == pytest.approx(1, abs=0.05)
    assert 0.3 < references["ridge_mse"] < 0.7

"""Computed series obey their equations; NARMA10's sequences theirs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.series.generated import lorenz, mackey_glass, read_lorenz, read_mackey_glass
from rnnbench.data.series.narma import NarmaData, narma10


def test_lorenz_against_scipy() -> None:
    integrate = pytest.importorskip("scipy.integrate")

    def change(_: float, s: np.ndarray) -> list[float]:
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    times = np.arange(1, 81) * 0.05
    exact = integrate.solve_ivp(change, (0, 4.1), [1.0, 1.0, 1.0], t_eval=times, rtol=1e-11, atol=1e-11).y.T
    np.testing.assert_allclose(lorenz(80), exact, atol=1e-3)


def test_mackey_glass_is_of_fourth_order_and_obeys_its_equation() -> None:
    rough, fine, finest = (mackey_glass(60, substeps=steps) for steps in (4, 8, 32))
    gain = np.abs(rough - finest).max() / np.abs(fine - finest).max()
    assert 12 < gain < 20  # 2⁴
    x = mackey_glass(3000, substeps=50)
    # Before t = 17 the delayed value is the constant 1.2: x' = c − x/10 has a closed form.
    drive = 0.2 * 1.2 / (1 + 1.2**10)
    time = np.arange(1, 18)
    np.testing.assert_allclose(x[:17], 10 * drive + (1.2 - 10 * drive) * np.exp(-time / 10), rtol=1e-9)
    # Over the attractor, five-point differences agree with the right-hand side.
    slope = (x[:-4] - 8 * x[1:-3] + 8 * x[3:-1] - x[4:]) / 12
    then = x[2 + 1000 - 17 : -2 - 17]
    np.testing.assert_allclose(slope[1000:], 0.2 * then / (1 + then**10) - 0.1 * x[1002:-2], atol=5e-3)


def test_chaotic_series_are_bounded_and_always_the_same() -> None:
    glass, weather = read_mackey_glass(), read_lorenz()
    assert glass.values.shape == (10_000, 1)
    assert 0.2 < glass.values.min() < 0.5 < 1.2 < glass.values.max() < 1.5
    assert weather.values.shape == (10_000, 3)
    assert np.abs(weather.values[:, 0]).max() < 21
    # Only sums, products and quotients: not a bit depends on the machine.
    assert glass.fingerprint.startswith("728545b0bf93ebe0")
    assert weather.fingerprint.startswith("b440500f307aa817")
    np.testing.assert_array_equal(read_lorenz("z").values[:, 0], weather.values[:, 2])


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
    found = load(DataConfig(name="narma10", seq_len=60)).references()
    assert found["mean_mse"] == pytest.approx(1, abs=0.05)
    assert 0.3 < found["ridge_mse"] < 0.7

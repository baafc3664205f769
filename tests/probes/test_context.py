"""Context curves against models whose memory is known: a table of bigrams, and a window of k symbols."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from torch.nn import functional as F

from rnnbench.config import CellConfig, DataConfig, ModelConfig
from rnnbench.data.task import Task
from rnnbench.data.text.streams import TextData
from rnnbench.errors import UserError
from rnnbench.models.sequence import SequenceModel
from rnnbench.probes.context import ContextCurve, context_curve, half_octaves

SYMBOLS = 7
TASK = Task("many_to_many", "tokens", "symbols", SYMBOLS, SYMBOLS, causal=True)


def model(cell: CellConfig, hidden_size: int = 8, **more: float) -> SequenceModel:
    torch.manual_seed(0)
    return SequenceModel(TASK, cell, ModelConfig(hidden_size=hidden_size, **more))  # type: ignore[arg-type]


def some_windows(count: int = 40, length: int = 33) -> torch.Tensor:
    return torch.randint(SYMBOLS, (count, length), generator=torch.Generator().manual_seed(1))


def test_a_curve_that_is_not_finite_has_no_scalars() -> None:
    """As of a state that overflows in so many steps."""
    nan = np.array([np.nan, np.nan])
    assert ContextCurve(np.array([1, 2]), nan, nan, nan).scalars() == {}


def test_the_lengths_are_half_octaves() -> None:
    assert half_octaves(1) == [1]
    assert half_octaves(2) == [1, 2]
    assert half_octaves(20) == [1, 2, 3, 4, 6, 8, 12, 16, 20]
    assert half_octaves(256) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]


def test_every_point_is_the_target_read_by_itself() -> None:
    """Against each window's end read alone, one at a time, in plain torch."""
    lstm = torch.nn.LSTM(8, 8, batch_first=True)
    ours, windows = model(CellConfig("lstm")), some_windows(12, 14)
    lstm.load_state_dict({f"{name}_l0": value for name, value in ours.cells[0].state_dict().items()})
    curve = context_curve(ours, windows)
    assert curve.lengths.tolist() == [1, 2, 3, 4, 6, 8, 12, 13]
    nll = np.zeros((len(curve.lengths), len(windows)))
    with torch.no_grad():
        for row, length in enumerate(curve.lengths):
            for column, window in enumerate(windows):
                y, _ = lstm(ours.input(window[None, -1 - length : -1]))
                nll[row, column] = F.cross_entropy(ours.readout(y[0, -1]), window[-1])
    np.testing.assert_allclose(curve.nll, nll.mean(1), rtol=1e-6)
    difference = (nll - nll[-1]) / math.log(2)
    np.testing.assert_allclose(curve.gain, difference.mean(1), atol=1e-6)
    np.testing.assert_allclose(curve.gain_error, difference.std(1, ddof=1) / math.sqrt(12), atol=1e-6)


def test_a_table_of_bigrams_needs_one_symbol() -> None:
    """A cell that holds its last input alone, h_t = tanh(W x_t): its nll is the table's, at every context."""
    ours = model(CellConfig("rnn"), 8)
    with torch.no_grad():
        ours.cells[0].weight_hh.zero_()  # type: ignore[operator, union-attr]
    windows = some_windows()
    curve = context_curve(ours, windows)
    with torch.no_grad():
        table = ours(torch.arange(SYMBOLS)[:, None])[0][:, 0].double().log_softmax(1).numpy()
    exact = -table[windows[:, -2], windows[:, -1]].mean()
    np.testing.assert_allclose(curve.nll, exact, rtol=1e-6)
    assert horizons(curve) == (1, 1, 1)


def test_nothing_changes_beyond_a_window() -> None:
    """A convolution that sees W = 13 symbols (the prediction's own included): from there on more context is nothing."""
    ours = model(CellConfig("tcn", {"levels": 2, "kernel": 3}), 16)
    with torch.no_grad():
        ours.readout.weight.mul_(40)  # so that what is seen matters
    curve = context_curve(ours, some_windows(60, 65))
    width = 1 + 2 * 2 * (2**2 - 1)
    inside, beyond = curve.lengths < width - 1, curve.lengths >= width
    assert np.abs(curve.gain[beyond]).max() < 1e-5
    assert curve.gain_error[beyond].max() < 1e-5
    assert np.abs(curve.gain[inside]).min() > 1e-4
    assert curve.lengths[beyond][0] == 16


def horizons(curve: ContextCurve) -> tuple[float, ...]:
    scalars = curve.scalars()
    return tuple(scalars[name] for name in ("horizon_low", "horizon", "horizon_high"))


def test_the_horizon_and_its_interval() -> None:
    """Where the gain, and the ends of its 95 % interval, first reach a hundredth of a bit: 1.96 standard errors."""
    gain, error = np.array([1.0, 0.02, 0.009, 0.002, 0.0]), np.array([0.1, 0.01, 0.002, 0.001, 0.0])
    curve = ContextCurve(np.array([1, 2, 4, 8, 16]), np.ones(5), gain, error)
    assert horizons(curve) == (2, 4, 8)
    assert curve.scalars()["gain_at_1"] == 1.0
    z = scipy.stats.norm.ppf(0.975)
    for errors, standard_error, expected in (
        (0.0, 0.0, (1, 1, 1)),  # on the border
        (z - 0.01, 0.001, (1, 2, 4)),
        (z + 0.01, 0.001, (2, 2, 2)),
    ):
        gain = np.array([0.01 + errors * 0.001, 0.01 - errors * 0.001, 0.0])
        error = np.array([standard_error, standard_error, 0.0])
        assert horizons(ContextCurve(np.array([1, 2, 4]), np.ones(3), gain, error)) == expected


def test_the_model_is_left_as_it_is() -> None:
    ours = model(CellConfig("gru"), dropout=0.5).train()
    ours.readout.eval()
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    first, second = (context_curve(ours, some_windows()) for _ in range(2))
    np.testing.assert_array_equal(first.nll, second.nll, "dropout is off")
    assert ours.training
    assert ours.dropout.training
    assert not ours.readout.training
    assert all(parameter.grad is None for parameter in ours.parameters())
    assert all(torch.equal(value, before[name]) for name, value in ours.state_dict().items())


@pytest.mark.parametrize("shape", [(1, 5), (5, 1), (5,)])
def test_too_little_text_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="at least 2 windows of at least 2 symbols"):
        context_curve(model(CellConfig("rnn")), torch.zeros(shape, dtype=torch.int64))


def test_windows_are_of_the_test_part_and_the_same_for_all() -> None:
    text = "".join(chr(97 + index % 26) if index < 3800 else chr(65 + index % 26) for index in range(4000))
    one = TextData(text, DataConfig(name="kjv", seq_len=8, batch_size=4), seed=0)
    other = TextData(text, DataConfig(name="kjv", seq_len=16, batch_size=2), seed=5)
    windows = one.context_windows(10, 21)
    assert windows.shape == (10, 21)
    assert windows.dtype == torch.int64
    assert torch.equal(windows, other.context_windows(10, 21))
    symbols = "".join(one.vocabulary.symbols)
    assert all((window == 0).all() for window in windows), f"capitals are not in {symbols}: of the test part alone"
    whole = TextData("abcdefghij" * 400, DataConfig(name="kjv", seq_len=8, batch_size=4))
    spread = whole.context_windows(4, 11)
    assert (spread[:, 1:] != spread[:, :-1]).all()
    assert len(torch.unique(spread, dim=0)) > 1
    assert whole.context_windows(10_000, 11).shape == (190, 11), "every window there is"
    assert whole.context_windows(4, 10_000).shape == (1, 200), "shorter where the part is too short"

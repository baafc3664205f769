"""Costs against what one counts by hand."""

from __future__ import annotations

import pytest

from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Task
from rnnbench.models import SequenceModel
from rnnbench.probes.flops import cost_per_token

H, V = 16, 30
TEXT = Task("many_to_many", "tokens", "symbols", V, V, stateful=True, causal=True)


@pytest.mark.parametrize("width", [16, 48])
def test_an_rnns_pointwise_work(width: int) -> None:
    """tanh, its derivative, and the sum of the two gradients that meet at a state: three numbers a unit, no more.

    The gradients of the weights, summed over time at H² numbers a step, must not be among them.
    """
    model = SequenceModel(TEXT, CellConfig("rnn"), ModelConfig(hidden_size=width))
    assert cost_per_token(model, TEXT).pointwise == 3 * width


def test_a_token_costs_the_same_at_any_length() -> None:
    model = SequenceModel(TEXT, CellConfig("lstm"), ModelConfig(hidden_size=H, num_layers=2, norm="layer"))
    assert cost_per_token(model, TEXT, 8) == cost_per_token(model, TEXT, 16)


def test_a_cut_gradient_costs_a_little_less_at_any_length() -> None:
    """Each piece spares the one product that would go on into the piece before it, and no more."""
    model = SequenceModel(TEXT, CellConfig("rnn"), ModelConfig(hidden_size=H))
    whole = cost_per_token(model, TEXT).flops
    for truncate in (1, 5, 100):
        model.probed.truncate = truncate
        assert cost_per_token(model, TEXT).flops == pytest.approx(whole - 2 * H * H / truncate, rel=1e-12)


def test_a_convolution_is_not_recomputed_for_every_window() -> None:
    """Forward two operations a weight and token, backward twice that, and what else a TCN has is not a product."""
    model = SequenceModel(TEXT, CellConfig("tcn"), ModelConfig(hidden_size=H))
    weights = 8 * 3 * H * H + H * V
    assert cost_per_token(model, TEXT).flops == 6 * weights


@pytest.mark.parametrize(("name", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_products_of_a_gated_cell(name: str, gates: int) -> None:
    """Forward: two operations a weight; backward twice that; the embedding is a lookup and costs none."""
    model = SequenceModel(TEXT, CellConfig(name), ModelConfig(hidden_size=H))
    assert cost_per_token(model, TEXT).flops == 6 * (gates * H * 2 * H + H * V)

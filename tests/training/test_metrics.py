"""The loss and the figures of merit against scikit-learn's, torch's and torchmetrics' own, in batches of any size."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli
from torch.nn import functional as F
from torchmetrics.functional.text import perplexity

from rnnbench.data.task import Batch, Task
from rnnbench.models.loss import loss
from rnnbench.training.metrics import PRIMARY_METRIC, BitMetric, ErrorMetric, LabelMetric, LikelihoodMetric, metric_for

B, T, V = 13, 9, 5
Predicts = Literal["symbols", "labels", "values", "bits"]
PREDICTS: list[Predicts] = ["symbols", "labels", "values", "bits"]


def task(predicts: Predicts) -> Task:
    weights = (2.0, 0.5, 1.0, 3.0, 0.1) if predicts == "values" else ()
    return Task("many_to_many", "tokens", predicts, V, V, mase_weights=weights)


def sample(predicts: Predicts, masked: bool = True) -> tuple[Tensor, Batch]:
    torch.manual_seed(5)
    out = torch.randn(B, T, V)
    y: Tensor = torch.randint(V, (B, T))
    if predicts == "values":
        y = torch.randn(B, T, V)
    elif predicts == "bits":
        y = (torch.rand(B, T, V) < 0.3).float()
    mask = torch.rand(B, T) < 0.6 if masked else None
    return out, Batch(torch.zeros(B, T, dtype=torch.long), y, mask=mask)


def figures(metric: Any, *updates: tuple[Tensor, Batch]) -> dict[str, float]:
    for out, batch in updates:
        metric.update(out, batch)
    return {name: float(value) for name, value in metric.compute().items()}


def rows(batch: Batch, span: slice) -> Batch:
    cut = {name: value[span] for name, value in batch._asdict().items() if isinstance(value, Tensor)}
    return batch._replace(**cut)


def test_symbols_are_torchmetrics_perplexity() -> None:
    out, batch = sample("symbols")
    assert batch.mask is not None
    found = figures(LikelihoodMetric(), (out, batch))
    expected = float(perplexity(out.double(), batch.y.masked_fill(~batch.mask, -100), ignore_index=-100))
    assert found["perplexity"] == pytest.approx(expected, rel=1e-6)
    assert found["bpc"] == pytest.approx(math.log2(expected), rel=1e-6)
    assert found["nll"] == pytest.approx(math.log(expected), rel=1e-6)


@pytest.mark.parametrize("scored", [False, True])
def test_labels_are_sklearns(scored: bool) -> None:
    """The loss is over the mask, right and wrong over ``scored`` where that is given."""
    from sklearn.metrics import accuracy_score, log_loss

    out, batch = sample("labels")
    assert batch.mask is not None
    if scored:
        batch = batch._replace(scored=batch.mask & (torch.arange(T) >= T - 3))
    places = batch.mask if batch.scored is None else batch.scored
    found = figures(LabelMetric(), (out, batch))
    right = accuracy_score(batch.y[places], out[places].argmax(-1))
    assert found["accuracy"] == pytest.approx(right, rel=1e-12)
    assert found["error"] == pytest.approx(1 - right, rel=1e-12)
    chances = out.double().softmax(-1)[batch.mask].numpy()
    assert found["nll"] == pytest.approx(log_loss(batch.y[batch.mask], chances, labels=range(V)), rel=1e-6)


def test_one_label_a_sequence() -> None:
    out, batch = torch.tensor([[2.0, 1.0], [0.0, 1.0], [3.0, 0.0]]), torch.tensor([0, 0, 0])
    found = figures(LabelMetric(), (out, Batch(batch, batch)))
    assert found["error"] == pytest.approx(1 / 3)
    wanted = [math.log(1 + math.exp(-1)), math.log(1 + math.exp(1)), math.log(1 + math.exp(-3))]
    assert found["nll"] == pytest.approx(sum(wanted) / 3, rel=1e-6)


def test_bits_are_sklearns_jaccard_and_a_product_of_coins() -> None:
    from sklearn.metrics import jaccard_score

    out, batch = sample("bits")
    found = figures(BitMetric(), (out, batch))
    said, true = out[batch.mask].double(), batch.y[batch.mask].double()
    assert found["nll"] == pytest.approx(float(-Bernoulli(logits=said).log_prob(true).sum(-1).mean()), rel=1e-6)
    assert found["accuracy"] == pytest.approx(jaccard_score(true, said > 0, average="micro"), rel=1e-12)


def test_a_key_at_one_half_is_not_on() -> None:
    """A logit of exactly 0, as of weights that are all 0, plays no key: a miss where there is one."""
    out, y = torch.zeros(1, 1, 4), torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])
    found = figures(BitMetric(), (out, Batch(torch.zeros(1, 1), y)))
    assert (found["accuracy"], found["nll"]) == (0.0, pytest.approx(4 * math.log(2)))
    out[0, 0, 0] = 1e-6
    assert figures(BitMetric(), (out, Batch(torch.zeros(1, 1), y)))["accuracy"] == 1.0


def test_values_are_sklearns() -> None:
    from sklearn.metrics import mean_absolute_error, mean_squared_error

    out, batch = sample("values")
    weights = task("values").mase_weights
    said, true = out[batch.mask].double(), batch.y[batch.mask].double()
    found = figures(ErrorMetric(weights), (out, batch))
    assert found["mse"] == pytest.approx(mean_squared_error(true, said), rel=1e-6)
    assert found["mae"] == pytest.approx(mean_absolute_error(true, said), rel=1e-6)
    by_output = mean_absolute_error(true, said, multioutput="raw_values")
    assert found["mase"] == pytest.approx(float(np.mean(by_output * np.asarray(weights))), rel=1e-6)
    assert figures(ErrorMetric((2.5,)), (out, batch))["mase"] == pytest.approx(2.5 * found["mae"], rel=1e-12)
    assert "mase" not in figures(ErrorMetric(), (out, batch))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("predicts", PREDICTS)
def test_batch_by_batch_is_all_at_once(predicts: Predicts, masked: bool) -> None:
    """However unequal the batches are, and however unevenly masked: a mean over targets, not over batches."""
    out, batch = sample(predicts, masked)
    whole = figures(metric_for(task(predicts)), (out, batch))
    spans = [slice(0, 1), slice(1, 9), slice(9, B)]
    parts = figures(metric_for(task(predicts)), *((out[span], rows(batch, span)) for span in spans))
    assert parts == pytest.approx(whole, rel=1e-12)
    assert PRIMARY_METRIC[predicts] in whole


@pytest.mark.parametrize("predicts", PREDICTS)
def test_the_loss_is_the_mean_over_what_counts(predicts: Predicts) -> None:
    """Of one target at a time; and the metric's figure of the same name."""
    out, batch = sample(predicts)
    assert batch.mask is not None
    single = []
    for b, t in batch.mask.nonzero().tolist():
        said, true = out[b, t].double(), batch.y[b, t]
        if predicts == "values":
            single.append(float((said - true.double()).square().mean()))
        elif predicts == "bits":
            single.append(float(F.binary_cross_entropy(said.sigmoid(), true.double(), reduction="sum")))
        else:
            single.append(-math.log(float(said.softmax(-1)[int(true)])))
    value = float(loss(out, batch, task(predicts)))
    assert value == pytest.approx(sum(single) / len(single), rel=1e-5)
    name = "mse" if predicts == "values" else "nll"
    assert value == pytest.approx(figures(metric_for(task(predicts)), (out, batch))[name], rel=1e-5)
    everywhere = batch._replace(mask=torch.ones(B, T, dtype=torch.bool))
    unmasked = loss(out, batch._replace(mask=None), task(predicts))
    torch.testing.assert_close(loss(out, everywhere, task(predicts)), unmasked)


@pytest.mark.parametrize("predicts", PREDICTS)
def test_many_small_terms_stay_exact(predicts: Predicts) -> None:
    """A float32 sum of this many equal terms is off by more than this."""
    count = 300_000
    out = torch.full((1, count, 2), 0.1)
    y: Tensor = torch.zeros(1, count, dtype=torch.long) if predicts in ("symbols", "labels") else torch.zeros_like(out)
    metric, name = metric_for(Task("many_to_many", "tokens", predicts, 2, 2)), "mse" if predicts == "values" else "nll"
    one = figures(metric, (out[:, :1], Batch(y[:, :1], y[:, :1])))[name]
    metric.reset()
    many = figures(metric, *[(out, Batch(y, y))] * 3)[name]
    assert many == pytest.approx(one, rel=1e-13)

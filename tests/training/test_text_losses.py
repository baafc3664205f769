"""Losses by block and by position: against a plain pass over the one stream, and against the figures themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rnnbench.config import CellConfig, DataConfig, ModelConfig
from rnnbench.data.source import Batches
from rnnbench.data.text.streams import TextData
from rnnbench.models import SequenceModel, build
from rnnbench.training.metrics import BLOCK, LikelihoodMetric, PositionLosses, StreamLosses


@pytest.fixture(scope="module")
def long_text(small_text: str) -> str:
    """Its test part of 5,230 characters is read as several streams, and fills no whole number of blocks or windows."""
    rng = np.random.default_rng(0)
    return small_text * 5 + "".join(rng.choice(list("abc "), 4_600))


def scored(model: SequenceModel, batches: Batches, watcher: StreamLosses | PositionLosses | None) -> dict[str, float]:
    """As the module's evaluation does it."""
    metric, state = LikelihoodMetric(), None
    metric.watcher = watcher
    with torch.inference_mode():
        for batch in batches:
            out, state = model.predict(batch, None if batch.reset else state)
            metric.update(out, batch)
    return {name: float(value) for name, value in metric.compute().items()}


def made(text: str | bytes, seq_len: int = 48) -> tuple[TextData, SequenceModel]:
    source = TextData(text, DataConfig(path="x", seq_len=seq_len, batch_size=4))
    torch.manual_seed(0)
    model = build(source.task, CellConfig("gru"), ModelConfig(hidden_size=12))
    assert isinstance(model, SequenceModel)
    return source, model.eval()


def test_blocks_are_those_of_the_one_stream(long_text: str) -> None:
    """Each character at its place: what is read side by side is put back in order, without the warm-up."""
    source, model = made(long_text)
    batches, watcher = source.evaluation("test", stateful=True), StreamLosses()
    first = next(iter(batches))
    assert first.x.shape[0] > 3
    assert first.mask is not None
    nll = scored(model, batches, watcher)["nll"]

    stream = whole(source, long_text)
    with torch.no_grad():
        out, _ = model(stream[None, :-1])
        expected = F.cross_entropy(out[0].double(), stream[1:], reduction="none").numpy()
    each = watcher.each()
    assert each.shape == expected.shape
    assert np.allclose(each, expected, atol=2e-5)

    curves = watcher.curves()
    means, sizes = curves["nll_blocks"], curves["nll_block_sizes"]
    assert sizes.tolist() == [BLOCK] * (len(expected) // BLOCK) + [len(expected) % BLOCK]
    assert means.dtype == np.float64
    assert np.allclose(means[1], expected[BLOCK : 2 * BLOCK].mean(), atol=1e-6)
    assert (means * sizes).sum() / sizes.sum() == pytest.approx(nll, rel=1e-12)


def test_positions_count_from_the_reset(long_text: str) -> None:
    source, model = made(long_text)
    watcher = PositionLosses()
    nll = scored(model, source.evaluation("test", stateful=False), watcher)["nll"]
    curves = watcher.curves()
    means, sizes = curves["nll_by_position"], curves["nll_position_sizes"]
    stream = whole(source, long_text)
    targets = len(stream) - 1
    assert sizes.tolist() == [targets // 48 + (p < targets % 48) for p in range(48)]
    assert (means * sizes).sum() / sizes.sum() == pytest.approx(nll, rel=1e-12)
    # the third target of each window, after three characters
    windows = [stream[at : at + 4] for at in range(0, targets, 48) if at + 3 <= targets]
    with torch.no_grad():
        out, _ = model(torch.stack([window[:3] for window in windows]))
    third = F.cross_entropy(out[:, -1].double(), torch.stack([w[3] for w in windows])).item()
    assert means[2] == pytest.approx(third, rel=1e-5)


@pytest.mark.parametrize("size", [1200, 2 * 20 * 1001, 60_021])
def test_any_size_sums_to_the_figure(size: int, small_text: str) -> None:
    """One stream or many, less than a block or whole ones, one window or many."""
    source, model = made((small_text * 4)[:size], seq_len=40)
    for stateful, watcher, name in ((True, StreamLosses(), "blocks"), (False, PositionLosses(), "by_position")):
        batches = source.evaluation("test", stateful)
        nll = scored(model, batches, watcher)["nll"]
        assert scored(model, batches, None)["nll"] == nll, "watching changes a figure"
        curves = watcher.curves()
        means, sizes = curves[f"nll_{name}"], next(v for k, v in curves.items() if k.endswith("sizes"))
        assert sizes.sum() == size - size * 9 // 10 - size // 20 - 1
        assert math.fsum(means * sizes) / sizes.sum() == pytest.approx(nll, rel=1e-12)


def whole(source: TextData, text: str) -> torch.Tensor:
    return source.vocabulary.encode(text[len(text) * 9 // 10 + len(text) // 20 :])

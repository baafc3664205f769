"""SequenceModule against plain PyTorch, written out by hand."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from support.training import QUIET, Rows
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells import Cell, cell_class, cell_names, cell_options, register_cell, registry
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.data.source import Batches
from rnnbench.data.task import Batch, Task
from rnnbench.errors import UserError
from rnnbench.runs import CURVES, WEIGHTS, RunDirectory
from rnnbench.training import GRUModule, LSTMModule, RNNModule, SequenceModule, module_class, module_for, train
from rnnbench.training.metrics import LikelihoodMetric

TOKENS = Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)
TORCH: dict[str, type[nn.RNNBase]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))


@pytest.fixture
def short_text(tmp_path: Path, small_text: str) -> str:
    """A file of 3,000 characters: 10 steps an epoch at B = T = 16."""
    path = tmp_path / "short.txt"
    path.write_text(small_text[:3000], encoding="utf-8")
    return str(path)


def plain_loop(run: Run) -> tuple[dict[str, Tensor], list[float]]:
    """The same training without rnnbench's model, module and optimiser: weights by our names, and gradient norms."""
    data = SequenceDataModule(run.data, run.seed, run.steps)
    size, width = data.task.input_size, run.model.hidden_size
    torch.manual_seed(run.seed)
    embedding = nn.Embedding(size, width)
    rnn = TORCH[run.cell.name](width, width, batch_first=True)
    readout = nn.Linear(width, size)
    parameters = [*embedding.parameters(), *rnn.parameters(), *readout.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=run.optim.lr)
    state: Any = None
    norms, resets = [], []
    for step in range(run.steps):
        x, y, reset, *_ = data.source.train_batch(step)
        resets.append(reset)
        out, state = rnn(embedding(x), None if reset else state)
        state = tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()
        loss = F.cross_entropy(readout(out).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        limit = math.inf if run.optim.clip is None else run.optim.clip
        norms.append(float(nn.utils.clip_grad_norm_(parameters, limit)))
        optimizer.step()
    assert resets == [True] + 9 * [False] + [True] + (run.steps - 11) * [False], (
        "the edge of an epoch is not where it was"
    )
    weights = {"input.weight": embedding.weight, "readout.weight": readout.weight, "readout.bias": readout.bias}
    weights |= {f"stack.layers.0.{name.removesuffix('_l0')}": value for name, value in rnn.named_parameters()}
    return {name: value.detach() for name, value in weights.items()}, norms


@pytest.mark.parametrize("clip", [0.2, None])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_train_is_the_plain_loop(short_text: str, tmp_path: Path, cell: str, clip: float | None) -> None:
    """13 steps over an epoch's edge: the same weights, and the norms before clipping are the plain loop's."""
    run = Run(
        cell=CellConfig(cell),
        model=ModelConfig(hidden_size=12),
        data=DataConfig(path=short_text, seq_len=16, batch_size=16),
        optim=OptimConfig(lr=0.02, clip=clip),
        budget=BudgetConfig(steps=13, evals=3),
        probes=ProbeConfig(seq_len=8, batch_size=2),
        seed=4,
    )
    result = train(run, tmp_path, wandb="disabled")
    directory = RunDirectory(tmp_path, "single", run.id)
    ours = torch.load(directory.path(WEIGHTS), weights_only=True)["model"]
    theirs, norms = plain_loop(run)
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value, rtol=0, atol=1e-5, msg=name)
    np.testing.assert_allclose(np.load(directory.path(CURVES))["grad_norm"], norms, rtol=1e-4)
    if clip is not None:
        assert max(norms) > clip, "nothing was clipped: the test showed nothing"
        share = float(np.mean(np.array(norms) > clip))
        assert result["metrics"]["grad_norm/clipped_share"] == pytest.approx(share)


@pytest.mark.parametrize("name", cell_names())
def test_a_modules_arguments_are_its_cells_options(name: str) -> None:
    """Names, types and defaults, for every cell: neither side can get an option that the other lacks."""
    cls, cell = module_class(name), cell_class(name)
    assert issubclass(cls, SequenceModule)
    assert cls.__name__ == f"{cell.__name__}Module"
    assert module_class(name) is cls
    parameters, hints = inspect.signature(cls).parameters, get_type_hints(cls.__init__)
    own = {key: (item.default, hints[key]) for key, item in parameters.items() if key not in ("task", "shared")}
    cell_hints = get_type_hints(cell.__init__)
    assert own == {key: (item.default, cell_hints[key]) for key, item in cell_options(cell).items()}
    assert type(cls(TOKENS, model=ModelConfig(hidden_size=8)).model.cells[0]) is cell


def test_the_classics_have_their_names() -> None:
    assert (RNNModule, LSTMModule, GRUModule) == tuple(module_class(name) for name in ("rnn", "lstm", "gru"))
    with pytest.raises(TypeError, match="forgetbias"):
        LSTMModule(TOKENS, forgetbias=1.0)
    with pytest.raises(UserError, match='unknown cell "lsmt"'):
        module_class("lsmt")


@pytest.fixture
def odd_cell() -> Iterator[str]:
    """A third party's cell."""

    @register_cell("odd")
    class Odd(Cell):
        def __init__(self, input_size: int, hidden_size: int, gain: float = 1.0) -> None:
            super().__init__(input_size, hidden_size)
            self.gain = gain
            self.weight = nn.Parameter(torch.empty(hidden_size, input_size))
            self.reset_parameters()

        def drive(self, x: Tensor) -> Tensor:
            return x @ self.weight.t()

        def step(self, u: Tensor, s: Tensor) -> Tensor:
            return torch.sin(self.gain * s + u)

    yield "odd"
    del registry._CELLS["odd"]


def test_the_module_for_a_run(odd_cell: str) -> None:
    for name in ("rnn", "lstm", "gru", odd_cell):
        run = Run(cell=CellConfig(name), model=ModelConfig(hidden_size=4), budget=BudgetConfig(steps=3))
        module = module_for(run, TOKENS)
        assert type(module.model.cells[0]) is cell_class(name)
        assert (module.total_steps, module.optim) == (3, run.optim)
    small = ModelConfig(hidden_size=4)
    lstm = module_for(Run(cell=CellConfig("lstm", {"forget_bias": 3}), model=small), TOKENS).model.cells[0]
    assert torch.equal((lstm.bias_ih + lstm.bias_hh)[4:8], torch.full((4,), 3.0))
    assert module_for(Run(cell=CellConfig(odd_cell, {"gain": 2.0}), model=small), TOKENS).model.cells[0].gain == 2.0
    assert module_class(odd_cell)(TOKENS, gain=3.0, model=small).model.cells[0].gain == 3.0
    chrono = Run(cell=CellConfig("gru"), model=ModelConfig(256, init="chrono"), data=DataConfig(seq_len=5))
    gru = module_for(chrono, TOKENS).model.cells[0]
    assert math.log(3.5) < float((gru.bias_ih + gru.bias_hh)[256:512].max()) <= math.log(4), "span is not seq_len"
    for wrong in (CellConfig("lstm", {"forgetbias": 1.0}), CellConfig(odd_cell, {"gian": 1.0})):
        with pytest.raises(UserError, match="unknown option of the cell .* Did you mean"):
            module_for(Run(cell=wrong, model=small), TOKENS)
    with pytest.raises(UserError, match="cell.forget_bias must be float, got 'much'"):
        module_for(Run(cell=CellConfig("lstm", {"forget_bias": "much"}), model=small), TOKENS)


def remembering(module: SequenceModule) -> SequenceModule:
    """Weights that make the state matter, so that losing it shows."""
    with torch.no_grad():
        module.model.readout.weight.mul_(6)
        for name, parameter in module.model.stack.layers.named_parameters():
            if "weight" in name:
                parameter.mul_(2)
    return module


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_evaluation_by_hand(tmp_path: Path, small_text: str, cell: str) -> None:
    """Trainer.test scores the test part as one long stream, and beside it as windows; every character once."""
    seq_len = 8
    path = tmp_path / "long.txt"
    generator = torch.Generator().manual_seed(1)
    # Words in random order: a periodic text would hide a shift.
    words = small_text[:170].split()
    path.write_text(" ".join(words[i] for i in torch.randint(len(words), (14_000,), generator=generator)))
    data = SequenceDataModule(DataConfig(path=str(path), seq_len=seq_len, batch_size=8))
    torch.manual_seed(0)
    module = remembering(SequenceModule(data.task, cell, ModelConfig(hidden_size=12))).eval()
    text = path.read_text()
    assert data.source.vocabulary is not None
    ids = data.source.vocabulary.encode(text[len(text) * 9 // 10 + len(text) // 20 :])
    assert next(iter(data.test_dataloader())).x.shape[0] > 2, "one stream only: the test shows nothing"

    counts: list[int] = []
    compute = module.metric.compute
    module.metric.compute = lambda: (counts.append(int(module.metric.count)), compute())[1]  # type: ignore[method-assign]
    tester = lightning.Trainer(logger=False, **QUIET)
    (found,) = tester.test(module, datamodule=data, verbose=False)
    (windows,) = tester.test(module, data.evaluation("test", stateful=False), verbose=False)
    assert counts == [len(ids) - 1, len(ids) - 1]

    with torch.inference_mode():
        out, _ = module.model(ids[None, :-1])
        stream = F.cross_entropy(out[0], ids[1:])
        total = torch.zeros(())
        for begin in range(0, len(ids) - 1, seq_len):
            window = ids[begin : begin + seq_len + 1]
            out, _ = module.model(window[None, :-1])
            total += F.cross_entropy(out[0], window[1:], reduction="sum")
    stateful, stateless = float(stream) / math.log(2), float(total) / (len(ids) - 1) / math.log(2)
    assert abs(stateful - stateless) > 0.01, "the state does not matter here: the test shows nothing"
    assert found["test/bpc"] == pytest.approx(stateful, abs=1e-3)
    assert windows["test/bpc"] == pytest.approx(stateless, abs=1e-4)
    assert found["test/perplexity"] == pytest.approx(2 ** found["test/bpc"], rel=1e-4)


def test_a_row_is_the_mean_of_the_steps_since_the_last_one() -> None:
    """Of eleven steps rows after 4, 8 and 11, the last one of three. With weights that never change each step's loss
    and norm is known.
    """
    torch.manual_seed(0)
    module = SequenceModule(TOKENS, "gru", ModelConfig(hidden_size=5), OptimConfig("sgd", lr=1e-30), 11, log_every=4)
    x = torch.randint(11, (11, 4, 7))
    batches = [Batch(one[:, :-1], one[:, 1:], reset=True) for one in x]
    logger = Rows()
    trainer = lightning.Trainer(max_steps=11, logger=logger, **QUIET)
    trainer.fit(module, Batches(lambda step: batches[step], 11))
    with torch.no_grad():
        losses = [float(F.cross_entropy(module.model(b.x)[0].flatten(0, 1), b.y.flatten())) for b in batches]
    norms = module.gradient_norms()
    for begin, end in ((0, 4), (4, 8), (8, 11)):
        row = logger.rows[end]
        assert row["train/nll"] == pytest.approx(np.mean(losses[begin:end]), rel=1e-5)
        assert row["train/bpc"] == pytest.approx(row["train/nll"] / math.log(2))
        assert row["grad_norm/mean"] == pytest.approx(float(norms[begin:end].mean()))
        assert row["grad_norm/max"] == float(norms[begin:end].max())
        assert row["tokens"] == end * 4 * 6
    assert module.first_loss == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_a_validation_that_is_no_number_is_never_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """A NaN compares as neither better nor worse: it must not stay for ever, nor take a number's place. Of two that are
    equal the first is kept.
    """
    module = SequenceModule(TOKENS, "rnn", ModelConfig(hidden_size=3), keep_best=True)
    monkeypatch.setattr(module, "log_dict", lambda figures: None)
    assert isinstance(module.metric, LikelihoodMetric)
    kept = []
    for step, score in enumerate([math.nan, math.inf, 3.0, math.nan, 2.0, 2.0, 2.5, math.inf]):
        with torch.no_grad():
            for weight in module.model.parameters():
                weight.fill_(step)
        module.metric.nll_sum, module.metric.count = torch.tensor(10 * score).double(), torch.tensor(10)
        module._log_scores("val")
        kept.append(None if module.best is None else int(next(iter(module.best[1].values())).flatten()[0]))
    assert kept == [None, None, 2, 2, 4, 4, 4, 4]
    assert module.best is not None
    assert module.best[0] == pytest.approx(2 / math.log(2))


def test_the_results_have_the_same_figures(short_text: str, tmp_path: Path) -> None:
    """`train` scores as Trainer.test does."""
    run = Run(
        model=ModelConfig(hidden_size=8),
        data=DataConfig(path=short_text, seq_len=16, batch_size=8),
        budget=BudgetConfig(steps=0),
    )
    metrics = train(run, tmp_path, wandb="disabled")["metrics"]
    data = SequenceDataModule(run.data, run.seed)
    torch.manual_seed(run.seed)
    module = module_for(run, data.task)
    (found,) = lightning.Trainer(logger=False, **QUIET).test(module, datamodule=data, verbose=False)
    assert len(found) == 3
    for name, value in found.items():
        assert metrics[name] == pytest.approx(value, rel=1e-6), name


def test_a_plain_lightning_user(short_text: str, tmp_path: Path) -> None:
    """The module with a Trainer of one's own, and no word on how long the training is: rows, validation, test."""
    import pandas as pd

    steps = 130  # past the second row
    data = SequenceDataModule(DataConfig(path=short_text, seq_len=16, batch_size=8), steps=steps)
    torch.manual_seed(0)
    module = LSTMModule(data.task, forget_bias=1.0, model=ModelConfig(hidden_size=16), optim=OptimConfig(lr=0.01))
    trainer = lightning.Trainer(max_steps=steps, logger=CSVLogger(tmp_path), default_root_dir=tmp_path, **QUIET)
    trainer.fit(module, datamodule=data)
    assert trainer.global_step == steps
    assert float(trainer.callback_metrics["val/bpc"]) < math.log2(data.task.input_size)
    assert module.gradient_norms().shape == (steps,)
    assert bool((module.gradient_norms() > 0).all())
    rows = pd.read_csv(next(tmp_path.rglob("metrics.csv")))
    train_rows = rows.dropna(subset="train/bpc")
    assert list(train_rows["step"]) == [50, 100]
    assert train_rows["train/bpc"].is_monotonic_decreasing
    (found,) = trainer.test(module, datamodule=data, verbose=False)
    assert set(found) == {"test/nll", "test/bpc", "test/perplexity"}


def test_a_series_trains_and_is_figures_of(tmp_path: Path) -> None:
    path = tmp_path / "wave.csv"
    path.write_text("y\n" + "\n".join(f"{math.sin(0.3 * i) + 0.01 * (i % 7):.6f}" for i in range(600)))
    data = SequenceDataModule(DataConfig(path=str(path), seq_len=16, batch_size=16, horizon=2), steps=120)
    torch.manual_seed(0)
    module = GRUModule(data.task, model=ModelConfig(hidden_size=16), optim=OptimConfig(lr=0.01), total_steps=120)
    trainer = lightning.Trainer(max_steps=120, max_epochs=1, logger=False, **QUIET)
    trainer.fit(module, datamodule=data)
    (found,) = trainer.test(module, datamodule=data, verbose=False)
    assert set(found) == {"test/mse", "test/mae", "test/mase"}
    assert found["test/mse"] < 0.2 < data.references()["persistence_mse"]

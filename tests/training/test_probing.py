"""Probes around a training: they see what is there, disturb nothing, and say what they cost."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.data.datamodule import SequenceDataModule
from rnnbench.data.synthetic.drawn import DrawnData
from rnnbench.data.synthetic.formal_languages import DyckData
from rnnbench.data.task import Batch
from rnnbench.errors import UserError
from rnnbench.models import build
from rnnbench.models.loss import loss
from rnnbench.probes.curve import falls_to
from rnnbench.probes.gradient_flow import measure_gradient_flow, shuffled
from rnnbench.runs import CURVES, WEIGHTS, RunDirectory
from rnnbench.training import train
from rnnbench.training.probing import FLOWS, Probing
from rnnbench.training.sequence_module import module_for

QUIET = ProbeConfig(seq_len=24, batch_size=3)
Loud = tuple[Run, Path, dict[str, Any]]
LOUD = dataclasses.replace(QUIET, every=7, lyapunov=2, detail=True)


def text_run(text_file: Path, probes: ProbeConfig, cell: str = "gru") -> Run:
    return Run(
        cell=CellConfig(cell),
        model=ModelConfig(hidden_size=16, num_layers=2, dropout=0.3),
        data=DataConfig(path=str(text_file), seq_len=16, batch_size=4),
        budget=BudgetConfig(steps=30, evals=3),
        probes=probes,
    )


@pytest.fixture(scope="module")
def loud(small_text: str, tmp_path_factory: pytest.TempPathFactory) -> Loud:
    """A run with all probes, its folder and its result."""
    root = tmp_path_factory.mktemp("loud")
    (root / "small.txt").write_text(small_text, encoding="utf-8")
    run = text_run(root / "small.txt", LOUD)
    return run, root, train(run, root, wandb="disabled")


def curves_of(run: Run, root: Path) -> dict[str, np.ndarray]:
    with np.load(RunDirectory(root, "single", run.id).path(CURVES)) as found:
        return dict(found)


def test_along_the_training(loud: Loud) -> None:
    run, root, result = loud
    directory, curves = RunDirectory(root, "single", run.id), curves_of(run, root)
    assert curves["along/step"].tolist() == [0, 7, 14, 21, 28, 30]
    for flow in ("gradient_flow", "gradient_flow_noise"):
        assert curves[f"along/{flow}"].shape == (6, 24)
        assert np.array_equal(curves[f"along/{flow}"][0], curves[f"init/{flow}"])
        assert np.array_equal(curves[f"along/{flow}"][-1], curves[f"final/{flow}"])
    assert not np.array_equal(curves["along/gradient_flow"], curves["along/gradient_flow_noise"])
    rows = [row for row in directory.history() if "probe/half_life" in row]
    assert [row["step"] for row in rows] == [7, 14, 21, 28]
    assert all(row["probe/lyapunov_1"] < 0 for row in rows)
    for row, *flows in zip(rows, *(curves[f"along/{flow}"][1:-1] for flow in FLOWS), strict=True):
        for flow, begins in zip(flows, FLOWS.values(), strict=True):
            assert float(row[f"probe/{begins}half_lag"]) == falls_to(flow, 0.5)
            assert row[f"probe/{begins}decades"] == pytest.approx((flow[-1] - flow[0]) / math.log(10))
    assert result["metrics"]["probes/added_share"] * result["metrics"]["throughput/train_seconds"] > 0
    assert result["metrics"]["probes/seconds"] > 0
    assert result["metrics"]["throughput/step_ms"] > 0
    assert result["metrics"]["throughput/step_cpu_ms"] > 0


@pytest.mark.parametrize(("cell", "parts"), [("lstm", ("h", "c")), ("gru", ())])
def test_what_is_kept_of_data_and_noise(text_file: Path, tmp_path: Path, cell: str, parts: tuple[str, ...]) -> None:
    """Whole curves in float64; spread and parts in float32, and of dead samples nothing where there is none."""
    run = dataclasses.replace(text_run(text_file, QUIET, cell), budget=BudgetConfig(steps=3, evals=1))
    metrics, curves = train(run, tmp_path, wandb="disabled")["metrics"], curves_of(run, tmp_path)
    names = {name for name in curves if "gradient_flow" in name}
    wanted = {f"{when}/gradient_flow{noise}" for when in ("init", "final") for noise in ("", "_noise")}
    assert names == wanted | {f"{name}_{beside}" for name in wanted for beside in ("sd", *parts)}
    assert {name for name in names if curves[name].dtype == np.float64} == wanted
    assert {curves[name].dtype for name in names - wanted} == {np.dtype(np.float32)}
    assert all(curves[name].shape == (24,) for name in names)
    numbers = {"lags", "half_lag", "hundredth_lag", "horizon", "beyond_10", "max_gain", "decades", "dead_share"}
    numbers |= {"log10_gain_at_last_lag", "half_life", "half_life_r2", "half_life_first", "half_life_last"}
    numbers |= {f"{number}_{part}" for part in parts for number in ("half_lag", "hundredth_lag")}
    for when in ("init", "final"):
        found = {name.removeprefix(f"{when}/") for name in metrics if name.startswith(f"{when}/")}
        flows = {name for name in found if not name.startswith("context_")}
        assert flows == numbers | {f"noise_{number}" for number in numbers}
        assert metrics[f"{when}/lags"] == 23
        assert metrics[f"{when}/dead_share"] == 0


def test_dead_samples_are_told_of(text_file: Path, tmp_path: Path) -> None:
    """Relus all off, by their biases: there is no gradient at any lag but the last state's own."""
    run = text_run(text_file, QUIET, "irnn")
    data = SequenceDataModule(run.data)
    module = module_for(run, data.task)
    with torch.no_grad():
        for cell in module.model.cells:
            dict(cell.named_parameters())["bias_hh"].fill_(-10.0)
    metrics, curves = Probing(run.probes, module, data, 30).measure("init")
    assert (metrics["init/dead_share"], metrics["init/noise_dead_share"]) == (1, 1)
    assert (metrics["init/half_lag"], metrics["init/horizon"]) == (1, 0)
    assert curves["init/gradient_flow"].tolist()[1:] == [-math.inf] * 23
    assert curves["init/gradient_flow_dead"].tolist() == [0.0] + [1.0] * 23
    assert curves["init/gradient_flow_noise_dead"].dtype == np.float32


def test_a_row_is_what_the_weights_of_that_step_give(loud: Loud, tmp_path: Path) -> None:
    """The last measurement along a run of 30 steps is at 28: a run that ends there has the same curve at its end."""
    run, root, _ = loud
    short = dataclasses.replace(run, budget=BudgetConfig(steps=28, evals=3), probes=QUIET)
    train(short, tmp_path, wandb="disabled")
    along, ends = curves_of(run, root), curves_of(short, tmp_path)
    for flow in FLOWS:
        assert np.array_equal(along[f"along/{flow}"][4], ends[f"final/{flow}"])


def test_probing_disturbs_nothing(loud: Loud, tmp_path: Path) -> None:
    """Dropout draws random numbers at every step: they are the same with every probe on and with none."""
    run, root, _ = loud
    silent = dataclasses.replace(run, probes=dataclasses.replace(QUIET, gradient_flow=False))
    train(silent, tmp_path, wandb="disabled")
    ours, theirs = (
        torch.load(RunDirectory(folder, "single", one.id).path(WEIGHTS), weights_only=True)["model"]
        for one, folder in ((run, root), (silent, tmp_path))
    )
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


def test_detail(loud: Loud) -> None:
    run, root, result = loud
    metrics, curves = result["metrics"], curves_of(run, root)
    for when in ("init", "final"):
        assert curves[f"{when}/gradient_share"].sum() == pytest.approx(1)
        assert curves[f"{when}/saliency"].shape == curves[f"{when}/gradient_flow_averaged"].shape == (24,)
        assert curves[f"{when}/gates/layer2/update"].sum() == 3 * 24 * 16
        assert 0 < metrics[f"{when}/gates/layer2/update/mean"] < 1
        assert curves[f"{when}/lyapunov"].shape == (2,)
        assert metrics[f"{when}/lyapunov_1"] == curves[f"{when}/lyapunov"][0]
        assert curves[f"{when}/singular_lags"].tolist() == [1, 2, 4, 8, 16]
        # No loss can fade more slowly than the largest singular value of the way back lets it.
        largest = curves[f"{when}/singular_values"][:, 0]
        assert (np.diff(largest) < 0.5).all()
    assert curves["final/context_lengths"][-1] == 24
    assert metrics["final/context_horizon"] in curves["final/context_lengths"]


def test_detail_leaves_out_what_does_not_apply(tmp_path: Path) -> None:
    """Of a model that reads both ways, pools, and has one target a sequence."""
    run = Run(
        cell=CellConfig("rnn"),
        model=ModelConfig(hidden_size=8, bidirectional=True, pooling="attention"),
        data=DataConfig("adding", seq_len=12, batch_size=4),
        budget=BudgetConfig(steps=10, evals=1),
        probes=dataclasses.replace(LOUD, every=5),
    )
    train(run, tmp_path, wandb="disabled")
    names = set(curves_of(run, tmp_path))
    assert names >= {"final/saliency", "final/lyapunov", "along/gradient_flow", "final/singular_values"}
    assert not [name for name in names if "share" in name or "averaged" in name or "gates" in name or "context" in name]


def test_the_batch_is_the_data_sets_own(loud: Loud) -> None:
    run, root, _ = loud
    data = SequenceDataModule(run.data)
    torch.manual_seed(run.seed)
    model = build(data.task, run.cell, run.model, run.data.seq_len)
    batch = data.probe_batch(24, 3)
    batch = Batch(batch.x, batch.y)
    for name, one in (("gradient_flow", batch), ("gradient_flow_noise", shuffled(batch))):
        flow = measure_gradient_flow(model, one, data.task)
        np.testing.assert_array_equal(curves_of(run, root)[f"init/{name}"], flow.mean)


def test_every_probed_loss_is_one_that_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of brackets: those sequences at whose last step nothing is asked are not measured as if it were."""
    run = Run(
        model=ModelConfig(hidden_size=8),
        data=DataConfig("dyck", seq_len=12, batch_size=4),
        budget=BudgetConfig(steps=2, evals=1),
        probes=dataclasses.replace(LOUD, every=1),
    )
    train(run, tmp_path, wandb="disabled")
    curves, data = curves_of(run, tmp_path), SequenceDataModule(run.data)
    assert curves["along/gradient_flow"].shape == (3, 25)
    torch.manual_seed(run.seed)
    model = build(data.task, run.cell, run.model, run.data.seq_len).double()
    batch = data.probe_batch(24, 3)
    tap = torch.zeros(3, 25, 2, 8, dtype=torch.float64, requires_grad=True)
    out, _ = model(batch.x, taps=[tap])
    (gradient,) = torch.autograd.grad(loss(out[:, -1], Batch(batch.x, batch.y[:, -1]), data.task), tap)
    by_hand = (3 * gradient).flatten(2).norm(dim=2).flip(1).log().mean(0)
    np.testing.assert_allclose(curves["init/gradient_flow"], by_hand.numpy(), atol=1e-9)

    monkeypatch.setattr(DyckData, "probe_batch", DrawnData.probe_batch)
    with pytest.raises(UserError, match="whose last step is scored"):
        Probing(dataclasses.replace(run.probes, batch_size=64), module_for(run, data.task), data, 2).measure("init")


def test_probes_need_gradient_flow() -> None:
    with pytest.raises(UserError, match=r"probes.every goes with probes.gradient_flow"):
        ProbeConfig(gradient_flow=False, every=10)

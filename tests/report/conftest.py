"""Synthetic results: folders as the trainer leaves them, with numbers that a test can predict."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib.figure
import matplotlib.text
import numpy as np
import pytest
from support.timings import write_job

from rnnbench.catalog import DATA_SETS
from rnnbench.config import PROTOCOL, BudgetConfig, CellConfig, DataConfig, OptimConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.report.results import read
from rnnbench.report.task_families import TASK_FAMILIES
from rnnbench.runs import read_rates, setting_of, write_rates

ENVIRONMENT = {
    "commit": "0123456789abcdef",
    "python": "3.11",
    "torch": "2.13.0",
    "lightning": "2.6.6",
    "device": "cpu",
    "device_name": "x86_64",
    "threads": 1,
    "backend": "torch",
}
#: Learning rates that were tried for every setting.
GRID = (1e-3, 2e-3, 4e-3)
ERRORS = {"failed": "OutOfMemoryError", "oom": "out of memory", "timeout": "too slow"}
BASE = {"rnn": 2.45, "lstm": 2.18, "gru": 2.22}
RATE = {"rnn": -0.4, "lstm": -0.05, "gru": -0.02}


def text_metrics(run: Run) -> dict[str, Any]:
    """What a text run measures; the bpc depends on cell, T and seed by a formula."""
    name, length, seed = run.cell.name, run.data.seq_len, run.seed
    bpc = BASE.get(name, 2.3) - 0.02 * math.log2(length) + 0.004 * math.sin(7.3 * seed + length)
    half_life = -math.log(2) / RATE.get(name, -0.2)
    return {
        "test/bpc": bpc,
        "test/nll": bpc * math.log(2),
        "test/perplexity": 2**bpc,
        "test/bpc_stateless": bpc + 1 / length,
        "throughput/tokens_per_second": 40_000 / (1 + len(name)) + 50 * length,
        "memory/peak_mib": 300.0,
        "model/parameters": 41_000 + 1000 * len(name),
        "model/matched_parameters": 40_000,
        "model/flops_per_token": 98_304,
        "model/state_size": 256 if name == "lstm" else 128,
        "init/lags": 256,
        "final/lags": 256,
        "init/half_lag": 2.0,
        "init/hundredth_lag": 8.0,
        "final/half_lag": math.ceil(half_life),
        "final/hundredth_lag": "inf" if name == "gru" and length == 64 else math.ceil(6.64 * half_life),
        "reference/uniform_bpc": math.log2(63),
        "reference/unigram_bpc": 4.21,
        "reference/xz_bpc": 1.93,
    }


def choose_rate(study: Path, run: Run) -> None:
    """Note in the study's folder that this run's learning rate was chosen from three, half and twice as large."""
    lr = run.optim.lr
    rates = [{"lr": one, "score": 2 + abs(one - lr), "lost": 0, "trials": 1} for one in GRID]
    config = run.to_dict()
    choice = {"about": {"cell": run.cell.label}, "lr": lr, "at_edge": False, "found": True, "metric": "val/bpc"}
    study.mkdir(parents=True, exist_ok=True)
    known = read_rates(study)
    if known.get(setting_of(config), {}).get("lr") != lr:
        del config["optim"]["lr"]
        write_rates(study, [*known.values(), choice | {"rates": rates, "config": config}])


def write(folder: Path, result: Mapping[str, Any]) -> Path:
    """One run's result.json."""
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(result))
    return folder


def write_text_run(
    study: Path,
    cell: str | dict[str, Any],
    length: int,
    seed: int,
    status: str = "done",
    metrics: Mapping[str, Any] | None = None,
    full: bool = True,
    lr: float = 2e-3,
    environment: Mapping[str, Any] | None = None,
    laboratory: bool = False,
    tuned: bool = True,
    protocol: int = PROTOCOL,
    truncate: int | None = None,
    data_seed: int | None = None,
) -> Path:
    """A text run's folder; full: with curves and history beside result.json; metrics replace the formula's.

    laboratory: with what the probes find along the training and inside the cell, too. tuned: its learning rate was
    chosen for its setting.
    """
    run = Run(
        CellConfig.parse(cell),
        data=DataConfig(seq_len=length, batch_size=2048 // length),
        optim=OptimConfig(lr=lr, truncate=truncate),
        budget=BudgetConfig(tokens=1_500_000),
        seed=seed,
        data_seed=data_seed,
    )
    if tuned:
        choose_rate(study, run)
    values = {"done": text_metrics(run), "diverged": text_metrics(run) | {"test/bpc": 6.5}}.get(status, {})
    values = values | dict(metrics or {})
    folder = write(
        study / run.id,
        {
            "id": run.id,
            "kind": "train",
            "protocol": protocol,
            "status": status,
            "run": run.to_dict(),
            "metrics": values,
            "curves": "curves.npz",
            "environment": {**(ENVIRONMENT if values else {}), **(environment or {})},
            "started": "2026-11-23T22:00:00",
            "seconds": 12.5,
        }
        | ({} if status in ("done", "diverged") else {"error": f"{ERRORS[status]}: 3 of 2"}),
    )
    if full and status in ("done", "diverged"):
        rng = np.random.default_rng([seed, length])
        lags, name = np.arange(257), run.cell.name
        noise = 0.02 * rng.standard_normal(257).cumsum() - 3.0
        flow = {
            "init/gradient_flow": (-0.5 + 0.1 * len(name) / 4) * lags + noise,
            "final/gradient_flow": 2.5 * RATE.get(name, -0.2) * np.sqrt(lags) + RATE.get(name, -0.2) * lags / 4 + noise,
        }
        if laboratory:
            flow |= inside(name, flow, run.steps)
        np.savez(folder / "curves.npz", **flow, grad_norm=np.abs(rng.standard_normal(50)))
        rows: list[dict[str, Any]] = []
        if laboratory:
            rows += [{"step": int(s), "probe/hundredth_lag": 8 + 5e-3 * s + seed} for s in flow["along/step"][1:-1]]
        for step in range(0, run.steps + 1, max(run.steps // 8, 1)):
            tokens = step * 2048
            bpc = values["test/bpc"] + 3 * math.exp(-tokens / 2.5e5)
            rows += [{"step": step, "tokens": tokens, "train/bpc": bpc - 0.05}, {"step": step, "val/bpc": bpc}]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "history.jsonl").write_text(text + '{"step": 99, "val/b')  # cut off by a crash
    return folder


def inside(name: str, flow: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """What the probes add to a run's curves: along the training the flow goes from its first curve to its last."""
    share = np.linspace(0, 1, 11)[:, None]
    first, last = (flow[f"{when}/gradient_flow"] for when in ("init", "final"))
    lags = 2 ** np.arange(8)
    out: dict[str, Any] = {
        "along/step": np.round(steps * share[:, 0]),
        "along/gradient_flow": (1 - share) * first + share * last,
        "final/singular_lags": lags,
        "final/singular_values": RATE.get(name, -0.2) * lags[:, None] * np.array([0.5, 1.0, 2.0, 4.0]),
    }
    for when, rate in (("init", -0.3), ("final", -0.1)):
        weights = np.exp(rate * np.arange(257))
        out |= {
            f"{when}/saliency": rate * np.arange(257.0) + 0.2 * np.sin(np.arange(257)),
            f"{when}/gradient_share": weights / weights.sum(),
            f"{when}/lyapunov": rate - 0.05 * np.arange(10.0),
            f"{when}/gradient_flow_averaged": -0.002 * np.arange(257.0),
        }
        if name != "rnn":
            bins = np.arange(20)
            out |= {
                f"{when}/gates/{g}": 1e4 * np.exp(-((bins - at) ** 2) / 9) for g, at in (("keep", 14), ("write", 6))
            }
    return out


def write_task_run(
    study: Path,
    data: str | DataConfig,
    metrics: Mapping[str, Any],
    cell: str = "gru",
    seed: int = 0,
    status: str = "done",
    lr: float = OptimConfig().lr,
) -> Path:
    """A run of any data set; metrics: its own and the references'. Its history is of its primary, if it has that."""
    config = DataConfig(data) if isinstance(data, str) else data
    run = Run(CellConfig(cell), data=config, optim=OptimConfig(lr=lr), budget=BudgetConfig(tokens=100_000), seed=seed)
    folder = write(
        study / run.id,
        {
            "id": run.id,
            "kind": "train",
            "protocol": PROTOCOL,
            "status": status,
            "run": run.to_dict(),
            "metrics": {"throughput/train_seconds": 20.4, "model/parameters": 5000} | dict(metrics),
            "environment": ENVIRONMENT,
            "started": "2026-11-23T22:00:00",
            "seconds": 25.0,
        },
    )
    metric = TASK_FAMILIES[DATA_SETS[str(config.name)].kind].primary.metric if config.name in DATA_SETS else "none"
    if (value := metrics.get(f"test/{metric}")) is not None:
        rows = [{"step": step, f"val/{metric}": value + 1 / (1 + step)} for step in range(0, 50, 10)]
        (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


@pytest.fixture(scope="session")
def whole_text_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`text_study`, written once: not to be changed."""
    study = tmp_path_factory.mktemp("once") / "seqlen"
    for cell in ("rnn", "lstm", "gru"):
        for length in (16, 32, 64):
            for seed in range(5):
                lost = {3: "diverged", 4: "failed"}.get(seed, "done") if (cell, length) == ("rnn", 64) else "done"
                write_text_run(study, cell, length, seed, lost)
    return study


@pytest.fixture
def text_study(tmp_path: Path, whole_text_study: Path) -> Path:
    """Three cells × T 16, 32, 64 × five seeds, where one rnn run of T = 64 diverged and one failed."""
    return Path(shutil.copytree(whole_text_study, tmp_path / "runs" / "seqlen"))


@pytest.fixture
def timing_study(tmp_path: Path) -> Path:
    """Timing jobs at three lengths."""
    study = tmp_path / "runs" / "speed"
    for length in (32, 128, 512):
        job = Timing(cells=(CellConfig("lstm"), CellConfig("gru")), seq_len=length)
        write_job(study, job, ("loop", "torch"))
    return study


@pytest.fixture
def text_run() -> Callable[..., Path]:
    """`write_text_run`, for tests that write their runs."""
    return write_text_run


@pytest.fixture
def task_run() -> Callable[..., Path]:
    """`write_task_run`, for tests that write their runs."""
    return write_task_run


@pytest.fixture
def choose_rates() -> Callable[[Path], None]:
    """Note beside a study's runs that the learning rate of each was chosen from three."""

    def choose(folder: Path) -> None:
        for result in read([folder]):
            choose_rate(folder, Run.from_dict(result.run))

    return choose


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch) -> list[matplotlib.figure.Figure]:
    """Every figure that would be written to disk. Of each its words are, as an SVG has them: drawing takes a second."""
    figures: list[matplotlib.figure.Figure] = []

    def keep(figure: matplotlib.figure.Figure, path: Path, **options: object) -> None:
        figures.append(figure)
        path.write_text("".join(f"<!-- {text.get_text()} -->\n" for text in figure.findobj(matplotlib.text.Text)))

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    monkeypatch.setattr(matplotlib.figure.Figure, "draw_without_rendering", lambda self: None)
    return figures

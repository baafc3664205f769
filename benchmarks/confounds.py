"""Seven claims that this project once made, each as it was made and with its confound taken out.

    python benchmarks/confounds.py

does the runs that are not done yet (in runs/confounds), measures what needs no training, and prints the table.

Some twenty minutes on two cores, resumable like any sweep. The claims were measured under protocol 1; here they are
measured again, small: 0.6 M characters of KJV, three seeds. What the longest solvable T is comes from the committed
results of `longest_solvable`.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnnbench.cli.main import main as rnnbench
from rnnbench.config import CellConfig, ModelConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.data.load import load
from rnnbench.data.task import Task
from rnnbench.models.build import build, matched_parameters
from rnnbench.probes.curve import Curve, effective_horizon, falls_to, fit
from rnnbench.probes.gradient_flow import measure_gradient_flow
from rnnbench.report.panels import panels
from rnnbench.report.results import read
from rnnbench.report.significance import kendall
from rnnbench.report.statistics import Group, group
from rnnbench.report.tables.solvable import Solvable, searched
from rnnbench.report.text_blocks import score_by_text
from rnnbench.runs import RunDirectory
from rnnbench.sweep.run_study import Options, run_study
from rnnbench.sweep.scheduler import locally
from rnnbench.sweep.study import Study, find_study
from rnnbench.system import machine
from rnnbench.throughput.measure import measure

ROOT = Path(__file__).resolve().parents[1]
SEARCHES = ROOT / "experiments" / "results" / "quick" / "longest_solvable"
LAGS_THEN, LAGS_NOW = 10, 256

#: A study's groups by panel, cell and length.
Panels = dict[str, dict[tuple[str, int], Group]]


@dataclasses.dataclass(frozen=True)
class Row:
    """A claim as it was made, what it confounded, and what is left when that is the same for all."""

    claim: str
    confound: str
    as_claimed: str
    controlled: str


# --- the runs -------------------------------------------------------------------------------------------------------


def one_rate() -> Study:
    """The rate panel once more, every cell at the same learning rate as it was."""
    (panel,) = (panel for panel in find_study("confounds").panels("quick") if panel.name == "rate")
    return Study("confounds_one_rate", "What one learning rate for all makes of it?", {"quick": lambda: panel.jobs})


def order_fixed() -> Study:
    """An LSTM whose seeds move the initial weights alone, and one whose seeds move the order of the data too."""
    (panel,) = (panel for panel in find_study("confounds").panels("quick") if panel.name == "width")
    run = next(job for job in panel.jobs if isinstance(job, Run) and (job.cell.name, job.data.seq_len) == ("lstm", 64))
    run = dataclasses.replace(run, optim=dataclasses.replace(run.optim, lr=8e-3))
    both = [dataclasses.replace(run, seed=seed, data_seed=order) for seed in range(10) for order in (0, None)]
    return Study("confounds_order", "What do seeds move?", {"quick": lambda: both})


def do_runs(out: Path) -> None:
    """All that is not done yet."""
    status = rnnbench(["sweep", "confounds", "--out", str(out), "--wandb", "disabled"])
    if status:
        sys.exit(status)
    from rich.console import Console

    for study in (one_rate(), order_fixed()):
        outcome = run_study(study, "quick", out, Options(wandb="disabled"), locally, Console())
        if outcome.stopped or outcome.trouble:
            sys.exit(1)


def groups(folder: Path) -> Panels:
    study_panels = panels(read([folder]))
    return {panel.name: {(g.cell, g.length): g for g in group(panel.results, panel.axis)} for panel in study_panels}


def bits(g: Group) -> float:
    estimate = g.estimate("test/bpc")
    assert estimate is not None, g.series
    return estimate.mean


def signed(value: float, digits: int = 3) -> str:
    """``+0.041``, ``−0.002``."""
    return f"{value:+.{digits}f}".replace("-", "−")


# --- the claims -----------------------------------------------------------------------------------------------------


def width(study: Panels) -> Row:
    def behind(panel: str, T: int) -> float:
        return bits(study[panel]["rnn", T]) - bits(study[panel]["lstm", T])

    then, now = ([signed(behind(panel, T)) for T in (16, 64)] for panel in ("width", "weights"))
    return Row(
        "the plain RNN is 0.09 bits behind the LSTM",
        "equal widths give the RNN a third of the weights",
        f"{then[0]}, {then[1]} bits at T 16, 64 (equal widths)",
        f"{now[0]}, {now[1]} bits (equal weights)",
    )


def streams(study: Panels) -> Row:
    then, now = [], []
    for cell in ("lstm", "gru"):
        then.append(bits(study["streams"][cell, 256]) - bits(study["streams"][cell, 16]))
        now.append(bits(study["truncation"][cell, 256]) - bits(study["truncation"][cell, 16]))
    return Row(
        "a longer window of backpropagation does not pay",
        "at constant batch × T a longer T has fewer streams",
        f"T 256 costs lstm {signed(then[0])}, gru {signed(then[1])} bits over T 16",
        f"following gradients 256 steps, not 16, costs {signed(now[0])}, {signed(now[1])} (same batches)",
    )


def learning_rate(study: Panels, one: Path) -> Row:
    same = {g.cell: g for g in group(read([one]))}
    tuned = {cell: study["rate"][cell, 16] for cell in ("rnn", "lstm")}
    return Row(
        "the plain RNN predicts best, ahead of the LSTM by 0.33 bits",
        "one learning rate, 2e-3, for all cells",
        f"lstm − rnn {signed(bits(same['lstm']) - bits(same['rnn']))} bits at 2e-3",
        f"{signed(bits(tuned['lstm']) - bits(tuned['rnn']))} bits, each at its own rate",
    )


def batch(out: Path) -> Row:
    def speeds(shapes: Sequence[tuple[int, int]]) -> list[float]:
        made = []
        for T, B in shapes:
            job = Timing((CellConfig("gru"),), ("nn",), seq_len=T, batch_size=B, hidden_size=128, samples=15)
            measure(job, out, "confounds_speed", "disabled")
            result = RunDirectory(out, "confounds_speed", job.id).result()
            assert result is not None
            made.append(result["metrics"]["gru/nn/tokens_per_second"])
        return made

    lengths = (16, 64, 256, 1024)
    constant = speeds([(T, 2048 // T) for T in lengths])
    fixed = {B: speeds([(T, B) for T in lengths]) for B in (2, 32)}
    flat = ", ".join(f"{values[-1] / values[0]:.2f} at B {B}" for B, values in fixed.items())
    return Row(
        "nn.GRU loses its speed with the length",
        "at constant tokens a longer T has a smaller batch",
        f"tokens/s at T 1024 over T 16: {constant[-1] / constant[0]:.2f} at constant B × T",
        f"{flat}",
    )


def half_life(study: Panels) -> Row:
    def curve(cell: str, name: str) -> Curve:
        curves = study["width"][cell, 64].curves(f"final/{name}")
        mean: Curve = np.mean(curves, axis=0)
        return mean

    fits, reach = [], []
    for cell in ("lstm", "gru"):
        text, noise = curve(cell, "gradient_flow"), curve(cell, "gradient_flow_noise")
        fits.append(f"{cell} {fit(text).half_life:.2f} over all lags, {fit(text, end=16).half_life:.2f} over 1–16")
        reach.append(f"{cell} 1/100 at lag {falls_to(text, 0.01):.0f} on text, {falls_to(noise, 0.01):.0f} on noise, "
                     f"horizon {effective_horizon(text)}, {effective_horizon(noise)}")  # fmt: skip
    return Row(
        "half-lives of gradients rank the cells",
        "a fitted exponential depends on its range, and a reach on what is read",
        "; ".join(fits),
        "; ".join(reach),
    )


def variance(out: Path) -> Row:
    runs = read([out / "confounds_order"])
    (weights,) = group(r for r in runs if r.run.get("data_seed") is not None)
    (both,) = group(r for r in runs if r.run.get("data_seed") is None)
    sd = [np.std(g.values("test/bpc"), ddof=1) for g in (weights, both)]
    text = score_by_text(both)
    assert text is not None
    blocks = np.mean(both.curves("test/nll_blocks"), axis=0)[:-1] / math.log(2)
    naive = 1.96 * blocks.std(ddof=1) / math.sqrt(len(blocks))
    task = Task("many_to_many", "tokens", "symbols", 64, 64, stateful=True, causal=True)
    counts = []
    for embedded in (128, 64):
        with torch.device("meta"):
            model = build(task, CellConfig("lstm"), ModelConfig(hidden_size=128, embedding_size=embedded))
        counts.append((4 * 128 * embedded, matched_parameters(model)))
    return Row(
        "intervals over seeds and over the text; weights matched",
        "all seeds read the same text; blocks of 1000 are alike; an embedding as wide as the state",
        f"sd {sd[0]:.4f} (weights alone); ± {naive:.3f} by blocks of 1000; {counts[0][0] / counts[0][1]:.0%} of an "
        "LSTM's matched weights read 64 symbols",
        f"sd {sd[1]:.4f} (and order); ± {text.text} by blocks grown to {text.block}; {counts[1][0] / counts[1][1]:.0%}",
    )


def predictor() -> Row:
    (search,) = (panel for panel in panels(read([SEARCHES])) if panel.search)
    searches, _ = searched(search.results)
    correlations: dict[int, list[str]] = {LAGS_THEN: [], LAGS_NOW: []}
    for data in dict.fromkeys(one.data for one in searches):
        cells = [one for one in searches if one.data == data and not one.broken]
        bounds = [(float(one.bracket.solved or 0), float(one.bracket.failed or math.inf)) for one in cells]
        for lags, words in correlations.items():
            reach = [_untrained_half_life(one, lags) for one in cells]
            tau = kendall([(value, value) for value in reach], bounds)
            words.append(f"{data.replace('_', ' ')}: τ {'–' if tau.tau is None else signed(tau.tau, 2)}")
    return Row(
        "a far reach at the start does not predict what can be learnt",
        f"half-lives were fitted over {LAGS_THEN - 1} lags, lengths were bounds",
        f"half-life over {LAGS_THEN - 1} lags: {', '.join(correlations[LAGS_THEN])}",
        f"over {LAGS_NOW - 1} lags: {', '.join(correlations[LAGS_NOW])}",
    )


def _untrained_half_life(one: Solvable, lags: int) -> float:
    """The median over five seeds of the fitted half-life before training, over so many time steps of the task."""
    run = Run.from_dict(dict(one.results[0].run))
    short = dataclasses.replace(run, data=dataclasses.replace(run.data, seq_len=LAGS_THEN))
    source = load(short.data)
    probe = source.probe_batch(lags, 16)
    values = []
    for seed in range(5):
        torch.manual_seed(seed)
        model = build(source.task, run.cell, run.model, LAGS_THEN)
        flow = measure_gradient_flow(model, probe, source.task)
        values.append(fit(flow.mean).half_life if math.isfinite(flow.mean[0]) else 0.0)
    return float(np.median(values))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="the runs folder (runs)")
    parser.add_argument("--json", type=Path, help="write the table to this file, too")
    args = parser.parse_args()
    do_runs(args.out)
    study = groups(args.out / "confounds")
    claims: list[Callable[[], Row]] = [
        lambda: width(study),
        lambda: streams(study),
        lambda: learning_rate(study, args.out / "confounds_one_rate"),
        lambda: batch(args.out),
        lambda: half_life(study),
        lambda: variance(args.out),
        predictor,
    ]
    rows: list[dict[str, Any]] = []
    for number, claim in enumerate(claims, 1):
        row = claim()
        rows.append(dataclasses.asdict(row))
        print(f"{number}. {row.claim}\n   confound    {row.confound}\n   as claimed  {row.as_claimed}", flush=True)
        print(f"   controlled  {row.controlled}", flush=True)
    if args.json is not None:
        figures = {"command": "python benchmarks/confounds.py", "environment": machine.environment("cpu"), "rows": rows}
        args.json.write_text(json.dumps(figures, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

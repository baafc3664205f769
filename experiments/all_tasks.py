"""Does a small recurrent network beat the baseline on every kind of sequence problem?

A line a task: the data and how long to train. What needs a download or a package that is not here is left out, and
said so; `rnnbench data fetch NAME` brings it.
"""

import dataclasses
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run, Study, run_script
from rnnbench.catalog import data_set
from rnnbench.data.describe import to_do

COSINE = OptimConfig(lr=4e-3, schedule="cosine", warmup=0.05)
FAST = dataclasses.replace(COSINE, lr=1e-2)
SLOW = dataclasses.replace(COSINE, lr=1e-3)
DECAYED = dataclasses.replace(COSINE, name="adamw", lr=3e-3, weight_decay=1.0)
STEADY = OptimConfig(lr=5e-3)
STEADY_FAST = OptimConfig(lr=1e-2)

WIDE = ModelConfig()
SMALL = ModelConfig(hidden_size=64)
WIDE_MEAN = ModelConfig(pooling="mean")
MEAN = dataclasses.replace(SMALL, pooling="mean")
LOOKING = dataclasses.replace(SMALL, pooling="attention")
BACK_AND_FORTH = dataclasses.replace(SMALL, bidirectional=True)
VOWELS = dataclasses.replace(MEAN, bidirectional=True, dropout=0.3)
NOISY = dataclasses.replace(SMALL, dropout=0.5)
NARROW_NOISY = dataclasses.replace(NOISY, hidden_size=32)
TINY = ModelConfig(hidden_size=32, pooling="mean")
ALIGNING = ModelConfig(bidirectional=True, attention="dot")
SMALL_ALIGNING = dataclasses.replace(ALIGNING, hidden_size=64)


@dataclass(frozen=True)
class Case:
    """Settings under which the cell beats the baseline in half a minute of one core."""

    data: DataConfig
    tokens: int
    cell: str = "gru"
    model: ModelConfig = SMALL
    optim: OptimConfig = COSINE
    quick: bool = True


TASKS = (
    # one vector in
    Case(DataConfig("digit_picture", batch_size=64), 30_000),
    Case(DataConfig("digit_name", batch_size=64), 60_000),
    # text
    Case(DataConfig("kjv", seq_len=64, batch_size=32), 2_500_000, model=WIDE),
    Case(DataConfig("tinyshakespeare", seq_len=64, batch_size=32), 2_500_000, model=WIDE),
    Case(DataConfig("text8", seq_len=64, batch_size=32), 1_500_000, model=WIDE, quick=False),
    Case(DataConfig("enwik8", seq_len=64, batch_size=32), 1_500_000, model=WIDE, quick=False),
    # series; where the level drifts, windows relative to their last value
    Case(DataConfig("glucose", batch_size=64), 1_500_000),
    Case(DataConfig("sea_temperature", relative=True, batch_size=64), 1_500_000, optim=SLOW),
    Case(DataConfig("stocks", batch_size=64), 600_000, model=NARROW_NOISY, optim=DECAYED),
    Case(DataConfig("etth1", relative=True, horizon=24), 2_000_000),
    Case(DataConfig("etth2", relative=True, horizon=24, batch_size=64), 1_000_000),
    Case(DataConfig("exchange", relative=True, batch_size=64), 1_500_000, model=NOISY, optim=SLOW),
    Case(DataConfig("mackey_glass", batch_size=64), 1_500_000),
    Case(DataConfig("lorenz", batch_size=64), 1_500_000),
    Case(DataConfig("narma10", batch_size=32), 1_000_000),
    # labels
    Case(DataConfig("digits", seq_len=8, batch_size=64), 500_000),
    Case(DataConfig("digits", seq_len=64, permuted=True, batch_size=64), 3_000_000, quick=False),
    Case(DataConfig("mnist", batch_size=64), 50_000_000, quick=False),
    Case(DataConfig("japanese_vowels", batch_size=16), 300_000, cell="lstm", model=VOWELS),
    Case(DataConfig("basicmotions", batch_size=8), 600_000, model=MEAN),
    Case(DataConfig("gunpoint", batch_size=8), 1_200_000, cell="lstm", model=TINY, optim=STEADY),
    Case(DataConfig("arrowhead", batch_size=8), 1_500_000, model=TINY),
    Case(DataConfig("osuleaf", batch_size=16), 4_000_000, model=TINY),
    Case(DataConfig("acsf1", batch_size=16), 3_000_000, model=TINY),
    Case(DataConfig("verse_book", batch_size=32), 2_000_000, model=WIDE_MEAN),
    Case(DataConfig("verse_translation", batch_size=32), 3_000_000, model=LOOKING),
    Case(DataConfig("moving_digits", batch_size=16), 700_000, model=BACK_AND_FORTH),
    # memory
    Case(DataConfig("adding", seq_len=32, batch_size=64), 2_000_000),
    Case(DataConfig("copy", seq_len=20, batch_size=64), 2_000_000, optim=FAST),
    Case(DataConfig("selective_copy", seq_len=32, batch_size=64), 2_000_000),
    Case(DataConfig("associative_recall", seq_len=32, batch_size=64), 2_000_000),
    Case(DataConfig("parity", seq_len=16, batch_size=64), 1_500_000, cell="lstm", optim=FAST),
    Case(DataConfig("modular_arithmetic", seq_len=9, batch_size=64), 1_500_000),
    Case(DataConfig("dyck", seq_len=32, batch_size=64), 1_500_000),
    # one sequence into another
    Case(DataConfig("reversal", batch_size=64), 700_000, model=SMALL_ALIGNING, optim=FAST),
    Case(DataConfig("addition", batch_size=64), 1_000_000, model=SMALL_ALIGNING, optim=FAST),
    Case(DataConfig("kjv_web", seq_len=64, batch_size=16), 900_000, model=ALIGNING),
    # music
    Case(DataConfig("jsb", batch_size=16), 500_000, model=WIDE, optim=STEADY_FAST),
    Case(DataConfig("nottingham", batch_size=16), 500_000, model=WIDE, optim=STEADY_FAST),
)


def available(tasks: tuple[Case, ...]) -> list[Case]:
    """Those whose data are here."""
    lacking = {name: why for name in {str(task.data.name) for task in tasks} if (why := to_do(data_set(name)))}
    for name in sorted(lacking):
        print(f"left out {name}: {lacking[name]}", file=sys.stderr)
    return [task for task in tasks if task.data.name not in lacking]


def quick() -> Iterator[Run]:
    for task in available(tuple(task for task in TASKS if task.quick)):
        yield run(task, task.cell, task.tokens, seed=0)


def full() -> Iterator[Run]:
    tasks = available(TASKS)
    for seed in range(5):
        for task in tasks:
            for cell in ("rnn", "lstm", "gru"):
                yield run(task, cell, 5 * task.tokens, seed)


def run(task: Case, cell: str, tokens: int, seed: int) -> Run:
    return Run(
        cell=CellConfig(cell),
        model=task.model,
        data=task.data,
        optim=task.optim,
        budget=BudgetConfig(tokens=tokens, keep="best", evals=8, val_tokens=20_000),
        probes=ProbeConfig(seq_len=64, batch_size=8),
        seed=seed,
    )


STUDY = Study(
    name="all_tasks",
    question="Does a small recurrent network beat the baseline on every kind of sequence problem?",
    presets={"quick": quick, "full": full},
)

if __name__ == "__main__":
    run_script()

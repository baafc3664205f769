"""Over how many steps can each cell learn to remember, and does its gradient's half-life at the start predict it?

For each cell and task T is doubled while it is solved, and the bracket then bisected: adding is solved below a mean
squared error of 0.01, copying above a recall of 99 %, each by at least 80 % of the seeds and at every smaller T tried.
Every run of a task pays for the same tokens, in batches of the same number of steps whatever T is, so for the same
number of updates. The learning rate, one for all cells, falls to zero along a cosine; it was not searched for, so a
cell may do better with its own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, Run, Study
from rnnbench.sweep.bracketing import asked_for
from rnnbench.sweep.study import Results

CELLS = (
    *(CellConfig(name) for name in ("rnn", "lstm", "gru")),
    CellConfig("lstm", {"forget_bias": 3.0}),
    *(CellConfig(name) for name in ("irnn", "mgu", "janet", "indrnn", "antisymmetric", "cornn", "lem", "exprnn")),
    *(CellConfig(name) for name in ("mingru", "lru", "mamba", "gla")),
)


@dataclass(frozen=True)
class Size:
    """How much of everything; every one of the lengths divides the steps of a batch."""

    tasks: dict[str, int | None]
    """Data set and how many symbols to remember (None: as many as the data set has of its own)."""
    lengths: tuple[int, ...]
    batch_steps: int
    tokens: int
    seeds: int


LENGTHS = (10, 12, 15, 20, 24, 30, 40, 48, 60, 80, 96, 120, 160)
QUICK = Size({"adding": None, "selective_copy": 4}, LENGTHS, batch_steps=960, tokens=960_000, seeds=1)
SIZES = {
    "quick": QUICK,
    "seeds": replace(QUICK, seeds=5),
    "full": Size(
        {"adding": None, "copy": None, "selective_copy": None},
        (*LENGTHS, 192, 240, 320, 384, 480, 640),
        batch_steps=1920,
        tokens=5_760_000,
        seeds=5,
    ),
}


def first(size: Size) -> Iterator[Run]:
    """Every cell on every task over the smallest T."""
    for seed in range(size.seeds):
        for task, items in size.tasks.items():
            for cell in CELLS:
                yield Run(
                    cell=cell,
                    model=ModelConfig(hidden_size=64),
                    data=DataConfig(
                        task, seq_len=size.lengths[0], batch_size=size.batch_steps // size.lengths[0], items=items
                    ),
                    optim=OptimConfig(lr=3e-3, schedule="cosine"),
                    budget=BudgetConfig(tokens=size.tokens, evals=1),
                    seed=seed,
                )


def further(preset: str, results: Results) -> Iterable[Run]:
    """What the searches ask for after what has been found."""
    size = SIZES[preset]
    return asked_for(first(size), results, size.lengths)


STUDY = Study(
    name="longest_solvable",
    question="Over how many steps can each cell learn to remember, and does its half-life at the start predict it?",
    presets={name: partial(first, size) for name, size in SIZES.items()},
    follow_up=further,
)

if __name__ == "__main__":
    STUDY.main()

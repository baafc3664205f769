"""Over how many steps can each cell learn to remember, and does its gradient's reach at the start predict it?

For each cell and task T is doubled while it is solved, and the bracket then bisected: adding is solved below a mean
squared error of 0.01, copying above a recall of 99 %, each by at least 80 % of the seeds at one of the learning rates,
and at every smaller T tried. All cells have the same number of weights. Every run of a task pays for the same tokens,
in batches of the same number of steps whatever T is, so for the same number of updates. Gradients before training are
followed over at least as many states as the longest T tried, on the task's own inputs.
"""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from rnnbench import run_script
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.sweep.bracketing import asked_for
from rnnbench.sweep.study import Results, Study

OTHERS = ("irnn", "mgu", "indrnn", "cornn", "lem", "exprnn", "mingru", "lru")
CELLS = (*map(CellConfig, ("rnn", "lstm", "gru", *OTHERS)), CellConfig("lstm", {"forget_bias": 3.0}))
RATES = (3e-3, 1e-3, 1e-2)
#: Every one of the lengths divides the steps of a batch.
LENGTHS = (10, 12, 15, 20, 24, 30, 40, 48, 60, 80, 96, 120, 160)
LONG = (*LENGTHS, 192, 240, 320, 384, 480, 640)
#: Data sets with how many symbols to remember (None: as many as the data set has of its own).
TASKS, MORE = {"adding": None, "selective_copy": 4}, {"adding": None, "copy": None, "selective_copy": None}
QUICK: dict[str, Any] = {"tasks": TASKS, "lengths": LENGTHS, "batch_steps": 960, "tokens": 960_000, "seeds": 1}
FULL: dict[str, Any] = {"tasks": MORE, "lengths": LONG, "batch_steps": 1920, "tokens": 5_760_000, "seeds": 5}
SIZES = {"quick": QUICK, "seeds": {**QUICK, "seeds": 5}, "full": FULL}


def first(
    tasks: dict[str, int | None], lengths: tuple[int, ...], batch_steps: int, tokens: int, seeds: int
) -> Iterator[Run]:
    """Every cell on every task over the smallest T."""
    for seed in range(seeds):
        for task, items in tasks.items():
            for cell in CELLS:
                yield Run(
                    cell=cell,
                    model=ModelConfig(parameters=20_000, embedding_size=16),
                    data=DataConfig(task, seq_len=lengths[0], batch_size=batch_steps // lengths[0], items=items),
                    optim=OptimConfig(lr=RATES[0], schedule="cosine"),
                    budget=BudgetConfig(tokens=tokens, evals=1),
                    probes=ProbeConfig(seq_len=max(256, lengths[-1])),
                    seed=seed,
                )


def further(preset: str, results: Results) -> Iterable[Run]:
    """What the searches ask for after what has been found."""
    return asked_for(first(**SIZES[preset]), results, SIZES[preset]["lengths"], RATES)


QUESTION = "Over how many steps can each cell learn to remember, and does its reach at the start predict it?"
PRESETS = {name: partial(first, **size) for name, size in SIZES.items()}
STUDY = Study("longest_solvable", QUESTION, PRESETS, further, search=True)

if __name__ == "__main__":
    run_script()

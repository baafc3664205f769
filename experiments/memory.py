"""Can recurrent cells carry what they have read over fifty and more steps?

Tasks drawn on the spot that nothing but memory solves. Adding is solved below a mean squared error of 0.01 (always
answering 1: 1/6), copying above a recall of 99 %. Gates start open for about T steps (chrono, Tallec & Ollivier 2018),
and all cells have the same number of weights. The learning rate falls to zero along a cosine from one value for all:
the study shows that a cell can, and ranks none. Batches are small, so that the tokens pay for many updates.
"""

from collections.abc import Iterator
from dataclasses import replace

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run, Study, run_script

PLAIN = ModelConfig(parameters=50_000, embedding_size=16)
GATED = replace(PLAIN, init="chrono")
CELLS = (("rnn", PLAIN), ("lstm", GATED), ("gru", GATED))

#: Task and T; of each as many sequences to a batch as make 800 steps.
QUICK = (("adding", 100), ("copy", 50))
FULL = (
    *(("adding", seq_len) for seq_len in (50, 100, 200, 400)),
    *(("copy", seq_len) for seq_len in (25, 50, 100, 200)),
    ("selective_copy", 64),
    ("associative_recall", 32),
    ("parity", 32),
    ("modular_arithmetic", 16),
    ("dyck", 64),
)


def runs(tasks: tuple[tuple[str, int], ...], tokens: int, seeds: int) -> Iterator[Run]:
    for seed in range(seeds):
        for task, seq_len in tasks:
            for cell, model in CELLS:
                yield Run(
                    cell=CellConfig(cell),
                    model=model,
                    data=DataConfig(task, seq_len=seq_len, batch_size=800 // seq_len),
                    optim=OptimConfig(lr=3e-3, schedule="cosine"),
                    budget=BudgetConfig(tokens=tokens),
                    probes=ProbeConfig(batch_size=8),
                    seed=seed,
                )


STUDY = Study(
    name="memory",
    question="Can recurrent cells carry what they have read over fifty and more steps?",
    presets={
        "quick": lambda: runs(QUICK, tokens=14_000_000, seeds=1),
        "full": lambda: runs(FULL, tokens=14_000_000, seeds=5),
    },
)

if __name__ == "__main__":
    run_script()

"""Which recurrent cell carries what it has read over how many steps?

Tasks drawn on the spot that nothing but memory solves. Adding is solved below a mean squared error of 0.01 (always
answering 1: 1/6), copying above a recall of 99 %. Gates start open for about T steps (chrono, Tallec & Ollivier 2018),
and the learning rate, the same for every cell, falls to zero along a cosine. Batches are small, so that the tokens pay
for many updates.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run, Study

GATED = ModelConfig(hidden_size=128, init="chrono")
CELLS = (("rnn", ModelConfig(hidden_size=128)), ("lstm", GATED), ("gru", GATED))

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
    question="Which cell carries what it has read over how many steps?",
    presets={
        "quick": lambda: runs(QUICK, tokens=14_000_000, seeds=1),
        "full": lambda: runs(FULL, tokens=14_000_000, seeds=5),
    },
)

if __name__ == "__main__":
    STUDY.main()

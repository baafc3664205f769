"""Which cell predicts text best, and does a longer window of backpropagation help?

The length T is swept at constant tokens *and* constant batch × T: at a fixed batch a longer T would mean fewer
updates, and that would be most of what one saw.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, Run, Study

CELLS = ("rnn", "lstm", "gru")


def runs(lengths: tuple[int, ...], seeds: int, tokens: int) -> Iterator[Run]:
    for seed in range(seeds):
        for cell in CELLS:
            for seq_len in lengths:
                yield Run(
                    cell=CellConfig(cell),
                    data=DataConfig("kjv", seq_len=seq_len, batch_size=2048 // seq_len),
                    budget=BudgetConfig(tokens=tokens, evals=4),
                    seed=seed,
                )


STUDY = Study(
    name="seqlen_perplexity",
    question="Which cell predicts text best, and at which length of backpropagation through time?",
    presets={
        "quick": lambda: runs((16, 64, 256), seeds=2, tokens=600_000),
        "seeds": lambda: runs((16, 64, 256), seeds=5, tokens=600_000),  # enough for intervals and a comparison
        "full": lambda: runs((8, 16, 32, 64, 128, 256, 512), seeds=5, tokens=20_000_000),
    },
)

if __name__ == "__main__":
    STUDY.main()

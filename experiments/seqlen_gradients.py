"""How much of the last step's loss reaches the states before it, untrained and trained?

Beside the three cells as torch initialises them stand two remedies: an LSTM that starts with an open forget gate and
the IRNN, whose recurrent matrix starts as the identity.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, ProbeConfig, Run, Study

CELLS = (
    CellConfig("rnn"),
    CellConfig("gru"),
    CellConfig("lstm"),
    CellConfig("lstm", {"forget_bias": 3.0}),
    CellConfig("irnn"),
)


def runs(lengths: tuple[int, ...], seeds: int, tokens: int) -> Iterator[Run]:
    for seed in range(seeds):
        for cell in CELLS:
            for seq_len in lengths:
                yield Run(
                    cell=cell,
                    data=DataConfig("kjv", seq_len=seq_len, batch_size=2048 // seq_len),
                    budget=BudgetConfig(tokens=tokens, evals=1),
                    probes=ProbeConfig(seq_len=256, batch_size=32),
                    seed=seed,
                )


STUDY = Study(
    name="seqlen_gradients",
    question="How much of the last step's loss reaches earlier states, before and after training at each length?",
    presets={
        "quick": lambda: runs((16, 128), seeds=2, tokens=150_000),
        "full": lambda: runs((16, 32, 64, 128, 256), seeds=5, tokens=5_000_000),
    },
)

if __name__ == "__main__":
    STUDY.main()

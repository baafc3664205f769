"""What does attention do for a decoder as its source gets longer?

The same encoder and decoder write a string backwards, from one vector or looking back at the source. Without attention
the gradient of the first symbol written passes through every state of the encoder; with it, it reaches each directly.
Each has a learning rate of its own at every length.
"""

from collections.abc import Iterator

from rnnbench import (
    BudgetConfig,
    CellConfig,
    DataConfig,
    ModelConfig,
    OptimConfig,
    ProbeConfig,
    Run,
    Study,
    Tune,
    run_script,
)


def runs(cells: tuple[str, ...], lengths: tuple[int, ...], seeds: int, tokens: int) -> Iterator[Run]:
    for seed in range(seeds):
        for cell in cells:
            for attention in ("none", "additive"):
                for seq_len in lengths:
                    yield Run(
                        cell=CellConfig(cell),
                        model=ModelConfig(hidden_size=64, attention=attention),
                        data=DataConfig("reversal", seq_len=seq_len, batch_size=1024 // seq_len),
                        optim=OptimConfig(schedule="cosine"),
                        budget=BudgetConfig(tokens=tokens, evals=2),
                        probes=ProbeConfig(batch_size=8),
                        seed=seed,
                    )


STUDY = Study(
    name="attention_rescues",
    question="How do score and gradient path grow with the source, with attention and without?",
    presets={
        "quick": lambda: runs(("gru",), (8, 16, 32, 64), seeds=5, tokens=1_000_000),
        "full": lambda: runs(("rnn", "lstm", "gru"), (8, 16, 32, 64, 128), seeds=5, tokens=10_000_000),
    },
    tune=Tune(),
)

if __name__ == "__main__":
    run_script()

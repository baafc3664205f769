"""Do gradients get through depth as they get through time, and what do residuals and norms do for it?

One to eight layers at the same number of weights: plain, with residual connections, and with those and a norm before
each cell. Each has a learning rate of its own, and the embedding is fixed.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study, Tune, run_script

AROUND: tuple[dict[str, object], ...] = ({}, {"residual": True}, {"residual": True, "norm": "rms"})


def runs(cells: tuple[str, ...], depths: tuple[int, ...], seeds: int, tokens: int) -> Iterator[Run]:
    for seed in range(seeds):
        for cell in cells:
            for layers in depths:
                for around in AROUND:
                    yield Run(
                        cell=CellConfig(cell),
                        model=ModelConfig(parameters=120_000, embedding_size=64, num_layers=layers, **around),  # type: ignore[arg-type]
                        data=DataConfig("kjv", seq_len=64, batch_size=32),
                        budget=BudgetConfig(tokens=tokens, evals=2),
                        probes=ProbeConfig(seq_len=128, batch_size=16),
                        seed=seed,
                    )


STUDY = Study(
    name="depth",
    question="What does depth do to gradients and to the score at the same number of weights?",
    presets={
        "quick": lambda: runs(("gru", "mingru"), (1, 2, 4), seeds=5, tokens=300_000),
        "full": lambda: runs(("rnn", "lstm", "gru", "mingru"), (1, 2, 4, 8), seeds=5, tokens=10_000_000),
    },
    tune=Tune(),
)

if __name__ == "__main__":
    run_script()

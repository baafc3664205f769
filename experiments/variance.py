"""What moves a score: the initial weights, the order of the data, the test text?

Every seed of the weights with every seed of the order, so that the two are told apart; each cell at a learning rate of
its own, all with the same number of weights.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study, Tune, run_script


def runs(cells: tuple[str, ...], seeds: int, tokens: int) -> Iterator[Run]:
    for seed in range(seeds):
        for data_seed in range(seeds):
            for cell in cells:
                yield Run(
                    cell=CellConfig(cell),
                    model=ModelConfig(parameters=140_000, embedding_size=64),
                    data=DataConfig("kjv", seq_len=64, batch_size=32),
                    budget=BudgetConfig(tokens=tokens, evals=1),
                    probes=ProbeConfig(gradient_flow=False),
                    seed=seed,
                    data_seed=data_seed,
                )


STUDY = Study(
    name="variance",
    question="How much of a score is the initial weights' doing, the order of the data's, and the test text's?",
    presets={
        "quick": lambda: runs(("lstm",), seeds=3, tokens=200_000),
        "seeds": lambda: runs(("rnn", "lstm", "gru"), seeds=5, tokens=600_000),
        "full": lambda: runs(("rnn", "lstm", "gru"), seeds=10, tokens=20_000_000),
    },
    tune=Tune(),
)

if __name__ == "__main__":
    run_script()

"""Which cell predicts text best, and does it help to propagate gradients further back?

Streams are read 256 characters at an update, and how far the gradient goes back within them is all that varies:
batches, updates, characters and initial weights are the same. Beside it, what people do: at a fixed batch a longer T
means fewer updates of as many characters. Recurrent layer and readout have the same number of weights, the embedding is
fixed, and each cell has a learning rate of its own at every setting.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, Panel, Run, Study, Tune, run_script

CELLS = ("rnn", "lstm", "gru")
CHUNK, STREAMS, WEIGHTS, WIDTH, EMBEDDING = 256, 8, 140_000, 128, 64
EQUAL_WEIGHTS = ModelConfig(parameters=WEIGHTS, embedding_size=EMBEDDING)
EQUAL_WIDTH = ModelConfig(hidden_size=WIDTH, embedding_size=EMBEDDING)


def panels(truncations: tuple[int, ...], lengths: tuple[int, ...], seeds: int, tokens: int) -> Iterator[Panel]:
    def runs(seq_len: int, truncate: int | None = None, model: ModelConfig = EQUAL_WEIGHTS) -> list[Run]:
        return [
            Run(
                cell=CellConfig(cell),
                model=model,
                data=DataConfig("kjv", seq_len=seq_len, batch_size=STREAMS),
                optim=OptimConfig(truncate=truncate if truncate != seq_len else None),
                budget=BudgetConfig(tokens=tokens, evals=2),
                seed=seed,
            )
            for seed in range(seeds)
            for cell in CELLS
        ]

    same = f"{STREAMS} streams read {CHUNK} characters at an update; same batches, updates and weights at the start"
    truncated = [run for truncate in truncations for run in runs(CHUNK, truncate)]
    yield Panel("truncation", f"How far the gradient goes back: {same}.", truncated, "optim.truncate")
    fewer = f"What people do: {STREAMS} streams, a longer T and so fewer updates of as many characters"
    yield Panel("practice", f"{fewer}.", [run for seq_len in lengths for run in runs(seq_len)])
    yield Panel("width", f"Equal widths ({WIDTH}) in place of equal weights: {same}.", runs(CHUNK, model=EQUAL_WIDTH))


STUDY = Study(
    name="seqlen_perplexity",
    question="Which cell predicts text best, and how far back need gradients be propagated through time?",
    presets={
        "quick": lambda: panels((16, 256), (16, 256), seeds=1, tokens=600_000),
        "seeds": lambda: panels((4, 16, 64, 256), (16, 64, 256), seeds=10, tokens=600_000),
        "full": lambda: panels((4, 16, 64, 256), (16, 64, 256), seeds=10, tokens=20_000_000),
    },
    tune=Tune(),
)

if __name__ == "__main__":
    run_script()

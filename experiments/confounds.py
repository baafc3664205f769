"""What looked like an effect of the cell or of the length, and was one of width, of streams or of the learning rate.

Each panel holds a comparison as it was once made here beside the same with the confound taken out; see
`benchmarks/confounds.py`, which does these runs, measures what needs no training, and prints claim against control.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, Panel, Run, Study, Tune, run_script

WIDE = ModelConfig(hidden_size=128, embedding_size=64)
#: The recurrent and readout weights that an LSTM of 128 has.
EQUAL = ModelConfig(parameters=107_000, embedding_size=64)
FEW = ModelConfig(parameters=50_000, embedding_size=64)


def panels(seeds: int, tokens: int) -> Iterator[Panel]:
    def runs(cell: str, T: int, B: int, model: ModelConfig = WIDE, K: int | None = None) -> list[Run]:
        return [
            Run(
                cell=CellConfig(cell),
                model=model,
                data=DataConfig("kjv", seq_len=T, batch_size=B),
                optim=OptimConfig(truncate=K),
                budget=BudgetConfig(tokens=tokens, evals=1),
                seed=seed,
            )
            for seed in range(seeds)
        ]

    shapes = ((16, 128), (64, 32))
    plain = [run for cell in ("rnn", "lstm", "gru") for T, B in shapes for run in runs(cell, T, B)]
    yield Panel("width", "Equal widths, 128.", plain)
    equal = [run for T, B in shapes for run in (*runs("rnn", T, B, EQUAL), *runs("lstm", T, B, EQUAL))]
    yield Panel("weights", "Equal weights, as many as the LSTM of 128 has.", equal)
    streams = [run for cell in ("lstm", "gru") for T, B in ((16, 128), (256, 8)) for run in runs(cell, T, B)]
    yield Panel("streams", "A longer T at constant B × T: fewer streams.", streams)
    cut = [run for cell in ("lstm", "gru") for K in (16, None) for run in runs(cell, 256, 8, K=K)]
    yield Panel("truncation", "The same streams, the gradient cut after K steps.", cut, "optim.truncate")
    rate = [run for cell in ("rnn", "lstm") for run in runs(cell, 16, 128, FEW)]
    yield Panel("rate", "Few weights, each cell at its own rate.", rate)


STUDY = Study(
    name="confounds",
    question="How much of what looked like the cell's doing, or the length's, was something else's?",
    presets={"quick": lambda: panels(seeds=3, tokens=600_000), "full": lambda: panels(seeds=5, tokens=20_000_000)},
    tune=Tune(),
)

if __name__ == "__main__":
    run_script()

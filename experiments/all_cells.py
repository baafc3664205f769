"""Every cell that there is, at equal numbers of weights: on text, and on a task that asks for memory.

Cells of yours that are known (RNNBENCH_CELLS, or an installed package) stand among the others. The width of each is
solved for, so that recurrent layers and readout together have the same number of weights within 2 %; the input's size
is fixed, and each cell has a learning rate of its own. Beside it, what equal widths in place of equal weights show.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, Panel, ProbeConfig, Run, Study, Tune, run_script
from rnnbench.cells import cell_names

#: The Transformer's window is part of the question: no longer than what the others are trained on.
OPTIONS = {"transformer": {"window": 64}}
TEXT = DataConfig("kjv", seq_len=64, batch_size=32)
ADDING = DataConfig("adding", seq_len=32, batch_size=64)


def runs(data: DataConfig, model: ModelConfig, tokens: int, seeds: int) -> list[Run]:
    return [
        Run(
            cell=CellConfig(name, OPTIONS.get(name, {})),
            model=model,
            data=data,
            budget=BudgetConfig(tokens=tokens, evals=2),
            probes=ProbeConfig(seq_len=128, batch_size=8),
            seed=seed,
        )
        for seed in range(seeds)
        for name in cell_names()
    ]


def panels(text: int, adding: int, tokens: int, seeds: int) -> Iterator[Panel]:
    """text, adding: weights, such that every cell here, heads and all, can have them."""
    equal = [
        *runs(TEXT, ModelConfig(parameters=text, embedding_size=64), tokens, seeds),
        *runs(ADDING, ModelConfig(parameters=adding, embedding_size=64), tokens, seeds),
    ]
    yield Panel("weights", "Equal numbers of weights, each cell at its own learning rate.", equal)
    wide = runs(TEXT, ModelConfig(hidden_size=128, embedding_size=64), tokens, min(seeds, 2))
    yield Panel("width", "Equal widths (128) in place of equal weights.", wide)


STUDY = Study(
    name="all_cells",
    question="Which of all cells predicts best at equal numbers of weights, and how far do its gradients reach?",
    presets={
        "quick": lambda: panels(text=54_500, adding=50_750, tokens=300_000, seeds=1),
        "seeds": lambda: panels(text=54_500, adding=50_750, tokens=600_000, seeds=5),
        "full": lambda: panels(text=260_000, adding=250_000, tokens=20_000_000, seeds=5),
    },
    tune=Tune(),
)

if __name__ == "__main__":
    run_script()

"""Every cell that there is, at equal numbers of weights: on text, and on a task that asks for memory.

Cells of yours that are known (RNNBENCH_CELLS, or an installed package) stand among the others. The width of each is
solved for, so that recurrent layers and readout together have the same number of weights within 2 %.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study
from rnnbench.cells import cell_names

#: The yardstick's window is part of the question: no longer than what the others are trained on.
OPTIONS = {"transformer": {"window": 64}}


@dataclass(frozen=True)
class Size:
    """How much of everything; the numbers of weights are such that every cell here, heads and all, can have them."""

    text_parameters: int
    adding_parameters: int
    tokens: int
    seeds: int


def runs(size: Size) -> Iterator[Run]:
    tasks = (
        (DataConfig("kjv", seq_len=64, batch_size=32), size.text_parameters),
        (DataConfig("adding", seq_len=32, batch_size=64), size.adding_parameters),
    )
    for seed in range(size.seeds):
        for data, parameters in tasks:
            for name in cell_names():
                yield Run(
                    cell=CellConfig(name, OPTIONS.get(name, {})),
                    model=ModelConfig(parameters=parameters),
                    data=data,
                    budget=BudgetConfig(tokens=size.tokens, evals=2),
                    probes=ProbeConfig(seq_len=128, batch_size=8),
                    seed=seed,
                )


STUDY = Study(
    name="all_cells",
    question="Which of all cells predicts best at equal numbers of weights, and how far do its gradients reach?",
    presets={
        "quick": lambda: runs(Size(text_parameters=54_500, adding_parameters=50_750, tokens=600_000, seeds=1)),
        "full": lambda: runs(Size(text_parameters=260_000, adding_parameters=250_000, tokens=20_000_000, seeds=5)),
    },
)

if __name__ == "__main__":
    STUDY.main()

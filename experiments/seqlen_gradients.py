"""How much of the last step's loss reaches the states before it, untrained and trained, cell by cell?

All cells have the same number of weights. `lstm(forget_bias=3.0)` starts with open forget gates, the others as their
papers or torch have them. Gradients are followed over 256 states, whatever the length trained on.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study

PLAIN = (CellConfig("rnn"), CellConfig("gru"), CellConfig("lstm"))
CELLS = (
    *PLAIN,
    CellConfig("lstm", {"forget_bias": 3.0}),
    CellConfig("irnn"),
    CellConfig("indrnn"),
    CellConfig("antisymmetric"),
    CellConfig("cornn"),
    CellConfig("exprnn"),
    CellConfig("mgu"),
    CellConfig("mingru"),
    CellConfig("rglru"),
    CellConfig("lru"),
)
#: Those that a GPU runs fast, by cuDNN or by a scan; the others are loops of a hundred small kernels a step.
PARALLEL = tuple(cell for cell in CELLS if cell.name in ("rnn", "gru", "lstm", "irnn", "mingru", "rglru", "lru"))


def runs(cells: tuple[CellConfig, ...], lengths: tuple[int, ...], seeds: int, tokens: int) -> Iterator[Run]:
    for seed in range(seeds):
        for cell in cells:
            for seq_len in lengths:
                yield Run(
                    cell=cell,
                    model=ModelConfig(parameters=50_000),
                    data=DataConfig("kjv", seq_len=seq_len, batch_size=2048 // seq_len),
                    budget=BudgetConfig(tokens=tokens, evals=1),
                    probes=ProbeConfig(seq_len=256, batch_size=16, lyapunov=1),
                    seed=seed,
                )


STUDY = Study(
    name="seqlen_gradients",
    question="How much of the last step's loss reaches earlier states, before and after training at each length?",
    presets={
        "quick": lambda: runs(PLAIN, (16, 128), seeds=2, tokens=150_000),
        "full": lambda: runs(CELLS, (16, 32, 64, 128, 256), seeds=5, tokens=400_000),
        "gpu": lambda: runs(PARALLEL, (16, 32, 64, 128, 256), seeds=5, tokens=400_000),
    },
)

if __name__ == "__main__":
    STUDY.main()

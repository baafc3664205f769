"""How much of the last step's loss reaches the states before it: untrained, half-way and trained, cell by cell?

All cells have the same number of weights, a fixed embedding, and a learning rate of their own. Each is trained on the
very same batches twice: with gradients that go back 16 steps, and 128. `lstm(forget_bias=3)` starts with open forget
gates, the others as their papers or torch have them. Gradients are followed over 256 states, on text and on noise.
"""

from collections.abc import Iterator

from rnnbench import run_script
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.sweep.study import Panel, Study, Tune

PLAIN = (CellConfig("rnn"), CellConfig("gru"), CellConfig("lstm"))
OTHERS = ("irnn", "indrnn", "antisymmetric", "cornn", "exprnn", "mgu", "mingru", "rglru", "lru")
CELLS = (*PLAIN, CellConfig("lstm", {"forget_bias": 3.0}), *map(CellConfig, OTHERS))
#: Those that a GPU runs fast, by cuDNN or by a scan; the others are loops of a hundred small kernels a step.
PARALLEL = tuple(cell for cell in CELLS if cell.name in ("rnn", "gru", "lstm", "irnn", "mingru", "rglru", "lru"))
CHUNK, STREAMS = 128, 16
TITLE = f"How far the gradient goes back: {STREAMS} streams read {CHUNK} characters at an update, all else equal."


def runs(cells: tuple[CellConfig, ...], seeds: int, tokens: int) -> Iterator[Panel]:
    steps = tokens // (CHUNK * STREAMS)
    jobs = [
        Run(
            cell=cell,
            model=ModelConfig(parameters=50_000, embedding_size=64),
            data=DataConfig("kjv", seq_len=CHUNK, batch_size=STREAMS),
            optim=OptimConfig(truncate=truncate),
            budget=BudgetConfig(tokens=tokens, evals=1),
            probes=ProbeConfig(seq_len=256, batch_size=16, every=steps // 4, lyapunov=1),
            seed=seed,
        )
        for seed in range(seeds)
        for cell in cells
        for truncate in (16, None)
    ]
    yield Panel("", TITLE, jobs, "optim.truncate")


STUDY = Study(
    name="seqlen_gradients",
    question="How far do gradients reach before, during and after training, whatever the truncation?",
    presets={
        "quick": lambda: runs(PLAIN, seeds=2, tokens=150_000),
        "full": lambda: runs(CELLS, seeds=5, tokens=400_000),
        "gpu": lambda: runs(PARALLEL, seeds=5, tokens=400_000),
    },
    tune=Tune(),
)

if __name__ == "__main__":
    run_script()

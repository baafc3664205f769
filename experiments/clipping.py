"""What does gradient clipping save, and what does it cost?

A plain RNN that starts beyond the edge of chaos (gain 1.5), where gradients explode, and one that starts as torch has
it, by stochastic gradient descent, which a single large step throws far away: without clipping, with the norm clipped,
and with every weight's gradient clipped by itself. What diverges is counted, not left out.
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, OptimConfig, ProbeConfig, Run, Study, run_script

CELLS = (CellConfig("rnn"), CellConfig("rnn", {"gain": 1.5}), CellConfig("lstm"))
#: As many as there are, for every learning rate.
CLIPS: tuple[dict[str, object], ...] = (
    {"clip": None},
    {"clip": 1.0},
    {"clip": 0.1},
    {"clip": 0.01, "clip_by": "value"},
)


def runs(rates: tuple[float, ...], seeds: int, tokens: int) -> Iterator[Run]:
    for seed in range(seeds):
        for cell in CELLS:
            for lr in rates:
                for clip in CLIPS:
                    yield Run(
                        cell=cell,
                        data=DataConfig("kjv", seq_len=128, batch_size=16),
                        optim=OptimConfig(name="sgd", lr=lr, **clip),  # type: ignore[arg-type]
                        budget=BudgetConfig(tokens=tokens, evals=2),
                        probes=ProbeConfig(seq_len=256, batch_size=16),
                        seed=seed,
                    )


STUDY = Study(
    name="clipping",
    question="How often does training diverge without clipping, by the norm and by the value, and what is lost?",
    presets={
        "quick": lambda: runs((1.0, 4.0), seeds=5, tokens=200_000),
        "full": lambda: runs((0.25, 1.0, 4.0, 16.0), seeds=10, tokens=5_000_000),
    },
)

if __name__ == "__main__":
    run_script()

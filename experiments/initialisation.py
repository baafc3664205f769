"""What does the start do to how far gradients reach, and does it last?

Forget biases from 0 to 5 and chrono for the LSTM; orthogonal, identity and glorot matrices for the plain RNN; and a
random recurrent matrix of gain g, W ~ N(0, g²/H), whose dynamics without input turn from order to chaos at g = 1
(Sompolinsky, Crisanti & Sommers 1988).
"""

from collections.abc import Iterator

from rnnbench import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run, Study, run_script

STARTS = (
    *((CellConfig(name), "default") for name in ("rnn", "gru", "lstm")),
    *((CellConfig("rnn"), init) for init in ("orthogonal", "identity", "glorot")),
    *((CellConfig("lstm"), init) for init in ("orthogonal", "chrono")),
    (CellConfig("gru"), "chrono"),
    *((CellConfig("lstm", {"forget_bias": float(bias)}), "default") for bias in range(6)),
    *((CellConfig("rnn", {"gain": gain}), "default") for gain in (0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0)),
)


def runs(seeds: int, tokens: int) -> Iterator[Run]:
    for seed in range(seeds):
        for cell, init in STARTS:
            yield Run(
                cell=cell,
                model=ModelConfig(init=init),  # type: ignore[arg-type]
                data=DataConfig("kjv", seq_len=128, batch_size=16),
                budget=BudgetConfig(tokens=tokens, evals=2),
                probes=ProbeConfig(seq_len=256, batch_size=16, lyapunov=3, detail=True),
                seed=seed,
            )


STUDY = Study(
    name="initialisation",
    question="What does the start do to how far gradients reach, and how much of it is left after training?",
    presets={"quick": lambda: runs(seeds=5, tokens=200_000), "full": lambda: runs(seeds=10, tokens=5_000_000)},
)

if __name__ == "__main__":
    run_script()

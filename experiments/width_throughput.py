"""How does the time of a step grow with the width, at one length and one batch?"""

from collections.abc import Iterator, Sequence

from rnnbench import CellConfig, Study, Timing, run_script

CELLS = tuple(map(CellConfig, ("rnn", "lstm", "gru", "mingru")))
CPU = ("torch", "scan", "loop", "plain")
GPU = ("torch", "scan", "fla", "graph", "loop")


def timings(widths: Sequence[int], seq_len: int, batch_size: int, backends: Sequence[str]) -> Iterator[Timing]:
    for hidden_size in widths:
        yield Timing(
            cells=CELLS, backends=tuple(backends), seq_len=seq_len, batch_size=batch_size, hidden_size=hidden_size
        )


STUDY = Study(
    name="width_throughput",
    question="How does the time of a training step grow with the width, and how near does it come to the ceiling?",
    presets={
        "quick": lambda: timings((32, 64, 128, 256), 64, 16, CPU),
        "full": lambda: timings([2**k for k in range(5, 12)], 64, 32, CPU),
        "gpu": lambda: timings((128, 256, 512, 1024, 2048), 64, 64, GPU),
    },
)

if __name__ == "__main__":
    run_script()

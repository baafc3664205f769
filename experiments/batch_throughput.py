"""How does the time of a step grow with the batch, at one length and one width?"""

from collections.abc import Iterator, Sequence

from rnnbench import CellConfig, Study, Timing

CELLS = tuple(map(CellConfig, ("rnn", "lstm", "gru", "mingru")))
CPU = ("torch", "scan", "loop", "plain")
GPU = ("torch", "scan", "fla", "graph", "loop")


def timings(batches: Sequence[int], seq_len: int, hidden_size: int, backends: Sequence[str]) -> Iterator[Timing]:
    for batch_size in batches:
        yield Timing(
            cells=CELLS,
            backends=tuple(backends),
            seq_len=seq_len,
            batch_size=batch_size,
            hidden_size=hidden_size,
        )


STUDY = Study(
    name="batch_throughput",
    question="How does the time of a training step grow with the batch, and from where on does a larger one pay?",
    presets={
        "quick": lambda: timings((1, 4, 16, 64), 64, 128, CPU),
        "full": lambda: timings([2**k for k in range(11)], 64, 256, CPU),
        "gpu": lambda: timings((1, 16, 64, 256, 1024), 64, 512, GPU),
    },
)

if __name__ == "__main__":
    STUDY.main()

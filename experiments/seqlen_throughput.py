"""How fast does a layer run at each length, and on which backend?

Tokens per step are held constant: batch × length is the same everywhere.
"""

from collections.abc import Iterator, Sequence

from rnnbench import CellConfig, Study, Timing
from rnnbench.throughput.timing import Dtype

CELLS = tuple(map(CellConfig, ("rnn", "lstm", "gru", "mingru")))
#: Ours, and beside them torch's own module and the loop that everyone writes.
CPU = ("torch", "nn", "scan", "loop", "plain")
#: On a GPU a loop over time is thousands of small kernels; captured as one CUDA graph it is the fastest that most cells
#: get. Beyond `LOOPS_END` steps neither is worth the wait, and only what runs a sequence in one call goes on.
GPU = ("torch", "nn", "scan", "flashrnn", "fla", "accelerated_scan", "graph", "loop", "plain")
LOOPS_END, GRAPHS_END = 256, 1024


def timings(
    lengths: Sequence[int], tokens: int, hidden_size: int, backends: Sequence[str] = CPU, dtype: Dtype = "float32"
) -> Iterator[Timing]:
    for seq_len in lengths:
        yield Timing(
            cells=CELLS,
            backends=tuple(backends),
            seq_len=seq_len,
            batch_size=max(1, tokens // seq_len),
            hidden_size=hidden_size,
            dtype=dtype,
        )


def on_a_gpu() -> Iterator[Timing]:
    def able(seq_len: int) -> list[str]:
        gone = {"loop", "plain"} if seq_len > LOOPS_END else set()
        return [name for name in GPU if name not in gone | ({"graph"} if seq_len > GRAPHS_END else set())]

    formats: dict[Dtype, tuple[int, ...]] = {
        "float32": (64, 256, 1024, 4096, 16_384),
        "tf32": (256, 1024),
        "bfloat16": (64, 256, 1024, 4096),
    }
    for dtype, lengths in formats.items():
        for seq_len in lengths:
            yield from timings((seq_len,), 16_384, 256, able(seq_len), dtype)


STUDY = Study(
    name="seqlen_throughput",
    question="How fast does a layer run at each length, forward and backward, on which backend?",
    presets={
        "quick": lambda: timings((16, 64, 256, 1024), tokens=2048, hidden_size=128),
        "full": lambda: timings([2**k for k in range(5, 15)], tokens=16_384, hidden_size=256),
        "gpu": on_a_gpu,
    },
)

if __name__ == "__main__":
    STUDY.main()

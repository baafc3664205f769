"""How fast does a layer run at each length, and on which backend?

Tokens per step are held constant: batch × length is the same everywhere.
"""

from collections.abc import Iterator

from rnnbench import Study, Timing

#: On a GPU the loop is a thousand small kernels: captured as a CUDA graph it is the fastest that any cell gets.
ON_A_GPU = ("torch", "scan", "graph", "loop")


def timings(
    lengths: tuple[int, ...], tokens: int, hidden_size: int, samples: int, backends: tuple[str, ...] = ()
) -> Iterator[Timing]:
    for seq_len in lengths:
        yield Timing(
            backends=backends,
            seq_len=seq_len,
            batch_size=max(1, tokens // seq_len),
            hidden_size=hidden_size,
            samples=samples,
        )


STUDY = Study(
    name="seqlen_throughput",
    question="How fast does a layer run at each length, forward and backward, on which backend?",
    presets={
        "quick": lambda: timings((16, 64, 256), tokens=2048, hidden_size=128, samples=30),
        "full": lambda: timings((32, 64, 128, 256, 512, 1024, 2048, 4096), tokens=16_384, hidden_size=256, samples=50),
        "gpu": lambda: timings((64, 256, 1024), tokens=16_384, hidden_size=256, samples=30, backends=ON_A_GPU),
    },
)

if __name__ == "__main__":
    STUDY.main()

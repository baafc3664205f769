"""How fast does a layer run along the length, and along the batch, and on which backend?

Two questions, each with all else the same: sequences grow at a fixed batch, and the batch grows at a fixed length. At a
constant number of tokens the batch would shrink as the sequences grow, and what a small batch costs would be taken for
what a length costs.
"""

from collections.abc import Iterator, Sequence

from rnnbench import CellConfig, Panel, Study, Timing, run_script
from rnnbench.config.timing import Dtype

CELLS = tuple(map(CellConfig, ("rnn", "lstm", "gru", "mingru")))
#: Ours, and beside them torch's own module and the loop that everyone writes.
CPU = ("torch", "nn", "scan", "loop", "plain")
#: On a GPU a loop over time is thousands of small kernels; captured as one CUDA graph it is the fastest that most cells
#: get. Beyond `LOOPS_END` steps neither is worth the wait, and only what runs a sequence in one call goes on.
GPU = ("torch", "nn", "scan", "flashrnn", "fla", "accelerated_scan", "graph", "loop", "plain")
LOOPS_END, GRAPHS_END = 256, 1024


def timing(backends: Sequence[str], T: int, B: int, H: int, dtype: Dtype = "float32") -> Timing:
    return Timing(cells=CELLS, backends=tuple(backends), seq_len=T, batch_size=B, hidden_size=H, dtype=dtype)


def on_a_cpu(lengths: Sequence[int], fixed: Sequence[int], batches: Sequence[int], H: int) -> Iterator[Panel]:
    along = [timing(CPU, T, B, H) for B in fixed for T in lengths]
    yield Panel("length", f"Longer sequences at a fixed batch of {' or '.join(map(str, fixed))}.", along, "seq_len")
    across = [timing(CPU, 64, B, H) for B in batches]
    yield Panel("batch", "A larger batch at a fixed length of 64.", across, "batch_size")


def on_a_gpu() -> Iterator[Panel]:
    def able(T: int) -> list[str]:
        gone = {"loop", "plain"} if T > LOOPS_END else set()
        return [name for name in GPU if name not in gone | ({"graph"} if T > GRAPHS_END else set())]

    lengths = {"float32": (64, 256, 1024, 4096), "tf32": (256, 1024), "bfloat16": (64, 256, 1024, 4096)}
    along = [timing(able(T), T, 64, 256, dtype) for dtype, some in lengths.items() for T in some]  # type: ignore[arg-type]
    yield Panel("length", "Longer sequences at a fixed batch of 64.", along, "seq_len")
    batches = [timing(able(256), 256, B, 256) for B in (1, 16, 64, 256, 1024)]
    yield Panel("batch", "A larger batch at a fixed length of 256.", batches, "batch_size")


STUDY = Study(
    name="seqlen_throughput",
    question="How fast does a layer run along the length and along the batch, forward and backward, on which backend?",
    presets={
        "quick": lambda: on_a_cpu((16, 64, 256, 1024), fixed=(2, 8), batches=(1, 2, 8, 32), H=128),
        "full": lambda: on_a_cpu([2**k for k in range(4, 13)], (2, 32), [2**k for k in range(11)], H=256),
        "gpu": on_a_gpu,
    },
)

if __name__ == "__main__":
    run_script()

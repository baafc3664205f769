"""How long does one stream wait for its next symbol?

A symbol is a call of its own, the state handed on; nothing but the layers is timed.
"""

from collections.abc import Iterator, Sequence

from rnnbench import CellConfig, Study, Timing, run_script

CELLS = tuple(map(CellConfig, ("rnn", "lstm", "gru", "mingru", "mamba", "mlstm", "transformer")))
CPU = ("torch", "nn", "scan", "window", "loop", "plain")
GPU = ("torch", "nn", "scan", "window", "graph", "loop", "plain")


def timings(widths: Sequence[int], symbols: int, backends: Sequence[str]) -> Iterator[Timing]:
    for hidden_size in widths:
        yield Timing(
            cells=CELLS,
            backends=tuple(backends),
            seq_len=symbols,
            batch_size=1,
            hidden_size=hidden_size,
            what="decoding",
        )


STUDY = Study(
    name="decode_latency",
    question="How long does one stream wait for its next symbol, on which backend?",
    presets={
        "quick": lambda: timings((64, 128, 256), 16, CPU),
        "full": lambda: timings((64, 128, 256, 512, 1024), 64, CPU),
        "gpu": lambda: timings((128, 512, 2048), 32, GPU),
    },
)

if __name__ == "__main__":
    run_script()

"""The shapes of published benchmarks, so that their tables can be laid beside ours.

- glample's rnn-benchmarks (2016): microseconds a sequence, training and forward only; T 30, input as wide as the layer.
- Baidu's DeepBench (2016–2017), recurrent kernels, training set: (H, B, T) for a plain RNN, LSTM and GRU.
- FlashRNN (Pöppel, Beck & Hochreiter 2024): heads × width 768 in all, T 1024, bfloat16; here one head, 1 × 768, which
  is the shape that torch has as well.
- Braun, "LSTM benchmarks for deep learning frameworks" (2018): input 123, one layer of 320, and four of 320 both ways.
"""

import dataclasses
from collections.abc import Iterable, Iterator

from rnnbench import CellConfig, Study, Timing, run_script
from rnnbench.config.timing import Dtype

GLAMPLE = [("lstm", hidden, batch, 30) for batch in (32, 128) for hidden in (128, 512, 1024)]
GLAMPLE += [("rnn", hidden, batch, 30) for batch in (32, 128) for hidden in (128, 512, 1024)]
DEEPBENCH = [
    *(("rnn", hidden, batch, 50) for hidden in (1760, 2048, 2560) for batch in (16, 32, 64, 128)),
    *(("lstm", hidden, batch, 25) for hidden in (512, 1024, 2048, 4096) for batch in (16, 32, 64, 128)),
    *(("lstm", 1536, batch, 50) for batch in (8, 16, 32)),
    *(("lstm", 256, batch, 150) for batch in (16, 32, 64)),
    *(("gru", hidden, 32, length) for hidden in (1536, 2048, 2560) for length in (187, 375, 750, 1500)),
    *(("gru", 2816, 32, length) for length in (187, 375, 750)),
    *(("gru", 1024, batch, 1500) for batch in (32, 64)),
]
FLASHRNN = [(cell, 768, batch, 1024) for cell in ("rnn", "lstm", "gru") for batch in (2, 16, 256)]
FLASHRNN += [(cell, 768, 16, length) for cell in ("rnn", "lstm", "gru") for length in (256, 512, 2048)]
BRAUN = [
    Timing(
        cells=(CellConfig("lstm"),),
        seq_len=seq_len,
        batch_size=batch,
        hidden_size=320,
        input_size=123,
        num_layers=layers,
        bidirectional=layers > 1,
    )
    for batch, seq_len in ((64, 100), (32, 1000))
    for layers in (1, 4)
]

CPU = ("torch", "nn", "loop", "plain")
GPU = ("torch", "nn", "flashrnn", "graph")

Shape = tuple[str, int, int, int]


def timing(shape: Shape) -> Timing:
    cell, hidden_size, batch_size, seq_len = shape
    return Timing(cells=(CellConfig(cell),), seq_len=seq_len, batch_size=batch_size, hidden_size=hidden_size)


def on(jobs: Iterable[Timing], backends: tuple[str, ...], dtype: Dtype = "float32") -> Iterator[Timing]:
    for job in jobs:
        yield dataclasses.replace(job, backends=backends, dtype=dtype)


def everything() -> Iterator[Timing]:
    yield from on([*map(timing, GLAMPLE), *map(timing, DEEPBENCH), *BRAUN], CPU)
    yield from on(map(timing, FLASHRNN), CPU, "bfloat16")


def on_a_gpu() -> Iterator[Timing]:
    """A choice that fits into ten minutes: the largest and the smallest of each series."""
    yield from on([timing(shape) for shape in GLAMPLE if shape[2] == 32], GPU)
    chosen = [shape for shape in DEEPBENCH if shape[2] == 32 and shape[3] < 400 and shape[1] != 2048]
    yield from on([timing(shape) for shape in chosen], GPU)
    yield from on([timing(shape) for shape in FLASHRNN if shape[2] == 16], GPU, "bfloat16")
    yield from on([job for job in BRAUN if job.seq_len == 100], GPU)


STUDY = Study(
    name="published_shapes",
    question="What do the shapes of published benchmarks cost here?",
    presets={
        "quick": lambda: on([timing(shape) for shape in GLAMPLE if shape[1] < 1024 and shape[2] == 32], CPU),
        "full": everything,
        "gpu": on_a_gpu,
    },
)

if __name__ == "__main__":
    run_script()

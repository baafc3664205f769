"""What a token costs, in closed form, what this device can do, and the time that follows from the two.

FLOPs are those of the matrix products as the cell declares them, two a multiply-add, counted on the meta device with
the loop: exact polynomials of I and H. Bytes are the compulsory traffic: every tensor that goes into a pass or comes
out of it is moved once, and what is between them stays on the chip. No implementation does less; so the larger of FLOPs
over the measured product rate and bytes over the measured copy bandwidth is a floor. The copy is as large as what a
call moves: what fits into a cache is moved at the cache's rate. (Williams, Waterman & Patterson 2009, "Roofline".)

No loop over time reaches the rate of a large square product: each step's product with the state waits for the last
one's, and is as small as (B × H)(H × 4H). So the rate of that product is measured as well, in the same rounds, and
gives the floor of a loop, in which the sequential FLOPs go at this rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from rnnbench.backends.dispatch import BACKENDS
from rnnbench.backends.layers import Layers, run_layers
from rnnbench.cells.side_inputs import completed
from rnnbench.cells.weights import count_weights
from rnnbench.cells.window_cell import WindowCell
from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.throughput.clock import DeviceClock, Seconds

#: Adam reads a weight, its gradient and two moments, and writes the weight and the moments.
ADAM = 7
#: By device: side of the square product.
SIZES = {"cpu": 1024, "cuda": 8192}
#: Bytes read and written by one copy, at the least and at most: beyond that there is no cache.
LEAST, MOST = 2**18, 2**31
#: FLOPs of all small products of a turn, at the least; and the rows and columns beyond which a product is not small.
STEP_FLOPS, LARGEST_STEP = 2e8, 2048
#: Bytes moved by all copies of a turn, at the least, so that the clock can tell.
TURN = 2**25


class Work(NamedTuple):
    """Of one call on B·T tokens: FLOPs of matrix products, bytes of compulsory traffic."""

    flops: float
    bytes: float
    #: The FLOPs that a loop over time does one step at a time: the products with the state, forwards and backwards; the
    #: weights' gradient is one product over all time.
    sequential: float

    def floor(self, ceiling: Ceiling) -> float:
        """The least seconds that it takes."""
        return max(self.flops / ceiling.gemm, self.bytes / ceiling.copy)

    def loop_floor(self, ceiling: Ceiling) -> float:
        """The least seconds that a loop over time takes."""
        return self.sequential / ceiling.step + max(
            (self.flops - self.sequential) / ceiling.gemm, self.bytes / ceiling.copy
        )


class Ceiling(NamedTuple):
    """The measured rates of the device: FLOP/s of a large square product, bytes/s read and written by a copy, and
    FLOP/s of the product of one time step, (B × H)(H × 4H).
    """

    gemm: float
    copy: float
    step: float


def work_of(job: Timing, cell: CellConfig) -> dict[str, Work]:
    """``forward`` (inference) and ``step`` (forward, backward, update) of B·T tokens; or ``decode``, of a symbol."""
    with torch.random.fork_rng(devices=[]):
        layers = Layers(cell, job.width, job.hidden_size, job.num_layers, job.bidirectional).to("meta")
    item = {"float64": 8, "bfloat16": 2}.get(job.dtype, 4)
    weights, trained = count_weights(layers).total, count_weights(layers).trainable
    read, written = job.width + (job.num_layers - 1) * layers.width, job.num_layers * layers.width
    inference, training = (job.tokens * flops for flops in flops_per_token(layers))
    sequential = job.tokens * sequential_per_token(layers)
    forward = Work(inference, item * (job.tokens * (read + written) + weights), sequential)
    if job.what == "decoding":
        return {"decode": forward}
    # Backward reads x, ∂y and the weights, and writes ∂x and the gradient of those that are trained.
    backward = item * (job.tokens * (2 * read + written) + weights + trained)
    moved = forward.bytes + backward + item * ADAM * trained
    return {"forward": forward, "step": Work(training, moved, 2 * sequential)}


def flops_per_token(layers: Layers) -> tuple[float, float]:
    """Inference, and forward and backward, of one token inside a long sequence; ``layers`` are on the meta device.

    A `WindowCell` runs on the window backend, as the loop computes every window anew: a token costs what it adds, once
    the window is full.
    """
    window = max((cell.window for cell in layers.cells if isinstance(cell, WindowCell)), default=0)
    if window:
        short, long = (_counted(layers, time, "window") for time in (window, 2 * window))
        return (long[0] - short[0]) / window, (long[1] - short[1]) / window
    time = 4
    inference, training = _counted(layers, time, "loop")
    return inference / time, training / time


def sequential_per_token(layers: Layers) -> float:
    """FLOPs of one inference step's matrix products with the state, of one token; ``layers`` are on the meta device.

    0 for cells whose state is multiplied by no matrix, and for a `WindowCell`, which needs no loop.
    """
    total = 0
    for cell in layers.cells:
        if isinstance(cell, WindowCell):
            continue
        x = torch.zeros(1, 1, cell.input_size, device="meta")
        with cell.beside(completed(cell.needs, None, x), None):
            u = cell.driven(x)[:, 0]
        with torch.inference_mode(), cell.unrolled(), FlopCounterMode(display=False) as counter:
            cell.step(u, cell.initial_state(1))
        total += counter.get_total_flops()
    return float(total)


def _counted(layers: Layers, time: int, backend: str) -> tuple[int, int]:
    """FLOPs of inference, and of forward and backward, over so many time steps."""
    counts = []
    for learns in (False, True):
        x = torch.zeros(1, time, layers.input_size, device="meta", requires_grad=learns)
        # With a gradient into the first state each step costs what it costs inside a long sequence.
        states = [state.requires_grad_(learns) for state in layers.initial_state(1)]
        with torch.inference_mode(False), torch.set_grad_enabled(learns), FlopCounterMode(display=False) as counter:
            y, _ = run_layers(layers, x, states, BACKENDS[backend])
            if learns:
                y.sum().backward()
        counts.append(counter.get_total_flops())
    return counts[0], counts[1]


@dataclass
class Ceilings:
    """The three ceilings, to be measured among the contestants; ``bytes`` is what the largest call moves."""

    #: The parts of a turn.
    PARTS = ("gemm", "copy", "step")

    dtype: torch.dtype
    device: torch.device
    bytes: float
    batch_size: int
    hidden_size: int

    def __post_init__(self) -> None:
        self.size = SIZES[self.device.type]
        self.elements = int(min(max(self.bytes, LEAST), MOST)) // 8  # float32, read and written
        self.repeats = max(1, TURN // (8 * self.elements))
        self.a, self.b = (torch.randn(self.size, self.size, device=self.device).to(self.dtype) for _ in range(2))
        self.product = torch.empty_like(self.a)
        rows, width = min(self.batch_size, LARGEST_STEP), min(self.hidden_size, LARGEST_STEP)
        shapes = ((rows, width), (width, 4 * width))
        self.state, self.weight = (torch.randn(*shape, device=self.device).to(self.dtype) for shape in shapes)
        self.step_flops = 8.0 * rows * width**2
        self.stepped = torch.empty(rows, 4 * width, device=self.device, dtype=self.dtype)
        self.steps = int(min(max(STEP_FLOPS / self.step_flops, 1), 4096))
        self.source = torch.zeros(self.elements, device=self.device)
        self.target = torch.zeros_like(self.source)

    def turn(self, clock: DeviceClock) -> tuple[Seconds, ...]:
        """Of a square product, of all copies, and of all products of a step."""

        def copy() -> None:
            for _ in range(self.repeats):
                self.target.copy_(self.source)

        def step() -> None:
            for _ in range(self.steps):
                torch.mm(self.state, self.weight, out=self.stepped)

        return clock.time(lambda: torch.mm(self.a, self.b, out=self.product), copy, step)

    def ceiling(self, product: float, copy: float, step: float) -> Ceiling:
        """From seconds to rates."""
        copied = 8.0 * self.elements * self.repeats
        return Ceiling(2.0 * self.size**3 / product, copied / copy, self.step_flops * self.steps / step)

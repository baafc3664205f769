"""What a token costs, counted by running a training step on the meta device."""

from __future__ import annotations

import copy
import math
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from rnnbench.cells.window_cell import WindowCell
from rnnbench.data.task import Batch, Task
from rnnbench.models.build import Model
from rnnbench.models.stack import Stack

#: Elementwise operations that torch does not tag as such.
_UNTAGGED = {
    torch.ops.aten.softplus_backward.default,
    torch.ops.aten.log_sigmoid_forward.default,
    torch.ops.aten.log_sigmoid_backward.default,
}


class Cost(NamedTuple):
    """Forward and backward of one token: floating-point operations of matrix products, two a multiply-add, and numbers
    written by elementwise operations, where a cell without recurrent matrices does its work.
    """

    flops: float
    pointwise: float


class _PointwiseCounter(TorchDispatchMode):
    """Sums the sizes of what elementwise operations return."""

    written = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if torch.Tag.pointwise in func.tags or func in _UNTAGGED:
            self.written += (out if isinstance(out, torch.Tensor) else out[0]).numel()
        return out


def cost_per_token(model: Model, task: Task, seq_len: int = 16) -> Cost:
    """What a training step computes for one token.

    Counted with the loop backend, where every operation is visible: fused kernels hide theirs. The incoming state
    requires a gradient, so that each step costs what it costs inside a long sequence. A `WindowCell` runs on the window
    backend instead, as the loop computes every window anew: a token costs what it adds, once the window is full. A
    decoder writes as many symbols as are read, so a token is one of each, and the scores of its attention are those
    over ``seq_len`` of them. Where one vector is read, a token is that vector and its answer, or of a decoder a symbol
    written and its share of the vector.

    Elementwise work is what one more step of one more sequence adds: operations on weights alone, above all the sum of
    their gradients over time, do not count.
    """
    single = task.shape == "one_to_one"  # nothing comes after its step, and no window fills
    window = 0 if single else max((cell.window for cell in model.cells if isinstance(cell, WindowCell)), default=0)
    with torch.inference_mode(False), torch.enable_grad():
        twin = copy.deepcopy(model).to("meta")
        for stack in (part for part in twin.modules() if isinstance(part, Stack)):
            stack.backend = "window" if window else "loop"
        if single:
            return Cost(_products(twin, task, 1), _sequence(twin, task, 1))
        if window:
            flops = (_products(twin, task, 2 * window) - _products(twin, task, window)) / window
        else:
            # Where the gradient is cut: over whole pieces, each with its cut.
            pieces = {part.truncate for part in twin.modules() if isinstance(part, Stack) and part.truncate is not None}
            whole = max((piece * math.ceil(seq_len / piece) for piece in pieces), default=seq_len)
            if pieces or task.writes:
                flops = _products(twin, task, whole) / whole
            else:  # each further step costs the same: two short sequences tell what a long one costs
                first, second = _products(twin, task, 2), _products(twin, task, 3)
                flops = (first + (whole - 2) * (second - first)) / whole
        short, long = (window, 2 * window) if window else (2, 3)
        pointwise = (_sequence(twin, task, long) - _sequence(twin, task, short)) / (long - short)
    return Cost(flops, pointwise)


def _products(model: Model, task: Task, time: int) -> int:
    with FlopCounterMode(display=False) as counter:
        _train(model, task, 1, time)
    return counter.get_total_flops()


def _sequence(model: Model, task: Task, time: int) -> int:
    """Elementwise work of one more sequence; not of the second, for torch takes short cuts where there is one."""
    written = []
    for batch in (2, 3):
        with _PointwiseCounter() as counter:
            _train(model, task, batch, time)
        written.append(counter.written)
    return written[1] - written[0]


def _train(model: Model, task: Task, batch: int, time: int) -> None:
    """Forward and backward of zeros; as many of the ``time`` steps as the task has are read."""
    read = 1 if task.shape in ("one_to_one", "one_to_many") else time
    shape = (batch, read) if task.reads == "tokens" else (batch, read, task.input_size)
    x = torch.zeros(shape, dtype=torch.long if task.reads == "tokens" else torch.float32, device="meta")
    targets = torch.zeros((batch, time), dtype=torch.long, device="meta")
    state = None if task.writes else [cell.initial_state(batch).detach().requires_grad_() for cell in model.cells]
    model.predict(Batch(x, targets), state)[0].sum().backward()

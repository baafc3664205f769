"""The loop captured as CUDA graphs and replayed: all of its kernels are launched at once, for any cell."""

from __future__ import annotations

import copy
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from rnnbench.backends.backend import Backend, Output, Request
from rnnbench.backends.loop import Loop
from rnnbench.cells.cell import Cell
from rnnbench.errors import UserError

#: Kinds of run (shapes, dtype, gradients or not) that are kept for each cell; the one unused for longest goes first.
KEPT = 4


class Recording(Protocol):
    """A run over time at fixed shapes, from fixed buffers into fixed buffers: a forward overwrites the one before.

    It reads a cell's weights where they are, so a step of the optimiser needs no new recording.
    """

    def forward(self, x: Tensor, state: Tensor) -> Sequence[Tensor]:
        """x (B, T, I), state (B, *S) → y (B, T, H) and the last state, in its own buffers."""

    def backward(self, cotangents: Sequence[Tensor]) -> Sequence[Tensor | None]:
        """∂ℓ/∂(y, last state) of the last forward → ∂ℓ/∂(x, state, *parameters), in its own buffers; None where none.

        Once a forward, whose kept activations it may overwrite.
        """


#: From a cell, which the recording may keep, to a recording of a run from such an x and state, with gradients or not.
Record = Callable[[Cell, Tensor, Tensor, bool], Recording]


class Lease:
    """A recording in use: idle again after `end`, or once nothing refers to the lease any more.

    Until its backward has run a recording's buffers hold that backward's activations, which the next chunk of the
    sequence must not overwrite. An autograd node holds the lease, so a graph that is thrown away ends it.
    """

    def __init__(self, recording: Recording, idle: list[Recording]) -> None:
        self.recording = recording
        self.end = weakref.finalize(self, idle.append, recording)
        self.end.atexit = False


class _Replay(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, lease: Lease, x: Tensor, state: Tensor, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.lease = lease
        ctx.save_for_backward(*parameters)
        return tuple(output.clone() for output in lease.recording.forward(x, state))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        _ = ctx.saved_tensors  # autograd checks that nobody has written to the weights since the forward
        if not ctx.lease.end.alive:
            raise UserError("the backend graph has one backward for each forward; take the backend loop for a second.")
        gradients = [None if g is None else g.clone() for g in ctx.lease.recording.backward(cotangents)]
        ctx.lease.end()
        return None, *gradients


class Graph(Backend):
    """Captures the loop, and its backward, once for each kind of run and replays them.

    Weights are read in place; a cell whose weights are other tensors than before (a cast, another device) is captured
    anew. A gradient of a gradient is refused by autograd. ``record`` is how a run is recorded.
    """

    name = "graph"
    #: Until it has been measured on a card; then it may stand before the loop.
    on_request_only = True

    def __init__(self, record: Record | None = None) -> None:
        self._record: Record = record or CudaRecording
        #: For each cell what its weights were, and by kind of run the idle recordings: as many as were in use at once.
        self._kept: weakref.WeakKeyDictionary[Cell, tuple[object, OrderedDict[object, list[Recording]]]]
        self._kept = weakref.WeakKeyDictionary()

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if request.device.type != "cuda":
            return "CUDA graphs need a CUDA device"
        if request.tap:
            return "a captured graph takes no tap"
        if request.states:
            return "it keeps the last state only, not every state"
        if cell.stochastic or cell.needs:
            return "a captured graph takes no input but x, and this cell has draws or side inputs"
        return None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Output:
        parameters = list(cell.parameters())
        learns = torch.is_grad_enabled() and any(t.requires_grad for t in (x, state, *parameters))
        idle = self._idle(cell, x, state, learns)
        lease = Lease(idle.pop() if idle else self._recorded(cell, x, state, learns), idle)
        if learns:
            y, last = _Replay.apply(lease, x, state, *parameters)
        else:
            y, last = (output.clone() for output in lease.recording.forward(x, state))  # the lease ends with this call
        return y, last

    def _idle(self, cell: Cell, x: Tensor, state: Tensor, learns: bool) -> list[Recording]:
        """The idle recordings of such a run, which may be none."""
        weights = tuple((t.data_ptr(), t.dtype, t.requires_grad) for t in (*cell.parameters(), *cell.buffers()))
        known = self._kept.get(cell)
        if known is None or known[0] != weights:
            known = self._kept[cell] = (weights, OrderedDict())
        tensors = tuple((t.shape, t.dtype, t.device, learns and t.requires_grad) for t in (x, state))
        kind = (tensors, learns, cell.training, _autocast(x))
        idle = known[1].setdefault(kind, [])
        known[1].move_to_end(kind)
        if len(known[1]) > KEPT:
            known[1].popitem(last=False)
        return idle

    def _recorded(self, cell: Cell, x: Tensor, state: Tensor, learns: bool) -> Recording:
        enabled, dtype = _autocast(x)
        # The buffers outlive this call, so they must not be inference tensors, which nothing may write to outside; and
        # a cast of a weight that autocast has in its cache would be baked in.
        with (
            torch.inference_mode(False),
            torch.set_grad_enabled(learns),
            torch.autocast(x.device.type, dtype, enabled, cache_enabled=False),
        ):
            x, state = (t.detach().clone().requires_grad_(learns and t.requires_grad) for t in (x, state))
            try:
                return self._record(_twin(cell), x, state, learns)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                reason = str(error).strip().partition("\n")[0].rstrip(".")
                raise UserError(
                    f"{type(cell).__name__} cannot be captured as a CUDA graph ({reason}); take another backend."
                ) from error


class CudaRecording:
    """A `Recording` of two CUDA graphs, the second only with gradients; x and state become its buffers."""

    def __init__(self, cell: Cell, x: Tensor, state: Tensor, learns: bool) -> None:
        self.inputs = (x, state)
        leaves = [x, state, *cell.parameters()]
        # A capture that fails leaves its stream the current one: the outer context sets it back.
        with torch.cuda.device(x.device), torch.cuda.stream(torch.cuda.current_stream(x.device)):
            # Everything on one stream, also the autograd nodes of the leaves, which remember where they were created.
            stream = _stream(x.device)
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(3):  # what libraries allocate and tune at their first calls cannot be captured
                    outputs = Loop().run(cell, x, state, None, False)
                    self.cotangents = [torch.zeros_like(output) for output in outputs]
                    if learns:
                        gradients(outputs, self.cotangents, leaves)
                del outputs
            torch.cuda.current_stream().wait_stream(stream)
            # thread_local: a data loader's thread that pins memory meanwhile does not break the capture.
            how: Any = {"stream": stream, "capture_error_mode": "thread_local"}
            self.forwards, self.backwards = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
            with torch.cuda.graph(self.forwards, **how):
                outputs = Loop().run(cell, x, state, None, False)
            if learns:
                with torch.cuda.graph(self.backwards, pool=self.forwards.pool(), **how):
                    self.gradients = gradients(outputs, self.cotangents, leaves)
        # Detached: the graph's own autograd graph is done with. The leaves are read by the replays.
        self.outputs, self.leaves = [output.detach() for output in outputs], leaves

    @torch.no_grad()
    def forward(self, x: Tensor, state: Tensor) -> Sequence[Tensor]:
        for buffer, value in zip(self.inputs, (x, state), strict=True):
            buffer.copy_(value)
        self.forwards.replay()
        return self.outputs

    @torch.no_grad()
    def backward(self, cotangents: Sequence[Tensor]) -> Sequence[Tensor | None]:
        for buffer, value in zip(self.cotangents, cotangents, strict=True):
            buffer.copy_(value)
        self.backwards.replay()
        return self.gradients


def gradients(outputs: Sequence[Tensor], cotangents: Sequence[Tensor], leaves: Sequence[Tensor]) -> list[Tensor | None]:
    """One a leaf, None where it needs none or has no part in the outputs."""
    pairs = [(o, c) for o, c in zip(outputs, cotangents, strict=True) if o.requires_grad]
    wanted = [leaf for leaf in leaves if leaf.requires_grad]
    taken = iter(torch.autograd.grad([o for o, _ in pairs], wanted, [c for _, c in pairs], allow_unused=True))
    return [next(taken) if leaf.requires_grad else None for leaf in leaves]


@cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all captures on a device: cuBLAS keeps a workspace for every stream that it was called on."""
    return torch.cuda.Stream(device)


def _autocast(x: Tensor) -> tuple[bool, torch.dtype]:
    return torch.is_autocast_enabled(x.device.type), torch.get_autocast_dtype(x.device.type)


def _twin(cell: Cell) -> Cell:
    """A copy whose weights are other leaves in the same memory.

    The cell's own leaves may belong to a graph in flight, on another stream, which a capture must not touch. And a
    recording that kept the cell itself would keep it alive.
    """
    twin = copy.deepcopy(cell)
    for copied, original in zip(
        (*twin.parameters(), *twin.buffers()), (*cell.parameters(), *cell.buffers()), strict=True
    ):
        copied.data = original.detach()
    return twin

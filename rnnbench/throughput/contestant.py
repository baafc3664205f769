"""A contestant: layers on a backend, with their inputs, and the pieces of work that are timed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend
from rnnbench.backends.dispatch import BACKENDS
from rnnbench.backends.layers import Layers, run_layers
from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.throughput.clock import DeviceClock, Seconds, together
from rnnbench.throughput.external import EXTERNAL

#: What is timed, each apart. training: inference; the forward pass of training; its backward pass; the optimiser's
#: update; and the last three together. decoding: a symbol.
PARTS = {
    "training": ("forward", "train_forward", "backward", "update", "step"),
    "decoding": ("decode",),
}
#: The same as one CUDA graph, replayed.
REPLAYED = {"training": ("replay_forward", "replay_step"), "decoding": ("replay_decode",)}


def implementations() -> dict[str, Backend]:
    """Every backend and every external implementation, by name."""
    return {**BACKENDS, **EXTERNAL}


def dtype_of(job: Timing) -> torch.dtype:
    """The tensors' dtype; tf32 is a way to multiply float32."""
    return {"bfloat16": torch.bfloat16, "float64": torch.float64}.get(job.dtype, torch.float32)


@dataclass
class Contestant:
    """Layers on a backend. Gradients are taken by ``autograd.grad``: what is timed accumulates none."""

    #: CELL/BACKEND.
    name: str
    layers: Layers
    backend: Backend
    #: (B, T, I), requiring a gradient: there is a layer below.
    x: Tensor
    #: ∂ℓ/∂y, (B, T, W).
    cotangent: Tensor

    @classmethod
    def build(cls, job: Timing, config: CellConfig, backend: Backend, device: torch.device) -> Contestant:
        """As a job describes it: the same weights, inputs and cotangents each time."""
        torch.manual_seed(job.seed)
        layers = Layers(config, job.width, job.hidden_size, job.num_layers, job.bidirectional)
        dtype = dtype_of(job)
        layers.to(device=device, dtype=dtype)
        shape = (job.batch_size, job.seq_len)
        x, cotangent = (torch.randn(*shape, width, device=device) for width in (job.width, layers.width))
        name = f"{config.label}/{backend.name}"
        return cls(name, layers, backend, x.to(dtype).requires_grad_(), cotangent.to(dtype))

    def on(self, backend: Backend) -> Contestant:
        """The same weights and data on another backend.

        The layers are copied: on a GPU a backend may lay the weights out in memory as suits it.
        """
        name = f"{self.name.rpartition('/')[0]}/{backend.name}"
        return Contestant(name, copy.deepcopy(self.layers), backend, self.x, self.cotangent)

    def __post_init__(self) -> None:
        self.states = self.layers.initial_state(len(self.x))
        self.weights = [weight for weight in self.layers.parameters() if weight.requires_grad]

    @cached_property
    def symbols(self) -> list[Tensor]:
        """x one time step after the other, (B, 1, I) each."""
        return list(self.x.detach().split(1, dim=1))

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        """Adam that changes nothing: its work is the same at any learning rate."""
        return torch.optim.Adam(self.weights, lr=0.0, fused=True, capturable=self.x.is_cuda)

    def infer(self) -> Tensor:
        """The forward pass of inference."""
        with torch.inference_mode():
            return self.train_forward()

    def train_forward(self) -> Tensor:
        """The forward pass of training: y with its graph."""
        return run_layers(self.layers, self.x, self.states, self.backend)[0]

    def backward(self, y: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the input and of each parameter that is trained."""
        leaves = [self.x, *self.weights]
        return torch.autograd.grad(y, leaves, self.cotangent.to(y.dtype), allow_unused=True)

    def update(self, gradients: Sequence[Tensor]) -> None:
        """The optimiser's step, where there is something to update."""
        if not self.weights:
            return
        for parameter, gradient in zip(self.weights, gradients[1:], strict=True):
            parameter.grad = gradient
        self.optimizer.step()

    def step(self) -> None:
        """A whole training step."""
        self.update(self.backward(self.train_forward()))

    def decode(self, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """One symbol, (B, 1, I)."""
        with torch.inference_mode():
            return run_layers(self.layers, x, states, self.backend)

    def decode_all(self) -> None:
        """All symbols, one after the other."""
        states = self.states
        for x in self.symbols:
            _, states = self.decode(x, states)

    def once(self, what: str) -> Callable[[], object]:
        """A whole training step; of a decoding all its symbols."""
        return self.decode_all if what == "decoding" else self.step

    def cut(self, time: int) -> Contestant:
        """The same on the first so many time steps."""
        x = self.x.detach()[:, :time].contiguous().requires_grad_()
        return Contestant(self.name, self.layers, self.backend, x, self.cotangent[:, :time].contiguous())

    def turn(self, what: str, clock: DeviceClock) -> tuple[Seconds, ...]:
        """The seconds of each of `PARTS`; of a decoding, for one symbol."""
        if what == "decoding":
            return tuple(seconds.over(len(self.symbols)) for seconds in clock.time(self.decode_all))
        self.infer()  # untimed: the caches are full of another's work, which in a training they are not
        marks = [clock.start()]
        self.infer()
        marks.append(clock.mark())
        y = self.train_forward()
        marks.append(clock.mark())
        gradients = self.backward(y)
        marks.append(clock.mark())
        self.update(gradients)
        marks.append(clock.mark())
        inference, *parts = clock.seconds(marks)
        return inference, *parts, together(parts)


class Replay:
    """A contestant's work captured as CUDA graphs: the GPU alone, without Python between its kernels.

    Raises:
        RuntimeError: Something in it cannot be captured.
    """

    def __init__(self, contestant: Contestant, what: str) -> None:
        self.repeats = len(contestant.symbols) if what == "decoding" else 1
        if what == "decoding":
            x, states = contestant.symbols[0].clone(), [state.clone() for state in contestant.states]

            def symbol() -> None:
                with torch.inference_mode():
                    _, last = run_layers(contestant.layers, x, states, contestant.backend)
                    for state, new in zip(states, last, strict=True):
                        state.copy_(new)

            work: tuple[Callable[[], object], ...] = (symbol,)
        else:
            work = (contestant.infer, contestant.step)
        self.graphs = [self._captured(one) for one in work]

    @staticmethod
    def _captured(work: Callable[[], object]) -> torch.cuda.CUDAGraph:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):  # what libraries allocate and tune at their first calls cannot be captured
                work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            work()
        return graph

    def turn(self, clock: DeviceClock) -> tuple[Seconds, ...]:
        """The seconds of each of `REPLAYED`."""
        marks = [clock.start()]
        for graph in self.graphs:
            for _ in range(self.repeats):
                graph.replay()
            marks.append(clock.mark())
        return tuple(seconds.over(self.repeats) for seconds in clock.seconds(marks))

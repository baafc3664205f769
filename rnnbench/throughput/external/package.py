"""What a peer is: somebody else's code for a recurrence, run on our cell's weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from importlib.util import find_spec
from typing import ClassVar

import torch
from torch import Tensor

from rnnbench.backends.backend import Backend, Request
from rnnbench.cells.cell import Cell
from rnnbench.throughput.layers import Layers, run_layers


class ExternalImplementation(Backend):
    """A backend that is there to be timed against: never chosen by ``auto``, held to the same certificate."""

    on_request_only = True
    #: What to ``pip install`` for it; empty where it comes with torch.
    package: ClassVar[str] = ""

    def run_layers(self, layers: Layers, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """As `rnnbench.throughput.layers.run_layers`; a peer that runs several layers in one call does so here."""
        return run_layers(layers, x, states, self)


class PackageImplementation(ExternalImplementation):
    """Kernels of a package that need not be installed: it is looked for in `refusal` and imported in `run` only."""

    #: What is imported.
    module: ClassVar[str]

    @abstractmethod
    def unfit(self, cell: Cell) -> str | None:
        """None where the package has this cell's maths; else the reason, in words."""

    def refusal(self, cell: Cell, request: Request) -> str | None:
        if (reason := self.unfit(cell)) is not None:
            return reason
        if find_spec(self.module) is None:
            return f"{self.package} is not installed; pip install {self.package}"
        if request.tap or request.states:
            return f"{self.package} neither takes a tap nor returns every state"
        return self.elsewhere(request)

    def elsewhere(self, request: Request) -> str | None:
        """None on such a device and in such a number format; else the reason. Here what most kernels for GPUs take."""
        if request.device.type != "cuda":
            return f"{self.package} runs on a CUDA GPU only"
        if request.dtype not in (torch.float32, torch.bfloat16):
            return f"{self.package} is for float32 and bfloat16, not {request.dtype}"
        return None

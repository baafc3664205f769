"""A peer that is a package: whether it is there, and what it can be asked for."""

from __future__ import annotations

from abc import abstractmethod
from importlib.util import find_spec
from typing import ClassVar

import torch

from rnnbench.backends.backend import Request
from rnnbench.cells.cell import Cell
from rnnbench.throughput.peers.peer import Peer


class PackagePeer(Peer):
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

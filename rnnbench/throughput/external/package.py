"""An external package's code for a recurrence, run on our cell's weights."""

from __future__ import annotations

from abc import abstractmethod
from importlib.util import find_spec
from typing import ClassVar

import torch

from rnnbench.backends.backend import Backend, Request
from rnnbench.cells.cell import Cell


class PackageImplementation(Backend):
    """Kernels of a package that need not be installed: `refusal` looks for it, and only `run` imports it."""

    #: It is only a contestant.
    on_request_only = True
    #: The name to ``pip install``, and to import.
    package: ClassVar[str]
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

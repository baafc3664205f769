"""What a peer is: somebody else's code for a recurrence, run on our cell's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from rnnbench.backends.backend import Backend
from rnnbench.throughput.layers import Layers, run_layers


class Peer(Backend):
    """A backend that is there to be timed against: never chosen by ``auto``, held to the same certificate."""

    on_request_only = True
    #: What to ``pip install`` for it; empty where it comes with torch.
    package: ClassVar[str] = ""

    def run_layers(self, layers: Layers, x: Tensor, states: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """As `rnnbench.throughput.layers.run_layers`; a peer that runs several layers in one call does so here."""
        return run_layers(layers, x, states, self)

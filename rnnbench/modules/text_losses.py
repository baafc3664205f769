"""Where in the test text the loss lies: block by block of the stream, and by how long ago the state was zeroed.

Both look on while an evaluation scores its batches, so they cost no second pass, and sum to its very figures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnbench.data.task import Batch

Floats = NDArray[np.float64]

#: Characters in a block: neighbours are alike, and what is drawn anew by a bootstrap has to be long (protocol: ≥ 1000).
BLOCK = 1000


class StreamLosses:
    """The nats of every character of a stateful evaluation, put back into the order of the text.

    Such an evaluation cuts one stream into rows that lie one after the other, and reads them side by side, batch after
    batch; what a row reads only to warm up is not scored. So the rows' scored targets in turn are the text.
    """

    def __init__(self) -> None:
        self._nll: list[Tensor] = []
        self._scored: list[Tensor] = []

    def __call__(self, nll: Tensor, batch: Batch) -> None:
        """nll (B, T), the batch's nats, 0 where its mask is False."""
        self._nll.append(nll)
        self._scored.append(torch.ones_like(nll, dtype=torch.bool) if batch.mask is None else batch.mask)

    def each(self) -> Floats:
        """(N,) the nats of each target, from the text's first on."""
        values: Floats = torch.cat(self._nll, 1)[torch.cat(self._scored, 1)].double().cpu().numpy()
        return values

    def curves(self) -> dict[str, NDArray[Any]]:
        """``nll_blocks`` (K,), the mean nats of each block, and ``nll_block_sizes`` (K,), its characters.

        The last block may be shorter; it is kept, with its size: Σ mean · size / Σ size is the evaluation's nll.
        """
        each = self.each()
        starts = np.arange(0, len(each), BLOCK)
        sizes = np.diff(starts, append=len(each))
        return {"nll_blocks": np.add.reduceat(each, starts) / sizes, "nll_block_sizes": sizes}


class PositionLosses:
    """The nats of a stateless evaluation, by how many characters were read since the state was zeroed."""

    def __init__(self) -> None:
        self._sums, self._counts = torch.zeros(()), torch.zeros((), dtype=torch.int64)

    def __call__(self, nll: Tensor, batch: Batch) -> None:
        """nll (B, T), the batch's nats, 0 where its mask is False."""
        self._sums = self._sums.to(nll.device) + nll.double().sum(0)
        self._counts = self._counts.to(nll.device) + (len(nll) if batch.mask is None else batch.mask.sum(0))

    def curves(self) -> dict[str, NDArray[Any]]:
        """``nll_by_position`` (T,), the mean nats of each window's p-th target, and ``nll_position_sizes``, how many.

        The text's last window may be shorter than the others, so later positions may have one target less; where even
        the first one is, positions without any are left out. Σ mean · size / Σ size is the evaluation's nll.
        """
        sums = self._sums.cpu().numpy()
        sizes = self._counts.expand(sums.shape).cpu().numpy()
        seen = sizes > 0
        return {"nll_by_position": sums[seen] / sizes[seen], "nll_position_sizes": sizes[seen]}

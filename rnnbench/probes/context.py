"""How much a longer context helps: the prediction of the next symbol after m symbols, compared with after many.

The same N targets are scored at every context length m = 1, 2, 3, 4, 6, 8, 12, … p: the state is zeroed, the last m
symbols before the target are read, and the target alone is scored. ppl(m) = exp E[nll | m symbols since the reset] is
the position-wise perplexity, and bpc(m) − bpc(p) the context gain. As the targets are the same, what makes some of them
hard cancels in that difference, and a hundredth of a bit shows with some thousand of them. Where the gain has fallen to
0.01 bits the model's functional memory ends: the counterpart of the gradient's effective horizon.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.data.task import Batch
from rnnbench.errors import UserError
from rnnbench.models.sequence import SequenceModel
from rnnbench.probes.curve import WORTH

Floats = NDArray[np.float64]

#: Standard errors to each side of a 95 % interval.
Z95 = 1.96
#: Symbols in a batch, about: its activations stay in the caches.
BATCH_STEPS = 8_192


@dataclass(frozen=True)
class ContextCurve:
    """The prediction of the same targets after contexts of several lengths, (M,) each; the last length is p."""

    #: Symbols read since the state was zeroed, rising.
    lengths: NDArray[np.int64]
    #: Mean negative log-likelihood of the targets, in nats.
    nll: Floats
    #: Bits a symbol that a context of p saves over this one, and the standard error of that mean paired difference.
    gain: Floats
    gain_error: Floats

    def horizon(self, errors: float = 0.0) -> int:
        """The smallest context whose gain, plus so many standard errors, is at most 0.01 bits.

        p itself means: p or more.
        """
        gain = self.gain + errors * self.gain_error
        return int(self.lengths[np.flatnonzero(gain <= WORTH)[0]])

    def scalars(self) -> dict[str, float]:
        """The horizon with its 95 % interval in symbols, the first symbol's gain in bits; empty unless all are finite.

        horizon_low is the smallest context of which a gain of at most 0.01 bits lies within the interval, horizon_high
        the smallest of which the whole interval does.
        """
        if not np.isfinite(self.gain).all():
            return {}
        return {
            "horizon": self.horizon(),
            "horizon_low": self.horizon(-Z95),
            "horizon_high": self.horizon(Z95),
            "gain_at_1": float(self.gain[0]),
        }


def context_curve(model: SequenceModel, windows: Tensor) -> ContextCurve:
    """The context curve of a model that predicts the next symbol; the model is left as it is.

    Args:
        model: Of a task with a target at every step; evaluated on its own device, without dropout.
        windows: (N, p + 1) int64 indices, N ≥ 2: the last symbol of each is scored.

    Raises:
        UserError: fewer than two windows, or no symbol before the target.
    """
    if windows.ndim != 2 or len(windows) < 2 or windows.shape[1] < 2:
        raise UserError(
            f"a context curve needs at least 2 windows of at least 2 symbols, got {tuple(windows.shape)}; take a "
            "longer text."
        )
    windows = windows.to(next(model.parameters()).device)
    lengths = half_octaves(windows.shape[1] - 1)
    with torch.inference_mode(), _evaluating(model):
        nll = np.stack([_last_nll(model, windows[:, -1 - length :]) for length in lengths])
    bits = (nll - nll[-1]) / math.log(2)
    return ContextCurve(
        lengths=np.array(lengths),
        nll=nll.mean(1),
        gain=bits.mean(1),
        gain_error=bits.std(1, ddof=1) / math.sqrt(nll.shape[1]),
    )


def half_octaves(last: int) -> list[int]:
    """1, 2, 3, 4, 6, 8, 12, … below ``last``, and ``last``."""
    steps = [base << octave for octave in range(last.bit_length()) for base in (2, 3)]
    return [1, *(step for step in steps if step < last), last] if last > 1 else [1]


def _last_nll(model: SequenceModel, windows: Tensor) -> Floats:
    """(N,) nats of each window's last symbol after those before it, from a zero state."""
    out = []
    for part in windows.split(max(1, BATCH_STEPS // (windows.shape[1] - 1))):
        logits, _ = model.predict(Batch(part[:, :-1], part[:, 1:]))
        out.append(F.cross_entropy(logits[:, -1].double(), part[:, -1], reduction="none"))
    return torch.cat(out).cpu().numpy()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode; each module is put back into the mode that it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training

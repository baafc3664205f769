"""What a context is worth: how well the next symbol is predicted after m symbols, against after many.

The same N targets are scored at every context length m = 1, 2, 3, 4, 6, 8, 12, … p: the state is zeroed, the last m
symbols before the target are read, and the target alone is scored. ppl(m) = exp E[nll | m symbols since the reset] is
the position-wise perplexity, and bpc(m) − bpc(p) the context gain. As the targets are the same, what makes some of them
hard cancels in that difference, and a hundredth of a bit shows with some thousand of them. Where the gain has fallen to
0.01 bits the model's functional memory ends: the twin of the gradient's effective horizon.
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
#: Symbols in a batch, about: what it computes stays in the caches.
BATCH_STEPS = 8_192


@dataclass(frozen=True)
class ContextCurve:
    """The mean negative log-likelihood of the same targets after contexts of several lengths.

    Args:
        lengths: (M,) symbols read since the state was zeroed, rising; the last is p.
        nll: (M,) its mean over the targets, in nats.
        gain: (M,) bits a symbol that a context of p saves over this one; 0 at the last.
        gain_error: (M,) the standard error of that mean paired difference; 0 at the last.
    """

    lengths: NDArray[np.int64]
    nll: Floats
    gain: Floats
    gain_error: Floats

    @property
    def perplexity(self) -> Floats:
        """(M,) the position-wise perplexity exp(nll)."""
        return np.exp(self.nll)

    @property
    def horizon(self) -> int:
        """The smallest context whose gain is at most 0.01 bits; p itself means: p or more."""
        return self._first(self.gain)

    @property
    def horizon_low(self) -> int:
        """The smallest context of which a gain of at most 0.01 bits lies within the 95 % interval."""
        return self._first(self.gain - Z95 * self.gain_error)

    @property
    def horizon_high(self) -> int:
        """The smallest context of which the whole 95 % interval of the gain is at most 0.01 bits."""
        return self._first(self.gain + Z95 * self.gain_error)

    def scalars(self) -> dict[str, float]:
        """The curve in a few numbers: the horizon with its ends in symbols, the first symbol's gain in bits.

        Empty where the curve is no number, as of a state that has left the finite ones.
        """
        if not np.isfinite(self.gain).all():
            return {}
        return {
            "horizon": self.horizon,
            "horizon_low": self.horizon_low,
            "horizon_high": self.horizon_high,
            "gain_at_1": float(self.gain[0]),
        }

    def _first(self, gain: Floats) -> int:
        return int(self.lengths[np.flatnonzero(gain <= WORTH)[0]])


def context_curve(model: SequenceModel, windows: Tensor) -> ContextCurve:
    """The context curve of a model that predicts the next symbol; the model is left as it is.

    Args:
        model: Of a task with a target at every step; evaluated on its own device, without dropout.
        windows: (N, p + 1) int64 indices, N ≥ 2: the last symbol of each is scored.

    Raises:
        UserError: There are not two windows with a symbol before the target.
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

"""How much of a score is due to the test text: its spread over blocks of the text, apart from that over seeds.

A run on text records its loss on each block of a thousand characters of the test part. Seeds say how far another
training might come out; blocks say how far another text of the same kind might. Neighbouring blocks are alike (of the
King James text they correlate by 0.65), so blocks of a thousand would say that a text is known three times as well as
it is: they are put together, two by two and again, until the interval does not grow any more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rnnbench.report.statistics import Group

Floats = NDArray[np.float64]

#: The curves: mean nats a character in each block, and its characters.
NLL, SIZES = "test/nll_blocks", "test/nll_block_sizes"
#: Fewer recorded blocks are no sample of a text, and fewer blocks put together no sample of blocks.
LEAST, FEWEST = 20, 5
#: An interval that grows by less than this as its blocks double has settled.
GROWTH = 1.1


@dataclass(frozen=True)
class TextSpread:
    """A figure over blocks of the test text."""

    mean: float  # in bits a character
    half_width: float  # half of its 95 % Student-t interval over blocks
    block: int  # characters of a block, in the end
    settled: bool  # had the interval stopped growing? Where not, it is a lower bound

    @property
    def text(self) -> str:
        """``0.084``, or ``≥ 0.084``."""
        return f"{'' if self.settled else '≥ '}{self.half_width:.3f}"


def score_by_text(g: Group) -> TextSpread | None:
    """The bits a character of the runs that are done, their mean, over blocks; None without."""
    return None if (blocks := _bits(g)) is None else spread(*blocks)


def difference_by_text(pairs: Sequence[tuple[Group, Group]]) -> TextSpread | None:
    """How many bits a character more the second of each pair takes, the mean over the pairs; None on other blocks."""
    blocks = [_bits(g) for pair in pairs for g in pair]
    known = [block for block in blocks if block is not None]
    if not known or len(known) < len(blocks) or len({len(sizes) for _, sizes in known}) > 1:
        return None
    differences = [two - one for (one, _), (two, _) in zip(known[::2], known[1::2], strict=True)]
    return spread(np.mean(differences, axis=0), known[-2][1])


def spread(bits: Floats, sizes: Floats) -> TextSpread:
    """The mean over all blocks, and how far it would move on another text.

    bits: (K,) of each block, K > 5, in the order of the text. sizes: (K,) its characters, as many of all blocks but for
    the last; where that is shorter it is in the mean alone, and not in the spread.
    """
    from scipy.special import stdtrit

    before, together, settled = 0.0, 1, False
    whole = bits[: len(bits) - bool(sizes[-1] < sizes[0])]
    largest = (0.0, 1, len(whole))  # standard error, blocks put together, and how many there are then
    while not settled and (count := len(whole) // together) >= FEWEST:
        pieces = whole[: count * together].reshape(count, together).mean(1)
        error = float(pieces.std(ddof=1)) / math.sqrt(count)
        settled = together > 1 and error <= GROWTH * before
        largest = max(largest, (error, together, count))
        before, together = error, 2 * together
    error, together, count = largest
    half = float(stdtrit(count - 1, 0.975)) * error
    return TextSpread(float((bits * sizes).sum() / sizes.sum()), half, round(float(sizes[0]) * together), settled)


def _bits(g: Group) -> tuple[Floats, Floats] | None:
    """Bits a character in each block, the mean over the runs that are done, and the blocks' characters."""
    if not all(NLL in r.curve_names for r in g.done):
        return None
    curves = [(r.curve(NLL), r.curve(SIZES)) for r in g.done]
    whole = [(nll, sizes) for nll, sizes in curves if nll is not None and sizes is not None]
    if not whole or len({len(nll) for nll, _ in whole}) > 1 or len(whole[0][0]) < LEAST:
        return None
    return np.mean([nll for nll, _ in whole], axis=0) / math.log(2), whole[0][1]

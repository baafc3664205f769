"""How much of a score is the test text's doing: a bootstrap over its blocks, apart from that over seeds.

A run on text records its loss on each block of a thousand characters of the test part. Seeds say how far another
training might come out; blocks say how far another text of the same kind might. Blocks, not characters, are drawn, for
neighbouring characters are alike (Künsch 1989).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rnnbench.report.estimates import RESAMPLES
from rnnbench.report.statistics import Group

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: The curves: mean nats a character in each block, and its characters.
NLL, SIZES = "test/nll_blocks", "test/nll_block_sizes"
#: Fewer blocks are no sample of a text.
LEAST = 20


def score_by_text(g: Group) -> tuple[float, float] | None:
    """The 95 % interval over blocks of the bits a character, the mean over the runs that are done; None without."""
    if (blocks := _bits(g)) is None:
        return None
    bits, sizes = blocks
    return _interval(bits, sizes)


def difference_by_text(pairs: Sequence[tuple[Group, Group]]) -> tuple[float, float] | None:
    """Of how many bits a character more the second of each pair takes, the mean over the pairs; on the same blocks."""
    import numpy as np

    found = [(_bits(one), _bits(two)) for one, two in pairs]
    differences, sizes = [], None
    for one, two in found:
        if (
            one is None
            or two is None
            or len(one[1]) != len(two[1])
            or (sizes is not None and len(sizes) != len(one[1]))
        ):
            return None
        sizes = one[1]
        differences.append(two[0] - one[0])
    return None if sizes is None else _interval(np.mean(differences, axis=0), sizes)


def _bits(g: Group) -> tuple[Floats, Floats] | None:
    """Bits a character in each block, the mean over the runs that are done, and the blocks' characters."""
    import numpy as np

    if not all(NLL in r.curve_names for r in g.done):
        return None
    found = [(r.curve(NLL), r.curve(SIZES)) for r in g.done]
    whole = [(nll, sizes) for nll, sizes in found if nll is not None and sizes is not None]
    if not whole or len({len(nll) for nll, _ in whole}) > 1 or len(whole[0][0]) < LEAST:
        return None
    return np.mean([nll for nll, _ in whole], axis=0) / math.log(2), whole[0][1]


def _interval(bits: Floats, sizes: Floats) -> tuple[float, float]:
    import numpy as np

    drawn = np.random.default_rng(0).integers(len(bits), size=(RESAMPLES, len(bits)))
    means = (bits * sizes)[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)

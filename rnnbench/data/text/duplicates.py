"""Long passages of one part of a text that stand in another too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

#: Symbols that a passage has at least. Of a passage so long, one block of half its length begins at a multiple of that
#: in the other text, so blocks there need be compared with the windows here, and not windows with windows.
LENGTH = 200
BLOCK = LENGTH // 2
#: A block that repeats itself after so few symbols (a ruled line, zeros in a table) is no sign of anything.
PERIOD = BLOCK // 4
#: Of the hashes; odd, so that it has an inverse modulo 2⁶⁴.
FACTOR = np.uint64(0x9E3779B97F4A7C15)
#: Symbols handled at once, and matches that are followed at once.
_CHUNK, _ROWS = 1 << 20, 1 << 13

Words = npt.NDArray[np.uint64]
Symbols = npt.NDArray[np.generic]


@dataclass(frozen=True)
class Duplicated:
    """What of a part stands in another.

    Args:
        share: Of its symbols, those in such passages. At least: of a block that is frequent in the other part only two
            places are looked at.
        length: Of the longest stretch of them.
        begin: Index of the symbol in the part at which that begins.
    """

    share: float
    length: int
    begin: int


class Passages:
    """What a text says, so that other texts' passages are found in it.

    Rabin–Karp: blocks are found by polynomial hashes modulo 2⁶⁴ (Karp & Rabin 1987), and every passage is then compared
    symbol by symbol, so none is counted by mistake.

    Args:
        text: (N,) indices of symbols.
        symbols: How many different ones there are.
        unknown: The index that stands for all unknown symbols, which are not equal to each other; None for none.
    """

    def __init__(self, text: Tensor, symbols: int, unknown: int | None = None) -> None:
        self._text, self._unknown = text.numpy(), unknown
        self._values = np.random.default_rng(0).integers(0, 1 << 64, symbols, dtype=np.uint64)
        hashes = _block_hashes(self._text, self._values)
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def repeated_in(self, part: Tensor) -> Duplicated | None:
        """Passages of LENGTH and more symbols in (M,) indices of the same symbols; None where there are none."""
        symbols, hashes = part.numpy(), self._hashes
        if not len(hashes) or len(symbols) < LENGTH:
            return None
        at, first = _matches(symbols, self._values, hashes)
        if not len(at):
            return None
        covered = np.zeros(len(symbols), dtype=bool)
        dull = np.zeros(len(hashes), dtype=bool)
        # Which of a block's places is looked at, and of the matches in so many symbols the first or the last: a long
        # passage is covered by a few of its matches, and then the others need no look.
        for place, side, near in ((0, 0, LENGTH), (0, 0, BLOCK // 2), (0, -1, BLOCK // 2), (1, 0, BLOCK // 2)):
            todo = np.flatnonzero(~covered[at] & ~dull[first] & (first + place < len(hashes)))
            todo = todo[hashes[first[todo] + place] == hashes[first[todo]]]
            todo = todo[_one_in_each(at[todo] // near, side)]
            dull[first[todo]] = self._repeats_itself(self._order[first[todo]])
            todo = todo[~dull[first[todo]]]
            self._follow(symbols, self._order[first[todo] + place] * BLOCK, at[todo], covered)
        if not covered.any():
            return None
        edges = np.flatnonzero(np.diff(covered, prepend=False, append=False)).reshape(-1, 2)
        longest = int(np.argmax(edges[:, 1] - edges[:, 0]))
        begin, end = edges[longest].tolist()
        return Duplicated(float(covered.mean()), end - begin, begin)

    def _repeats_itself(self, blocks: np.ndarray) -> np.ndarray:
        """(K,) bool: whether a block is one symbol, or one short piece, over and over."""
        rows = self._text[: len(self._text) // BLOCK * BLOCK].reshape(-1, BLOCK)
        out = np.zeros(len(blocks), dtype=bool)
        for start in range(0, len(blocks), _ROWS):
            some = rows[blocks[start : start + _ROWS]]
            for period in range(1, PERIOD + 1):
                maybe = np.flatnonzero((some[:, period : period + 8] == some[:, :8]).all(1))  # nearly none
                whole = (some[maybe, period:] == some[maybe, :-period]).all(1)
                out[start + maybe[whole]] = True
        return out

    def _follow(self, part: Symbols, blocks: np.ndarray, windows: np.ndarray, covered: np.ndarray) -> None:
        """Mark in ``covered`` the passages around matches that are equal over LENGTH symbols or more.

        Args:
            part: The symbols of the other text.
            blocks: (K,) where the blocks begin in this text.
            windows: (K,) where the windows with the same hash begin in the other.
            covered: (M,) of the other text.
        """
        for start in range(0, len(windows), _ROWS):
            ours, theirs = blocks[start : start + _ROWS], windows[start : start + _ROWS]
            after = self._agreeing(part, ours, theirs, 1, BLOCK + LENGTH)
            before = self._agreeing(part, ours - 1, theirs - 1, -1, LENGTH)
            for at, left, right in zip(theirs.tolist(), before.tolist(), after.tolist(), strict=True):
                if right >= BLOCK and left + right >= LENGTH:
                    covered[at - left : at + right] = True

    def _agreeing(self, part: Symbols, ours: np.ndarray, theirs: np.ndarray, step: int, most: int) -> np.ndarray:
        """(K,) how many symbols agree from two places on, forwards or backwards, up to ``most``."""
        steps = step * np.arange(most)
        ours, theirs = ours[:, None] + steps, theirs[:, None] + steps
        inside = (ours >= 0) & (ours < len(self._text)) & (theirs >= 0) & (theirs < len(part))
        symbols = self._text[ours.clip(0, len(self._text) - 1)]
        equal = inside & (symbols == part[theirs.clip(0, len(part) - 1)])
        if self._unknown is not None:
            equal &= symbols != self._unknown
        return np.where(equal.all(1), most, np.argmin(equal, axis=1))


def _powers(factor: np.uint64, count: int) -> Words:
    """1, factor, factor² …, (count,) modulo 2⁶⁴."""
    out = np.full(count, factor, dtype=np.uint64)
    out[0] = 1
    return np.cumprod(out, dtype=np.uint64)


def _block_hashes(ids: Symbols, values: Words) -> Words:
    """Of the blocks side by side, (N // BLOCK,): Σ value(symbol j) · factorʲ."""
    powers = _powers(FACTOR, BLOCK)
    rows = ids[: len(ids) // BLOCK * BLOCK].reshape(-1, BLOCK)
    step = _CHUNK // BLOCK
    if not len(rows):
        return np.empty(0, dtype=np.uint64)
    return np.concatenate(
        [(values[rows[start : start + step]] * powers).sum(1, dtype=np.uint64) for start in range(0, len(rows), step)]
    )


def _matches(ids: Symbols, values: Words, hashes: Words) -> tuple[np.ndarray, np.ndarray]:
    """Where windows of BLOCK symbols begin whose hash is among the sorted ``hashes``, and the place of the first there.

    Two (K,) int64, by rising window.
    """
    inverse = np.uint64(pow(int(FACTOR), -1, 1 << 64))
    likely = np.zeros(1 << 24, dtype=bool)  # by a hash's top bits: most windows are done with here
    likely[hashes >> np.uint64(40)] = True
    starts, places = [], []
    for start in range(0, len(ids) - BLOCK + 1, _CHUNK):
        piece = values[ids[start : start + _CHUNK + BLOCK - 1]]
        sums = np.concatenate([[np.uint64(0)], np.cumsum(piece * _powers(FACTOR, len(piece)), dtype=np.uint64)])
        windows = (sums[BLOCK:] - sums[:-BLOCK]) * _powers(inverse, len(piece) - BLOCK + 1)
        some = np.flatnonzero(likely[windows >> np.uint64(40)])
        place = np.searchsorted(hashes, windows[some])
        right = hashes[np.minimum(place, len(hashes) - 1)] == windows[some]
        starts.append(some[right] + start)
        places.append(place[right])
    return np.concatenate(starts), np.concatenate(places)


def _one_in_each(groups: np.ndarray, side: int) -> np.ndarray:
    """Indices of the first (side 0) or last (−1) of each run of equal numbers."""
    if side == 0:
        return np.flatnonzero(np.diff(groups, prepend=-1))
    return np.flatnonzero(np.diff(groups, append=-1))

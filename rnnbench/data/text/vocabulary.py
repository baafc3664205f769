"""Which character is which index."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from rnnbench.errors import UserError

#: Index 0: stands for every character that the vocabulary does not know.
UNKNOWN = "\ufffd"


class Vocabulary:
    """Characters by index and back; index 0 is UNKNOWN.

    Args:
        symbols: All of them, by index, as `symbols` gave them.

    Raises:
        UserError: They are not distinct single characters with UNKNOWN first.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = list(symbols)
        if self.symbols[:1] != [UNKNOWN] or len(set(self.symbols)) < len(self.symbols):
            raise UserError(f"a vocabulary must be distinct characters after {UNKNOWN!r}, got {self.symbols[:8]!r} ….")
        if wrong := [symbol for symbol in self.symbols if len(symbol) != 1]:
            raise UserError(f"a vocabulary must be single characters, got {wrong[0]!r}.")
        points = np.array([ord(symbol) for symbol in self.symbols])
        # By code point; the last place catches everything beyond the highest known one.
        self._table = np.zeros(points.max() + 2, dtype=np.int64)
        self._table[points[1:]] = np.arange(1, len(points))

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        """UNKNOWN, then the text's distinct characters in the order of their code points."""
        points = np.flatnonzero(np.bincount(_code_points(text)))
        return cls([UNKNOWN, *(chr(point) for point in points if chr(point) != UNKNOWN)])

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> Tensor:
        """(N,) int64 indices of the text's characters; 0 for unknown ones."""
        return torch.from_numpy(self._table[np.minimum(_code_points(text), len(self._table) - 1)])

    def decode(self, indices: Iterable[int] | Tensor) -> str:
        """The characters of these indices."""
        values = indices.tolist() if isinstance(indices, Tensor) else indices
        return "".join(self.symbols[index] for index in values)


def _code_points(text: str) -> np.ndarray:
    # surrogatepass: a command line that is not UTF-8 gives lone surrogates, which are just unknown characters
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4").astype(np.int64)

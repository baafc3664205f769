"""Which symbol of the targets is which index: the end before all others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from rnnbench.data.text.pieces import Pieces
from rnnbench.data.text.vocabulary import Vocabulary
from rnnbench.errors import UserError

#: Index 0 of the targets: ends what is written (the control character "end of text").
END = "\x03"


class Targets(Vocabulary):
    """Characters by index and back; index 0 is END, index 1 UNKNOWN, the rest as in a `Vocabulary`.

    Args:
        symbols: All of them, by index, as `symbols` gave them.

    Raises:
        UserError: They are not distinct single characters with END and UNKNOWN first.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        if list(symbols[:1]) != [END] or END in symbols[1:]:
            raise UserError(f"a vocabulary of targets must begin with {END!r} and have it once, got {symbols[:8]!r} ….")
        super().__init__(symbols[1:])
        self.symbols = list(symbols)

    @classmethod
    def of(cls, text: str | Pieces) -> Targets:
        """END, UNKNOWN, then the text's distinct characters in the order of their code points."""
        return cls([END, *Vocabulary.of(str(text).replace(END, "")).symbols])

    def encode(self, text: str) -> Tensor:
        """(N + 1,) int64 indices of the text's characters, 1 for unknown ones, and the end's."""
        return torch.cat((super().encode(text) + 1, torch.zeros(1, dtype=torch.long)))

    def decode(self, indices: Iterable[int] | Tensor) -> str:
        """The characters up to the first end."""
        return super().decode(indices).split(END, 1)[0]

"""Which symbol is which index, for texts of characters and texts of bytes."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from rnnbench.errors import UserError

#: Characters handled at once, so that no copy of a long text is made in which each takes four bytes or eight.
CHUNK = 1 << 20

#: Index 0: stands for every character that the vocabulary does not know.
UNKNOWN = "\ufffd"

#: The symbols of a text of bytes: byte b is index b, and chr(b) where a character has to stand for it. None is unknown.
BYTES = tuple(map(chr, range(256)))


class Vocabulary:
    """Symbols by index and back: characters, index 0 being UNKNOWN, or the 256 bytes.

    Args:
        symbols: All of them, by index, as `symbols` gave them.

    Raises:
        UserError: They are neither BYTES nor distinct single characters with UNKNOWN first.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.symbols = list(symbols)
        self.of_bytes = tuple(self.symbols) == BYTES
        if not self.of_bytes and (self.symbols[:1] != [UNKNOWN] or len(set(self.symbols)) < len(self.symbols)):
            raise UserError(f"a vocabulary must be distinct characters after {UNKNOWN!r}, got {self.symbols[:8]!r} ….")
        if wrong := [symbol for symbol in self.symbols if len(symbol) != 1]:
            raise UserError(f"a vocabulary must be single characters, got {wrong[0]!r}.")
        points = np.array([ord(symbol) for symbol in self.symbols])
        dtype = next(kind for kind in (np.uint8, np.int16, np.int32) if len(points) <= np.iinfo(kind).max + 1)
        # By code point; the last place catches everything beyond the highest known one.
        self._table = np.zeros(points.max() + 2, dtype=dtype)
        self._table[points[1:]] = np.arange(1, len(points))

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        """UNKNOWN, then the text's distinct characters in the order of their code points."""
        seen = np.zeros(0x110000, dtype=bool)
        for chunk in chunks(text):
            seen[np.flatnonzero(np.bincount(code_points(chunk)))] = True
        return cls([UNKNOWN, *(chr(point) for point in np.flatnonzero(seen) if chr(point) != UNKNOWN)])

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> Tensor:
        """(N,) int64 indices of the text's symbols; 0 for unknown characters."""
        return self.compact(text).long()

    def compact(self, text: str | bytes) -> Tensor:
        """What `encode` gives, in the smallest of uint8, int16 and int32; bytes only where these are the symbols."""
        if self.of_bytes:
            data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
            return torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())
        assert not isinstance(text, bytes), "only a vocabulary of bytes reads bytes"
        out, start = np.empty(len(text), dtype=self._table.dtype), 0
        for chunk in chunks(text):
            if chunk.isascii() and out.dtype == np.uint8:  # a quarter of the time
                symbols = np.frombuffer(chunk.encode("ascii").translate(self._table[:256].tobytes()), dtype=np.uint8)
            else:
                symbols = self._table.take(code_points(chunk), mode="clip")
            out[start : start + len(chunk)] = symbols
            start += len(chunk)
        return torch.from_numpy(out)

    def decode(self, indices: Iterable[int] | Tensor) -> str:
        """The text of these indices; bytes that are no UTF-8 come out as UNKNOWN."""
        values = indices.tolist() if isinstance(indices, Tensor) else indices
        if self.of_bytes:
            return bytes(values).decode("utf-8", "replace")
        return "".join(self.symbols[index] for index in values)

    def decoder(self) -> Callable[[int], str]:
        """Takes index after index, gives the text that each completes: nothing before a character's last byte."""
        if not self.of_bytes:
            return self.symbols.__getitem__
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        return lambda index: decode(bytes([index]))

    def unknown(self, text: str) -> list[str]:
        """The distinct characters of a text that it does not know, sorted."""
        return [] if self.of_bytes else sorted(set(text) - set(self.symbols))


def chunks(text: str) -> Iterator[str]:
    """A text in strings of CHUNK characters, the last one shorter."""
    return (text[start : start + CHUNK] for start in range(0, len(text), CHUNK))


def code_points(text: str) -> npt.NDArray[np.uint32] | npt.NDArray[np.uint8]:
    """Of its characters, (N,)."""
    if text.isascii():
        return np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    # surrogatepass: a command line that is not UTF-8 gives lone surrogates, which are just unknown characters
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")

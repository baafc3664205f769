"""Piano rolls from MATLAB files: one matrix of frames by keys a piece."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rnnbench.data.source import Part
from rnnbench.errors import UserError

#: Keys of a piano, A0 to C8.
KEYS = 88
#: MIDI number of the first key.
LOWEST = 21
#: Largest file that is opened. The real ones have 0.1 and 0.4 MB, compressed thirty times.
LARGEST = 1 << 20

_VARIABLES: dict[Part, str] = {"train": "traindata", "val": "validdata", "test": "testdata"}
_PITCHES = ("C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B")


def read_rolls(path: Path) -> dict[Part, list[Tensor]]:
    """Each part's pieces, (frames ≥ 2, 88) uint8, 1 where a key sounds.

    A MATLAB file has arrays and cells of arrays; scipy's reader makes nothing else of it, and nothing is unpickled.

    Raises:
        UserError: The file is damaged, or is another one.
    """
    from scipy.io import loadmat

    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"it is larger than {LARGEST} bytes")
        content = loadmat(path, appendmat=False, variable_names=list(_VARIABLES.values()))
        return {part: [_roll(piece) for piece in _cells(content, name)] for part, name in _VARIABLES.items()}
    except Exception as error:  # whatever the reader stumbles over in a file that may hold anything
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{path} was expected to hold piano rolls ({', '.join(_VARIABLES.values())}: cells of frames × {KEYS}), "
            f"but {why}; delete it and it is fetched again."
        ) from None


def note_names(frame: Tensor) -> list[str]:
    """The keys that sound in a frame (88,), as C4 (the middle one), G♯3 …"""
    keys = (LOWEST + int(key) for key in frame.nonzero())
    return [f"{_PITCHES[key % 12]}{key // 12 - 1}" for key in keys]


def _cells(content: dict[str, Any], name: str) -> list[Any]:
    if name not in content:
        raise ValueError(f"there is no {name}")
    cells = content[name]
    if cells.dtype != object or not cells.size:
        raise ValueError(f"{name} is not a row of cells")
    return list(cells.ravel())


def _roll(piece: Any) -> Tensor:
    if piece.ndim != 2 or piece.shape[0] < 2 or piece.shape[1] != KEYS or piece.dtype.kind not in "buif":
        raise ValueError(f"a piece is {piece.dtype} {piece.shape}")
    if not ((piece == 0) | (piece == 1)).all():
        raise ValueError("a piece has other values than 0 and 1")
    return torch.from_numpy(piece.astype("uint8"))

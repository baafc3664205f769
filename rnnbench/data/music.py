"""Piano rolls from MATLAB files: one matrix of frames by keys a piece."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rnnbench.catalog import data_set
from rnnbench.config import DataConfig
from rnnbench.data.download import fetch
from rnnbench.data.source import Batches, EpochOrder, Part, Source, evenly
from rnnbench.data.task import Batch, Task
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


#: Frames in an evaluation batch, padding included, about.
EVALUATION_FRAMES = 16_384


class MusicData(Source):
    """Pieces as x (B, T, 88), the frames, and y (B, T, 88), each one's next, float32 of 0 and 1.

    Training reads each piece in chunks of up to ``data.seq_len`` targets, each from a zero state; evaluation reads
    whole pieces. Shorter ones are padded with silence, with ``lengths`` and ``mask``.

    ``rolls``: each part's pieces, (frames, 88) uint8. ``fingerprint``: SHA-256 of the file that they come from.
    ``seed`` decides the order of the training chunks.
    """

    task = Task("many_to_many", "values", "bits", KEYS, KEYS, causal=True)

    def __init__(self, rolls: dict[Part, list[Tensor]], fingerprint: str, data: DataConfig, seed: int = 0) -> None:
        self._rolls = rolls
        self.fingerprint = fingerprint
        length = data.seq_len
        self._chunks = [
            piece[start : start + length + 1] for piece in rolls["train"] for start in range(0, len(piece) - 1, length)
        ]
        self._order = EpochOrder(len(self._chunks), data.batch_size, "music", seed)
        self.steps_per_epoch = self._order.steps_per_epoch

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> MusicData:
        path = Path(fetch(data_set(str(data.name)).files[0]))
        return cls(read_rolls(path), hashlib.sha256(path.read_bytes()).hexdigest(), data, seed)

    def train_batch(self, step: int) -> Batch:
        """A pure function of (seed, step): every chunk at most once an epoch, in an order drawn for each epoch."""
        return _padded([self._chunks[index] for index in self._order.rows(step).tolist()])

    def evaluation(self, part: Part, stateful: bool = False, limit: int | None = None) -> Batches:
        """Whole pieces, those of similar length side by side; every frame but a piece's first is scored once.

        Of train the last, as many as test has; of about ``limit`` frames, evenly spread, at least one.
        """
        pieces = self._rolls[part]
        if part == "train":
            pieces = pieces[-len(self._rolls["test"]) :]
        if limit is not None:
            targets = sum(len(piece) - 1 for piece in pieces)
            pieces = [pieces[i] for i in evenly(max(1, limit * len(pieces) // targets), len(pieces))]
        groups = _groups(sorted(pieces, key=len))
        return Batches(lambda index: _padded(groups[index]), len(groups))

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """Beginnings of up to ``batch_size`` validation pieces, T as near to ``seq_len`` as so many pieces reach."""
        pieces = self._rolls["val"]
        reached = sorted((len(piece) - 1 for piece in pieces), reverse=True)[: max(1, batch_size)][-1]
        time = min(seq_len, reached)
        enough = [piece[: time + 1] for piece in pieces if len(piece) > time]
        return _padded([enough[i] for i in evenly(batch_size, len(enough))])

    def references(self) -> dict[str, float]:
        """Nats a frame of what has no memory, or one frame's; frequencies are the training part's, each count plus one.

        marginals_nll: each key sounds as often as it does. markov_nll: and depending on whether it did a frame ago.
        """
        before, after = self._transitions("train")
        heard_before, heard_after = self._transitions("test")
        always = _frequency(after.sum(0), len(after))
        kept = _frequency((after * before).sum(0), before.sum(0))
        begun = _frequency((after * (1 - before)).sum(0), (1 - before).sum(0))
        return {
            "marginals_nll": _nats(always, heard_after),
            "markov_nll": _nats(torch.where(heard_before > 0, kept, begun), heard_after),
        }

    def _transitions(self, part: Part) -> tuple[Tensor, Tensor]:
        """All frames that have a next one, and that one: two (N, 88) float64."""
        pieces = self._rolls[part]
        return torch.cat([p[:-1] for p in pieces]).double(), torch.cat([p[1:] for p in pieces]).double()

    def facts(self) -> dict[str, Any]:
        """Sizes, how full the frames are, and the first piece's beginning in note names."""
        train = torch.cat(self._rolls["train"])
        return {
            "pieces": {part: len(pieces) for part, pieces in self._rolls.items()},
            "frames": {part: sum(map(len, pieces)) for part, pieces in self._rolls.items()},
            "shortest": min(len(piece) for pieces in self._rolls.values() for piece in pieces),
            "longest": max(len(piece) for pieces in self._rolls.values() for piece in pieces),
            "notes_a_frame": float(train.sum()) / len(train),
            "keys_used": int(train.any(0).sum()),
            "steps_per_epoch": self.steps_per_epoch,
            "sample": [note_names(frame) for frame in self._rolls["train"][0][:8]],
        }


def _padded(pieces: list[Tensor]) -> Batch:
    """Pieces of n + 1 frames as n inputs and n targets each, silence after the shorter ones."""
    lengths = torch.tensor([len(piece) - 1 for piece in pieces])
    x = pad_sequence([piece[:-1] for piece in pieces], batch_first=True).float()
    y = pad_sequence([piece[1:] for piece in pieces], batch_first=True).float()
    if bool((lengths == x.shape[1]).all()):
        return Batch(x, y)
    return Batch(x, y, mask=torch.arange(x.shape[1]) < lengths[:, None], lengths=lengths)


def _groups(pieces: list[Tensor]) -> list[list[Tensor]]:
    """Pieces in rising order of length, in batches of about EVALUATION_FRAMES."""
    groups: list[list[Tensor]] = []
    for piece in pieces:
        if not groups or (len(groups[-1]) + 1) * len(piece) > EVALUATION_FRAMES:
            groups.append([])
        groups[-1].append(piece)
    return groups


def _frequency(count: Tensor, of: Tensor | int) -> Tensor:
    """Laplace's estimate, which gives a key that never sounded a chance."""
    return (count + 1) / (of + 2)


def _nats(chance: Tensor, heard: Tensor) -> float:
    """The mean over frames of Σ_keys −log p(what it did)."""
    return float(-(heard * chance.log() + (1 - heard) * (1 - chance).log()).sum() / len(heard))

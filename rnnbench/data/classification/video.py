"""Video: label every frame of a film in which a digit moves about."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.data.classification.baselines import fitted_error, guesses
from rnnbench.data.classification.pictures import digits, drawn
from rnnbench.data.source import Batches, Part, Source, generator
from rnnbench.data.task import Batch, Task
from rnnbench.system.cache import cached_json

#: A frame's side, and a picture's; a digit has so many places along a side beside the first.
SIDE, PICTURE = 16, 8
PLACES = SIDE - PICTURE
#: How likely another digit appears at a step, a pixel is not seen, and the deviation of the noise on every pixel.
CHANGE, HIDDEN, NOISE = 1 / 16, 0.5, 0.25
#: Films in a part, in an evaluation batch, and that the frame-by-frame reference is fitted to.
PART, EVALUATION_BATCH, FITTED = 500, 125, 500


class MovingDigits(Source):
    """A digit of 8 × 8 pixels drifts over a canvas of 16 × 16 and bounces off its edges; now and then it changes.

    Half of the pixels of each frame are dark, others each time, and all are noisy: a frame by itself is hard to read,
    and what the last ones showed helps. Ink is 0 … 1. With T = 6 the labels may be::

        3 3 3 3 8 8

    x (B, T, 256) float32, y (B, T) int64. A model may be bidirectional: no target is an input to come. The pictures of
    val and test are in no training film, and their films are the same for every seed.
    """

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        self._data, self._seed = data, seed
        pictures = digits()
        self._pictures = {part: torch.from_numpy(x).float() / 16 for part, (x, _) in pictures.items()}
        self._labels = {part: torch.from_numpy(y) for part, (_, y) in pictures.items()}
        self.task = Task("many_to_many", "values", "labels", SIDE**2, 10)
        digest = hashlib.sha256(f"moving digits 1, T = {data.seq_len}".encode())
        for x, _ in pictures.values():
            digest.update(np.ascontiguousarray(x).tobytes())
        self.fingerprint = digest.hexdigest()

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> MovingDigits:
        return cls(data, seed)

    def _draw(self, count: int, part: Part, *key: int | str) -> Batch:
        """``count`` films of a part's pictures, a function of the key."""
        random, seq_len = generator("moving digits", part, *key), self._data.seq_len
        which = torch.randint(len(self._labels[part]), (count, seq_len), generator=random)
        new = torch.rand(count, seq_len, generator=random) < CHANGE
        new[:, 0] = True
        since = torch.where(new, torch.arange(seq_len), 0).cummax(dim=1).values
        which = which.gather(1, since)
        x = torch.zeros(count, seq_len, SIDE, SIDE)
        film, frame = torch.arange(count)[:, None, None, None], torch.arange(seq_len)[:, None, None]
        side = torch.arange(PICTURE)
        down, right = (self._path(count, random)[:, :, None, None] for _ in range(2))
        x[film, frame, down + side[:, None], right + side] = self._pictures[part][which]
        x *= torch.rand(x.shape, generator=random) >= HIDDEN
        x += NOISE * torch.randn(x.shape, generator=random)
        return Batch(x.flatten(2), self._labels[part][which])

    def _path(self, count: int, random: torch.Generator) -> Tensor:
        """(count, T), in 0 … PLACES along a side: a start and a speed of one or two pixels, bouncing off the ends."""
        start = torch.randint(2 * PLACES, (count, 1), generator=random)
        speed = torch.randint(1, 3, (count, 1), generator=random)
        return PLACES - ((start + speed * torch.arange(self._data.seq_len)) % (2 * PLACES) - PLACES).abs()

    def train_batch(self, step: int) -> Batch:
        """Fresh films, a pure function of (seed, step)."""
        return self._draw(self._data.batch_size, "train", self._seed, step)

    def evaluation(self, part: Part, stateful: bool = False, limit: int | None = None) -> Batches:
        """500 fixed, unrelated films of the part's pictures; at most limit / seq_len, at least one."""
        count = PART if limit is None else min(PART, max(1, limit // self._data.seq_len))

        def batch(index: int) -> Batch:
            films = self._draw(EVALUATION_BATCH, part, "evaluation", index)
            return films.rows(slice(count - index * EVALUATION_BATCH))

        return Batches(batch, -(-count // EVALUATION_BATCH))

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """``batch_size`` fixed films like the validation's; T is data.seq_len, whatever ``seq_len`` says."""
        return self._draw(batch_size, "val", "probe")

    def references(self) -> dict[str, float]:
        """Of single frames, cached: `baselines.guesses`, and logistic_error of a regression on a frame's pixels."""
        return cached_json(f"video-references-{self.fingerprint}.json", self._references)

    def _references(self) -> dict[str, float]:
        train, test = self._draw(FITTED, "train", "reference"), list(self.evaluation("test"))
        x, y = torch.cat([one.x for one in test]), torch.cat([one.y for one in test])
        fitted, classes, frames, truth = (films.flatten(0, 1) for films in (train.x, train.y, x, y))
        logistic = fitted_error(fitted.numpy(), classes, frames.numpy(), truth)
        return guesses(torch.bincount(self._labels["train"]), truth) | {"logistic_error": logistic}

    def facts(self) -> dict[str, Any]:
        """Sizes, and two frames of a film, with the noise and without."""
        film = self._draw(1, "val", "probe")
        frames = film.x[0, :2].view(-1, SIDE, SIDE).clamp(0, 1) * 16
        return {
            "sequences": {"train": "drawn at every step", "val": PART, "test": PART},
            "pictures": {part: len(y) for part, y in self._labels.items()},
            "seq_len": self._data.seq_len,
            "sample": {
                "frames": [drawn(frame.numpy(), int(y)) for frame, y in zip(frames, film.y[0], strict=False)],
                "labels": film.y[0].tolist(),
            },
        }

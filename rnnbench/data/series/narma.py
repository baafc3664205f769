"""NARMA10: does a cell carry ten steps of input, and multiply them?"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.data.series.references import fit
from rnnbench.data.source import Batches, Part, Source, generator
from rnnbench.data.task import Batch, Task
from rnnbench.system.cache import cached_json

#: Sequences in a part, and in an evaluation batch.
PART, EVALUATION_BATCH = 500, 250
#: Inputs that the linear reference reads: the present one and those before it.
TAPS = 50


class NarmaData(Source):
    """The tenth-order system of Atiya & Parlos (2000), to be imitated from its input alone, step by step.

    The input u is uniform in [0, 0.5), and from rest (all zero before)

        y_{t+1} = 0.3 y_t + 0.05 y_t (y_t + y_{t−1} + … + y_{t−9}) + 1.5 u_{t−9} u_t + 0.1

    x_t is u_t and the target y_{t+1}, which is a function of the inputs up to u_t::

        u  0.31  0.04  0.42  0.18  0.29  …
        y  0.10  0.13  0.14  0.14  0.15  …   (u shows from the tenth step on)

    x (B, T, 1), y (B, T, 1), float32, both standardised, y by the mean and deviation of 1000 sequences of a draw of
    their own, so that the mean squared error is about what the literature calls NMSE. Now and then the system runs
    away to infinity; such a sequence, one that reaches 1, is drawn again.

    The seed decides the training sequences; those of val and test are the same for every seed.
    """

    def __init__(self, data: DataConfig, seed: int = 0) -> None:
        self._data, self._seed = data, seed
        self.task = Task("many_to_many", "values", "values", input_size=1, output_size=1)
        self.fingerprint = hashlib.sha256(f"NARMA10 1, T = {data.seq_len}".encode()).hexdigest()
        outputs = self._system(1000, "scale")[1]
        self._mean, self._std = float(outputs.mean()), float(outputs.std())

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> NarmaData:
        """Sequences of the configured length."""
        return cls(data, seed)

    def _system(self, count: int, *key: int | str) -> tuple[Tensor, Tensor]:
        """Inputs and outputs, (count, T) float64 each, a function of the key."""
        random = generator("narma10", *key)
        inputs = torch.empty(count, self._data.seq_len, dtype=torch.float64)
        outputs = torch.full_like(inputs, torch.inf)
        while (wild := ~(outputs < 1).all(1)).any():
            inputs[wild] = torch.rand(int(wild.sum()), inputs.shape[1], generator=random, dtype=torch.float64) / 2
            outputs[wild] = narma10(inputs[wild])
        return inputs, outputs

    def _draw(self, count: int, *key: int | str) -> Batch:
        inputs, outputs = self._system(count, *key)
        x = (inputs - 0.25) * 48**0.5  # the mean and the deviation of a uniform number below 1/2
        y = (outputs - self._mean) / self._std
        return Batch(x.float()[..., None], y.float()[..., None])

    def train_batch(self, step: int) -> Batch:
        """Fresh sequences, a pure function of (seed, step)."""
        return self._draw(self._data.batch_size, self._seed, step)

    def evaluation(self, part: Part, stateful: bool = False, limit: int | None = None) -> Batches:
        """500 fixed sequences, of train ones like the training's; none is stateful.

        With a limit at most so many time steps: limit / seq_len sequences, at least one.
        """
        count = PART if limit is None else min(PART, max(1, limit // self._data.seq_len))

        def batch(index: int) -> Batch:
            size = min(EVALUATION_BATCH, count - index * EVALUATION_BATCH)
            drawn = self._draw(EVALUATION_BATCH, part, index)
            return Batch(drawn.x[:size], drawn.y[:size])

        return Batches(batch, -(-count // EVALUATION_BATCH))

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """Up to ``batch_size`` fixed sequences like the validation's; T is data.seq_len, whatever ``seq_len`` says."""
        return self._draw(batch_size, "probe")

    def references(self) -> dict[str, float]:
        """_mse and _mae of mean, the output's, and of ridge, a linear filter of the last 50 inputs."""
        return cached_json(f"narma10-references-1-T{self._data.seq_len}.json", self._references)

    def _references(self) -> dict[str, float]:
        parts: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for part in ("train", "val", "test"):
            batches = list(self.evaluation(part))
            x, y = (torch.cat([getattr(batch, name) for batch in batches]).double() for name in "xy")
            taps = min(TAPS, x.shape[1])
            inputs = torch.nn.functional.pad(x[..., 0], (taps - 1, 0)).unfold(1, taps, 1)
            parts[part] = inputs.flatten(0, 1).numpy(), y.flatten(0, 1).numpy()
        x_test, truth = parts["test"]
        ridge, _ = fit(*parts["train"], *parts["val"])
        out = {}
        for name, outputs in {
            "mean": np.zeros_like(truth),
            "ridge": ridge.predict(x_test).reshape(truth.shape),
        }.items():
            out[f"{name}_mse"] = float(((outputs - truth) ** 2).mean())
            out[f"{name}_mae"] = float(np.abs(outputs - truth).mean())
        return out

    def facts(self) -> dict[str, Any]:
        """Sizes, the output's mean and deviation, and one sequence's beginning."""
        inputs, outputs = self._system(1, "probe")
        return {
            "sequences": {"train": "drawn at every step", "val": PART, "test": PART},
            "seq_len": self._data.seq_len,
            "output_mean": self._mean,
            "output_std": self._std,
            "sample": {"u": inputs[0, :16].tolist(), "y": outputs[0, :16].tolist()},
        }


def narma10(inputs: Tensor) -> Tensor:
    """(B, T) u_1 … u_T → (B, T) y_2 … y_{T+1}, from rest."""
    count, length = inputs.shape
    u = torch.nn.functional.pad(inputs, (9, 0))
    y = torch.zeros(count, length + 10, dtype=inputs.dtype)  # y_{-8} … y_{T+1}
    for t in range(length):
        past = y[:, t : t + 10]
        y[:, t + 10] = 0.3 * past[:, 9] + 0.05 * past[:, 9] * past.sum(1) + 1.5 * u[:, t] * u[:, t + 9] + 0.1
    return y[:, 10:]

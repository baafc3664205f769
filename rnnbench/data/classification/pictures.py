"""The IDX files that MNIST comes in (LeCun, Cortes & Burges 1998)."""

from __future__ import annotations

import math
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rnnbench.config import DataConfig
from rnnbench.data.classification.labelled import Labelled, LabelledData, stratified
from rnnbench.data.download import fetch, gunzipped
from rnnbench.data.source import Part, generator
from rnnbench.errors import UserError

#: Bytes that an unpacked file may have: the training pictures have 47 million.
LIMIT = 64 << 20


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """A gzipped IDX file of unsigned bytes.

    Four bytes, 0 0 8 D: unsigned bytes in D dimensions; each dimension's size, 32 bits, the high byte first; the bytes.

    D is 3 for pictures, 1 for labels. What comes back is uint8 in D dimensions; a damaged or other file is a
    `UserError`.
    """
    data = gunzipped(path, LIMIT)
    header = 4 + 4 * dimensions
    if len(data) < header or data[:4] != bytes((0, 0, 8, dimensions)):
        raise UserError(
            f"{path} is no IDX file of bytes in {dimensions} dimensions (it starts with {data[:4].hex(' ')!r}, "
            f"expected '00 00 08 {dimensions:02x}'); delete it and it is downloaded again."
        )
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    if len(data) - header != math.prod(shape):
        raise UserError(
            f"{path} has {len(data) - header:,} bytes after its header, which announces {' × '.join(map(str, shape))}; "
            "delete it and it is downloaded again."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


#: MNIST's last training pictures validate.
MNIST_VAL = 5000


class Digits(LabelledData):
    """scikit-learn's 1797 digits of 8 × 8 pixels, T steps of 64 / T pixels each, from left to right and top to bottom.

    A fixed split, 70 % train, 10 % validate, 20 % test, each with its share of every class. The pictures are in the
    order of those who wrote them and the split is not: a writer is in all three parts.
    """

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> Digits:
        """As ``data.seq_len`` (a divisor of 64) and ``data.permuted`` say."""
        return cls(**_sequences(digits(), data), data=data, seed=seed)


class DigitPicture(Digits):
    """One of scikit-learn's digits, all 64 pixels in one vector: nothing to remember. The split is that of `Digits`."""

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> DigitPicture:
        if data.seq_len != 1:
            raise UserError(f"{data.label!r} is one vector, so data.seq_len is 1, got {data.seq_len}; leave it out.")
        return cls(**_sequences(digits(), data), data=data, seed=seed)


class Mnist(LabelledData):
    """MNIST's 70,000 digits of 28 × 28 pixels, T steps of 784 / T pixels each (Le, Jaitly & Hinton 2015: T = 784).

    The given test set of 10,000; of the 60,000 others the last 5,000 validate.
    """

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> Mnist:
        """As ``data.seq_len`` (a divisor of 784) and ``data.permuted`` say; downloaded where it is not here."""
        x, y = _mnist("train")
        cut = len(x) - MNIST_VAL
        parts: dict[Part, tuple[np.ndarray, np.ndarray]] = {
            "train": (x[:cut], y[:cut]),
            "val": (x[cut:], y[cut:]),
            "test": _mnist("t10k"),
        }
        return cls(**_sequences(parts, data), data=data, seed=seed)


@cache
def digits() -> dict[Part, tuple[np.ndarray, np.ndarray]]:
    """scikit-learn's digits by part: (N, 8, 8) uint8, 0 … 16, and (N,) int64 classes.

    Raises:
        UserError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError("the digits need a package: pip install scikit-learn") from None
    x, y = load_digits(return_X_y=True)
    pictures = x.astype(np.uint8).reshape(-1, 8, 8)
    train, val, test = ((pictures[rows], y[rows]) for rows in stratified(y, (0.7, 0.1), "digits"))
    return {"train": train, "val": val, "test": test}


def pixel_order(pixels: int) -> np.ndarray:
    """The fixed random order of ``data.permuted``, the same for every run: place i shows pixel ``order[i]``."""
    return torch.randperm(pixels, generator=generator("permuted pixels", pixels)).numpy()


def drawn(picture: np.ndarray, label: int) -> dict[str, Any]:
    """A picture (H, W) as a text of H lines, the darker the more ink, and its label."""
    ink = " .:-=+*#%@"
    levels = picture.astype(int) * (len(ink) - 1) // max(1, int(picture.max()))
    return {"picture": "\n".join("".join(ink[level] for level in row) for row in levels), "label": label}


def _sequences(parts: dict[Part, tuple[np.ndarray, np.ndarray]], data: DataConfig) -> dict[str, Any]:
    """What `LabelledData` takes of pictures (N, H, W) as sequences (N, T, H·W / T)."""
    pixels = parts["train"][0][0].size
    if pixels % data.seq_len:
        raise UserError(
            f"a picture of {data.label!r} has {pixels} pixels, which data.seq_len {data.seq_len} does not divide; "
            f"take {', '.join(str(pixels // n) for n in (1, 2, 4, 8))} or another divisor."
        )
    order = pixel_order(pixels) if data.permuted else slice(None)
    sequences = {
        part: Labelled(list(x.reshape(len(x), pixels)[:, order].reshape(len(x), data.seq_len, -1)), y)
        for part, (x, y) in parts.items()
    }
    (first, *_), (label, *_) = parts["train"]
    return {
        "parts": sequences,
        "classes": list("0123456789"),
        "together": True,
        "sample": drawn(first, int(label)),
    }


def _mnist(which: str) -> tuple[np.ndarray, np.ndarray]:
    x = read_idx(fetch(f"{which}-images-idx3-ubyte.gz"), 3)
    y = read_idx(fetch(f"{which}-labels-idx1-ubyte.gz"), 1)
    return x, y.astype(np.int64)

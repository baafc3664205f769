"""Sets of the UEA and UCR time-series archives that aeon ships (Bagnall et al. 2018, Dau et al. 2019)."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np

from rnnbench.config import DataConfig
from rnnbench.data.classification.labelled import Labelled, LabelledData, stratified
from rnnbench.data.source import Part
from rnnbench.errors import UserError
from rnnbench.system.cache import cached_json

#: By the name in our catalogue, the archive's.
ARCHIVE = {
    "acsf1": "ACSF1",
    "osuleaf": "OSULeaf",
    "arrowhead": "ArrowHead",
    "gunpoint": "GunPoint",
    "basicmotions": "BasicMotions",
    "japanese_vowels": "JapaneseVowels",
}
#: The share of each class of the training part that validates.
VAL = 0.2


class UeaData(LabelledData):
    """One of the sets: the archive's train and test parts; a fifth of train, of every class, validates."""

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> UeaData:
        """The set of that name; of sequences longer than ``data.seq_len`` the beginning."""
        name = ARCHIVE[str(data.name)]
        (x, labels), test = _archive(name)
        classes = sorted(set(labels))
        y, test_y = (np.array([classes.index(label) for label in names]) for names in (labels, test[1]))
        val, train = stratified(y, (VAL,), name)
        parts: dict[Part, Labelled] = {
            "train": Labelled([x[row] for row in train], y[train]),
            "val": Labelled([x[row] for row in val], y[val]),
            "test": Labelled(test[0], test_y),
        }
        first = x[train[0]]
        sample = {"x": first[:8].round(4).tolist(), "steps": len(first), "label": labels[train[0]]}
        return cls(parts, classes, data, seed, sample=sample)


def _archive(name: str) -> list[tuple[list[np.ndarray], list[str]]]:
    """Of train and of test the sequences, (T_i, C) float32, and their classes' names.

    Kept in the cache, as importing aeon takes three to nine seconds.
    """
    try:
        version = metadata.version("aeon")
    except metadata.PackageNotFoundError:
        raise UserError(f"the data set of {name} needs a package: pip install aeon") from None
    known = cached_json(f"aeon-{version}-{name}.json", lambda: _read(name))
    return [
        ([np.frombuffer(bytes.fromhex(one), "<f4").reshape(-1, known["channels"]) for one in x], y)
        for x, y in (known["train"], known["test"])
    ]


def _read(name: str) -> dict[str, Any]:
    """What aeon ships under that name, the numbers as hexadecimal digits: as JSON's decimals they take seconds."""
    from aeon.datasets import load_classification

    out: dict[str, Any] = {}
    for part in ("train", "test"):
        x, y = load_classification(name, split=part, load_equal_length=False)
        out["channels"] = len(x[0])
        out[part] = [[one.T.astype("<f4").tobytes().hex() for one in x], [str(label) for label in y]]
    return out

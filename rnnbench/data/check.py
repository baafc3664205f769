"""Whether anything of the validation and test parts reaches training: these are altered, and training compared."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch

from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.series.windows import SeriesData
from rnnbench.data.task import Batch
from rnnbench.data.text.streams import TextData
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.data.source import Source


def check(data: DataConfig) -> tuple[dict[str, list[str]], SeriesData | TextData]:
    """A user's file: ``file``, ``read``, ``left_out``, ``looks_wrong``, ``baselines``, ``leaks``; and the data, loaded.

    Each is a list of sentences; ``looks_wrong`` has what matters most first, ``leaks`` what training would know of what
    it is scored on.

    Raises:
        UserError: It cannot be read, or not be trained on.
    """
    source = load(data)
    if not isinstance(source, SeriesData | TextData) or source.notes is None:
        raise UserError(
            f"data check looks at your own files, and {data.label!r} is a built-in data set; see rnnbench data info."
        )
    baselines: dict[str, list[str]] = {}
    for name, value in source.naive_references().items():
        baseline, _, metric = name.rpartition("_")
        baselines.setdefault(baseline.replace("_", " "), []).append(f"{metric} {value:.4g}")
    return {
        "file": [str(data.path)],
        **findings(source),
        "baselines": [f"{name}: {', '.join(figures)}" for name, figures in baselines.items()],
    }, source


def findings(source: Source) -> dict[str, list[str]]:
    """What `check` says of data that are loaded, but for the baselines; empty where they are no file of the user's."""
    if not isinstance(source, SeriesData | TextData) or source.notes is None:
        return {}
    notes = source.notes
    return {
        "read": notes.read,
        "left_out": notes.left_out,
        "looks_wrong": notes.warnings,
        "leaks": leaks(source),
    }


def leaks(source: SeriesData | TextData) -> list[str]:
    """A sentence for everything about training that depends on the validation or test part; empty where nothing does.

    Compared are training batches of two epochs, their number, the vocabulary and the scaler.
    """
    before, altered = _training(source), source.altered()
    if altered.fingerprint == source.fingerprint:
        raise AssertionError("nothing was altered, so the comparison shows nothing")
    after = _training(altered)
    return [
        f"{name} changes when the validation and test parts do, so something of them is in training; do not trust a "
        "score on them"
        for name in before
        if before[name] != after.get(name)
    ]


def _training(source: SeriesData | TextData) -> dict[str, str]:
    """What training is made of, by its name, as digests."""
    steps = source.steps_per_epoch
    some = sorted({0, steps // 4, steps // 2, 3 * steps // 4, steps - 1, steps, 2 * steps - 1})
    digests = {"the number of training steps": str(steps)}
    digests |= {f"training batch {step}": _batch_digest(source.train_batch(step)) for step in some}
    if source.vocabulary is not None:
        digests["the vocabulary"] = repr(source.vocabulary.symbols)
    for name, field in (("the scaler's mean", "_mean"), ("the scaler's standard deviation", "_std")):
        if (values := getattr(source, field, None)) is not None:
            digests[name] = repr(values.tolist())
    return digests


def _batch_digest(batch: Batch) -> str:
    digest = hashlib.sha256()
    for value in (*batch._replace(side=None), *(batch.side or {}).values()):
        content = value.contiguous().numpy().tobytes() if isinstance(value, torch.Tensor) else repr(value).encode()
        digest.update(content)
    return digest.hexdigest()

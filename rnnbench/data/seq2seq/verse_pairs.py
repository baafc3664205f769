"""Translation: verses of the King James Bible (1611) into the English of the World English Bible (2000)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from itertools import islice
from typing import Any

import torch

from rnnbench.config import DataConfig
from rnnbench.data.seq2seq.pairs import Pair, PairData, Targets, chrf
from rnnbench.data.source import Part
from rnnbench.data.task import Task
from rnnbench.data.text.readers import part_by_book, verses
from rnnbench.data.text.references import orders
from rnnbench.data.text.vocabulary import Vocabulary
from rnnbench.system.cache import cached_json

#: The longest n-grams tried.
MAX_ORDER = 8


class VersePairs(PairData):
    """The same verse in two translations. From John 11::

        source  Jesus saith unto her, Thy brother shall rise again.
        target  Jesus said to her, "Your brother will rise again." END

    x (B, S), y (B, U) int64. Verses that both translations number alike, of up to T characters in either.

    Split by book, as parts of the Bible repeat each other nearly word for word: Matthew, Mark and Luke; Samuel, Kings
    and Chronicles, Isaiah 36–39 and Jeremiah 52; Ezra and Nehemiah; the Psalms and 2 Samuel 22. These all train. Ruth,
    Lamentations, Acts and Revelation validate; Esther, Ecclesiastes, Daniel and John test: 3 % of their verses have
    seven words in a row that another book has too, while of 2 Chronicles' 45 % do.

    ``kjv`` and ``web`` are the text of each verse by number, see `rnnbench.data.text.readers`.
    """

    language = True
    vocabulary: Vocabulary

    def __init__(self, kjv: Mapping[int, str], web: Mapping[int, str], data: DataConfig, seed: int = 0) -> None:
        texts: dict[Part, list[tuple[str, str]]] = {"train": [], "val": [], "test": []}
        for verse, source in kjv.items():
            target = web.get(verse, "")
            if source and target and max(len(source), len(target)) <= data.seq_len:
                texts[part_by_book(verse)].append((source, target))
        self.fingerprint = hashlib.sha256(json.dumps(texts).encode()).hexdigest()
        vocabulary = Vocabulary.of("".join(source for source, _ in texts["train"]))
        targets = Targets.of("".join(target for _, target in texts["train"]))
        parts = {
            part: [Pair(vocabulary.encode(source), targets.encode(target)) for source, target in pairs]
            for part, pairs in texts.items()
        }
        self.vocabulary = vocabulary
        task = Task("seq2seq", "tokens", "symbols", len(vocabulary), len(targets))
        super().__init__(parts, task, targets, data, seed)

    @classmethod
    def load(cls, data: DataConfig, seed: int = 0) -> VersePairs:
        return cls(verses("kjv"), verses("web"), data, seed)

    def references(self) -> dict[str, float]:
        """ngram_bpc and copy_chrf beside those of `PairData`.

        ngram_bpc: modified Kneser–Ney on the training part's targets, one verse after the other, order chosen on the
        validation part's; it does not see the source. copy_chrf: chrF (0 to 1, more is better) of the source as it
        is, on those test verses that are written out after a training (`to_write`).
        """
        return super().references() | cached_json(
            f"kjv_web-T{self._data.seq_len}-{self.fingerprint[:16]}.json", self._slow_references
        )

    def _slow_references(self) -> dict[str, Any]:
        train, val, test = (
            torch.cat([pair.y for pair in self._parts[part]]).numpy() for part in ("train", "val", "test")
        )
        models = islice(orders(train, len(self.targets)), MAX_ORDER)
        best = max(models, key=lambda model: float(model.log2_probabilities(val).mean()))
        shown = [self.shown(pair) for pair in self.to_write()]
        copied = chrf([pair["source"] for pair in shown], [pair["target"] for pair in shown])
        return {"ngram_bpc": -float(best.log2_probabilities(test).mean()), "copy_chrf": copied}

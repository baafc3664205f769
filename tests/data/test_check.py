"""What of the validation and test parts reaches training is found, in texts and in series."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from support.texts import source_of, text_of

from rnnbench.config import DataConfig
from rnnbench.data.check import leaks
from rnnbench.data.series.record import Record
from rnnbench.data.series.windows import SeriesData
from rnnbench.data.text.streams import TextData
from rnnbench.data.text.vocabulary import Vocabulary


def test_training_is_the_same_whatever_the_later_parts_are(tmp_path: Path) -> None:
    text, other = text_of(3000), text_of(300, 1)
    for options in ({}, {"split": "6/2/2"}, {"test": other}, {"val": other}, {"val": other, "test": other}):
        for symbols in ("characters", "bytes"):
            source = source_of(tmp_path, text, symbols=symbols, **options)
            assert leaks(source) == []
            altered = source.altered()
            assert altered.facts()["split"] == source.facts()["split"]
            for part in ("val", "test"):
                assert not (source.symbols(part) == altered.symbols(part)).any()


class Leaking(TextData):
    """Its vocabulary is of the whole text."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        assert isinstance(self._text, str)
        self.vocabulary = Vocabulary.of(self._text)


class Peeking(TextData):
    """Its last training batch reads on into the validation part."""

    def train_batch(self, step: int) -> object:  # type: ignore[override]
        batch = super().train_batch(step)
        return batch._replace(x=self.symbols("val")[:8].long()) if step == self.steps_per_epoch - 1 else batch


def test_a_leak_is_told_by_what_it_reaches() -> None:
    data = DataConfig(path="x.txt", seq_len=8, batch_size=4)
    (sentence,) = leaks(Leaking(text_of(3000), data))
    assert sentence.startswith("the vocabulary changes when the validation and test parts do")
    (sentence,) = leaks(Peeking(text_of(3000), data))  # type: ignore[arg-type]
    assert sentence.startswith("training batch 83 changes when")


def test_a_series_scaler_that_knows_the_later_parts_is_a_leak() -> None:
    record = Record(np.random.default_rng(0).normal(size=(60, 1)), ("v",), "fingerprint")
    config = DataConfig(path="a.csv", seq_len=3, horizon=1)
    assert leaks(SeriesData(record, config)) == []

    class Leaking(SeriesData):
        """Scales by the whole record."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._mean = self._raw.mean(0)

        def altered(self) -> Leaking:
            other = super().altered()
            return Leaking(other._record, other._data)

    assert "the scaler's mean changes" in leaks(Leaking(record, config))[0]

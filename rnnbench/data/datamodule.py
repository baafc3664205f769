"""The only DataModule: any data set, as Lightning wants it."""

from __future__ import annotations

import lightning

from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.source import Batches, Part, Source, StepLoader
from rnnbench.data.task import Batch, Task

__all__ = ["SequenceDataModule", "StepLoader", "load"]


class SequenceDataModule(lightning.LightningDataModule):
    """A data set's batches, for training, validation and test.

    Args:
        data: Which data set, and how it is cut.
        seed: Decides the order (or the drawing) of the training data.
        steps: Training batches, counted from the training's very beginning.
        val_tokens: About how many tokens a validation scores; all where None.

    Raises:
        UserError: At `setup`, where the data are unknown, missing or unfit.
    """

    def __init__(self, data: DataConfig, seed: int = 0, steps: int = 0, val_tokens: int | None = None) -> None:
        super().__init__()
        self.data, self.seed, self.steps, self.val_tokens = data, seed, steps, val_tokens
        self._source: Source | None = None

    def setup(self, stage: str | None = None) -> None:
        """Reads the data, once."""
        if self._source is None:
            self._source = load(self.data, self.seed)

    @property
    def source(self) -> Source:
        """The data set, read when first asked for."""
        self.setup()
        assert self._source is not None
        return self._source

    @property
    def task(self) -> Task:
        """What the data ask of a model."""
        return self.source.task

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the raw content."""
        return self.source.fingerprint

    def train_dataloader(self) -> StepLoader:
        """All training batches in order, resumable."""
        return StepLoader(self.source.train_batch, self.steps)

    def val_dataloader(self) -> Batches:
        """The validation part, stateful where the data are, up to ``val_tokens``."""
        return self.source.evaluation("val", stateful=True, limit=self.val_tokens)

    def test_dataloader(self) -> Batches:
        """The whole test part, stateful where the data are."""
        return self.source.evaluation("test", stateful=True)

    def evaluation(self, part: Part, stateful: bool = True, limit: int | None = None) -> Batches:
        """See `Source.evaluation`."""
        return self.source.evaluation(part, stateful, limit)

    def probe_batch(self, seq_len: int, batch_size: int) -> Batch:
        """See `Source.probe_batch`."""
        return self.source.probe_batch(seq_len, batch_size)

    def references(self) -> dict[str, float]:
        """See `Source.references`."""
        return self.source.references()

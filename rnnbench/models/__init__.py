"""What surrounds a cell: input, stacked layers, readout."""

from rnnbench.models.sequence import SequenceModel

__all__ = ["SequenceModel"]

"""What surrounds a cell: input, stacked layers, readout or decoder."""

from rnnbench.models.build import Model, build
from rnnbench.models.sequence import SequenceModel
from rnnbench.models.translation import EncoderDecoder

__all__ = ["EncoderDecoder", "Model", "SequenceModel", "build"]

"""Recurrent cells: one cell a file, declared once; how it is run, trained, probed and timed follows from that."""

from rnnbench.cells.adapters import adapt, external_names
from rnnbench.cells.affine_cell import AffineCell
from rnnbench.cells.cell import Cell, GatedCell
from rnnbench.cells.exchange import from_torch, to_torch
from rnnbench.cells.matrix_cell import Factors, MatrixCell
from rnnbench.cells.modules import class_behind  # noqa: F401
from rnnbench.cells.nonlinear.gru import GRU
from rnnbench.cells.nonlinear.lstm import LSTM
from rnnbench.cells.nonlinear.rnn import RNN
from rnnbench.cells.registry import cell_class, cell_names, cell_options, make_cell, register_cell
from rnnbench.cells.sequence_cell import SequenceCell
from rnnbench.cells.window_cell import WindowCell

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AffineCell",
    "Cell",
    "Factors",
    "GatedCell",
    "MatrixCell",
    "SequenceCell",
    "WindowCell",
    "adapt",
    "cell_class",
    "cell_names",
    "cell_options",
    "external_names",
    "from_torch",
    "make_cell",
    "register_cell",
    "to_torch",
]

"""Recurrent cells: one cell a file, declared once; how it is run, trained, probed and timed follows from that."""

from rnnbench.cells.cell import AffineCell, Cell
from rnnbench.cells.exchange import from_torch, to_torch
from rnnbench.cells.gru import GRU
from rnnbench.cells.lstm import LSTM
from rnnbench.cells.registry import cell_class, cell_names, cell_options, make_cell, register_cell
from rnnbench.cells.rnn import RNN

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AffineCell",
    "Cell",
    "cell_class",
    "cell_names",
    "cell_options",
    "from_torch",
    "make_cell",
    "register_cell",
    "to_torch",
]

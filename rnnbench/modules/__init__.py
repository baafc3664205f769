"""The LightningModules: `SequenceModule` for any cell, and one class a cell type with that type's hyperparameters."""

from rnnbench.modules.by_cell import GRUModule, LSTMModule, RNNModule, module_class, module_for
from rnnbench.modules.sequence import SequenceModule

__all__ = ["GRUModule", "LSTMModule", "RNNModule", "SequenceModule", "module_class", "module_for"]

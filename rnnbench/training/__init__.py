"""One Run, from its config to its `result.json`: a LightningModule a cell type, optimisers, metrics, checkpoints."""

from rnnbench.training.cell_modules import GRUModule, LSTMModule, RNNModule, module_class
from rnnbench.training.one_run import train
from rnnbench.training.sequence_module import SequenceModule, module_for

__all__ = ["GRUModule", "LSTMModule", "RNNModule", "SequenceModule", "module_class", "module_for", "train"]

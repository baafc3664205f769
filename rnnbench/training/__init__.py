"""One Run, from its config to its `result.json`.

one_run.py             `train`: everything that happens to a run, in order
ddp.py                 the processes of a run on several devices
micro_batches.py       how processes and micro-batches split a batch
fitting.py             Lightning's Trainer and its callbacks: history, clock, progress
sequence_module.py     the LightningModule: training step, evaluation, what a checkpoint holds
cell_modules.py        a LightningModule for each cell
optimizers.py          optimiser, gradient clipping, learning-rate schedule
checkpoints.py         when a run is saved, from where it is resumed, the weights of a finished one
metrics.py, probing.py what is measured
speed.py, generate.py, gradients.py what else a training or a trained model is used for
"""

from rnnbench.training.cell_modules import GRUModule, LSTMModule, RNNModule, module_class
from rnnbench.training.one_run import train
from rnnbench.training.sequence_module import SequenceModule, module_for

__all__ = ["GRUModule", "LSTMModule", "RNNModule", "SequenceModule", "module_class", "module_for", "train"]

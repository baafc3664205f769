"""The projection of the ledger into Weights & Biases.

Offline unless asked otherwise: the files lie beside the run, ``wandb sync`` uploads them. Nothing here prompts, waits
without bound, or lets a failure of wandb reach the run: it says so in one line on stderr and falls silent. What a user
has set through WANDB_* variables (entity, base URL, key) keeps its meaning.

What is looked at there, and how, is `rnnbench.tracking`'s.
"""

from rnnbench.tracking.mirror import WandbMirror, cell_label
from rnnbench.tracking.session import MODES, has_key, mode_from_environment, out_of_reach, remove_earlier, server
from rnnbench.tracking.summary import log_summary

__all__ = [
    "MODES",
    "WandbMirror",
    "cell_label",
    "has_key",
    "log_summary",
    "mode_from_environment",
    "out_of_reach",
    "remove_earlier",
    "server",
]

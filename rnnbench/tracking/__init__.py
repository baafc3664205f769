"""The projection of the run directories into Weights & Biases.

Offline unless asked otherwise: the files lie beside the run, ``wandb sync`` uploads them. Nothing here prompts, waits
without bound, or lets a failure of wandb reach the run: it says so in one line on stderr and falls silent. What a user
has set through WANDB_* variables (entity, base URL, key) keeps its meaning.
"""

from rnnbench.tracking.mirror import WandbMirror, log_summary
from rnnbench.tracking.session import has_key, mode_from_environment, out_of_reach, remove_earlier, server

__all__ = ["WandbMirror", "has_key", "log_summary", "mode_from_environment", "out_of_reach", "remove_earlier", "server"]

"""One Run, from its config to its `result.json`."""

from rnnbench.train.one_run import train

__all__ = ["train"]

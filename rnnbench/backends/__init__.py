"""Ways to run any cell over time."""

from rnnbench.backends.backend import Backend, Request
from rnnbench.backends.dispatch import BACKENDS, choose, run

__all__ = ["BACKENDS", "Backend", "Request", "choose", "run"]

"""Processes that begin with the imports done: forked from a server that has them, 8 s a process otherwise."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from multiprocessing.context import ForkServerContext


def forkserver(preload: Sequence[str]) -> ForkServerContext:
    """A context whose processes have these modules already, one thread each.

    There is one server for a process and all that come from it: the first call to start a process decides.
    """
    os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
    # Else the server looks for what it preloads in the working folder first: a clone there is a folder named rnnbench.
    os.environ["PYTHONSAFEPATH"] = "1"
    context = multiprocessing.get_context("forkserver")
    # The last, and sympy with it, is imported by the first step of any optimiser.
    context.set_forkserver_preload([*preload, "torch._dynamo"])
    return context

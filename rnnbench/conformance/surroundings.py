"""What every cell and run of a process shares, and none may change: random states, defaults, modes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from rnnbench.conformance.property import Broken

#: Each by its name: how to read it, and how to set it.
_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
}

#: Random states: how to read, set and seed them.
_RANDOM: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[int], Any]]] = {
    "torch's random state": (torch.get_rng_state, torch.set_rng_state, torch.manual_seed),
    "numpy's random state": (np.random.get_state, np.random.set_state, np.random.seed),
    "Python's random state": (random.getstate, random.setstate, random.seed),
}


def settings() -> dict[str, Any]:
    """The settings as they are now."""
    return {name: read() for name, (read, _) in _SETTINGS.items()}


@contextmanager
def watched(what: str, before: dict[str, Any], *free: str) -> Iterator[None]:
    """The context in which a run or a constructor may not change what is shared; what it does is undone.

    Args:
        what: What is run, for the message.
        before: The settings as they were before anything of the cell ran.
        free: Names of random states that it may use.

    Raises:
        Broken: it changed something.
    """
    states = {name: read() for name, (read, _, _) in _RANDOM.items()}
    for name, (_, _, seed) in _RANDOM.items():
        if name not in free:  # to one that no code would seed it to
            seed(20_011)
    seeded = {name: _bytes(read()) for name, (read, _, _) in _RANDOM.items()}
    try:
        yield
        changed = [name for name, value in settings().items() if value != before[name]]
        changed += [name for name in _RANDOM if name not in free and _bytes(_RANDOM[name][0]()) != seeded[name]]
    finally:
        for name, state in states.items():
            _RANDOM[name][1](state)
        for name, value in settings().items():
            if value != before[name]:
                _SETTINGS[name][1](before[name])
    if changed:
        raise Broken(f"{what} changes {changed[0]}, and with it every other cell and run; leave it alone")


def _bytes(state: Any) -> bytes:
    """A random state, to compare."""
    if isinstance(state, torch.Tensor):
        return bytes(state.numpy().tobytes())
    if isinstance(state, np.ndarray):
        return state.tobytes()
    return b" ".join(map(_bytes, state)) if isinstance(state, tuple) else repr(state).encode()

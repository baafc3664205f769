"""Backends that are wrong, each in a way of its own, and one that is right."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from rnnbench.backends import Backend, Request
from rnnbench.backends.loop import Loop
from rnnbench.cells import Cell

Result = tuple[Tensor, Tensor]
Spoil = Callable[[Cell, Tensor, Tensor], Result]


class Saboteur(Backend):
    """The loop, with something done to its work."""

    name = "saboteur"

    def __init__(self, spoil: Spoil) -> None:
        self.spoil = spoil

    def refusal(self, cell: Cell, request: Request) -> str | None:
        return "it has neither" if request.tap or request.states else None

    def run(self, cell: Cell, x: Tensor, state: Tensor, tap: Tensor | None, return_states: bool) -> Result:
        return self.spoil(cell, x, state)


def loop(cell: Cell, x: Tensor, state: Tensor) -> Result:
    return Loop().run(cell, x, state, None, False)


def late_by_one(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """Each output is the one before it; the final state is right."""
    y, last = loop(cell, x, state)
    return y.roll(1, dims=1), last


def no_gradient_to_the_state(cell: Cell, x: Tensor, state: Tensor) -> Result:
    return loop(cell, x, state.detach())


def no_gradient_to_a_weight(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """Values right; the last parameter, a bias, is taken for a constant."""
    return loop(
        with_parameters(cell, lambda i, p: p.detach() if i == len(list(cell.parameters())) - 1 else p), x, state
    )


def truncated(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """Values right, the gradient cut in the middle of the sequence."""
    half = max(x.shape[1] // 2, 1)
    first, state = loop(cell, x[:, :half], state)
    if half == x.shape[1]:
        return first, state.detach()
    second, last = loop(cell, x[:, half:], state.detach())
    return torch.cat([first, second], dim=1), last


def coarse_state(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """A state that goes through float16 at every step."""
    outputs = []
    for t in range(x.shape[1]):
        y, state = loop(cell, x[:, t : t + 1], state)
        state = state.half().to(x.dtype)
        outputs.append(y)
    return torch.cat(outputs, dim=1), state


def in_tf32(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """What a GPU does with float32 where TF32 is allowed: the factors of its products have ten bits."""
    return loop(with_parameters(cell, lambda i, p: ten_bits(p) if p.dim() > 1 else p), ten_bits(x), ten_bits(state))


def wrong_final_state(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """The state of the step before the last."""
    y, _ = loop(cell, x, state)
    return y, loop(cell, x[:, :-1], state)[1] if x.shape[1] > 1 else state


def forgets_the_state(cell: Cell, x: Tensor, state: Tensor) -> Result:
    return loop(cell, x, 0 * state)


def not_a_number(cell: Cell, x: Tensor, state: Tensor) -> Result:
    """One output is NaN, as where memory was not written."""
    y, last = loop(cell, x, state)
    hole = torch.zeros_like(y)
    hole[0, -1, 0] = torch.nan
    return y + hole, last


SABOTAGE: list[Spoil] = [
    late_by_one,
    no_gradient_to_the_state,
    no_gradient_to_a_weight,
    truncated,
    coarse_state,
    in_tf32,
    wrong_final_state,
    forgets_the_state,
    not_a_number,
]


def ten_bits(x: Tensor) -> Tensor:
    """float32 rounded to TF32's mantissa; the gradient passes as if nothing had happened."""
    bits = x.detach().float().view(torch.int32)
    return x + ((bits + 0x1000 & ~0x1FFF).view(torch.float32).to(x.dtype) - x.detach())


def with_parameters(cell: Cell, change: Callable[[int, Tensor], Tensor]) -> Cell:
    """The cell on changed parameters, through which gradients come to its own."""
    twin = copy.copy(cell)
    changed = {name: change(i, p) for i, (name, p) in enumerate(cell.named_parameters(recurse=False))}
    twin.__dict__["_parameters"] = changed
    return twin

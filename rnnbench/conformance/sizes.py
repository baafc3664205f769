"""Other sizes: odd, prime, one, I = H; a kernel that works in blocks, or a special case, goes wrong at these."""

from __future__ import annotations

import torch

from rnnbench.cells.window_cell import WindowCell
from rnnbench.conformance.cell_under_test import CellUnderTest, H, I
from rnnbench.conformance.contract import declared
from rnnbench.conformance.dependence import batch, causality
from rnnbench.conformance.derivatives import derivative
from rnnbench.conformance.gates import views
from rnnbench.conformance.numerics import precision
from rnnbench.conformance.property import Broken, Rule
from rnnbench.conformance.sequences import chunk, reference
from rnnbench.conformance.use import use
from rnnbench.errors import UserError

#: (I, H), the first of each group that the constructor takes: heads divide the second.
SIZES = (((H, H),), ((I, 7), (I, 12)), ((1, 57), (1, 60)))

#: What is checked at each size, in float64 unless said.
_RULES: tuple[tuple[Rule, torch.dtype], ...] = (
    (chunk, torch.float64),
    (precision, torch.float32),
    (causality, torch.float64),
    (batch, torch.float64),
)
#: The largest width at which every weight must have a use: of many units of a relu some are dead in so few time steps.
_USED = 12


def sizes(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[float, str]:
    """The main properties again, on short sequences, at sizes that are odd, large, one and equal."""
    worst = (0.0, "")
    # A run of a long window is a window a step; at the largest size it would take seconds.
    for group in SIZES[:-1] if issubclass(subject.cell_class, WindowCell) else SIZES:
        for input_size, hidden_size in group:
            try:
                other = subject.sized(input_size, hidden_size, 4)
            except UserError as refusal:
                if isinstance(refusal.__cause__, ValueError | AssertionError | None):
                    continue  # a constructor's own check of its arguments
                raise Broken(str(refusal).rstrip(".")) from refusal
            worst = max(worst, _at(other))
            break
    return worst


def _at(subject: CellUnderTest) -> tuple[float, str]:
    at = f"at I = {subject.input_size}, H = {subject.hidden_size}"
    rules = [(rule, "loop", dtype) for rule, dtype in _RULES]
    if subject.hidden_size <= _USED:
        rules.append((use, "loop", torch.float64))
    if subject.input_size == subject.hidden_size:  # at the others it would take long
        rules.append((views, "loop", torch.float64))
    rules += [(reference, name, torch.float32) for name in subject.backends if name != "loop"]
    try:
        declared(subject, torch.float32)
    except Broken as broken:
        raise Broken(f"{at}: {broken}") from broken
    figures = [(0.0, "")]
    if "gradient" not in subject.exempt:
        figure, where = derivative(subject)
        figures = [(figure, f"{where}, {at}")]
    for rule, backend, dtype in rules:
        if rule.__name__ in subject.exempt:
            continue
        if figures[-1][0] > 1:
            return figures[-1]
        try:
            share, where = rule(subject, backend, dtype)
        except Broken as broken:
            raise Broken(f"{at}: {broken}") from broken
        figures.append((share or 0.0, f"{where}, {rule.__name__} {at}"))
    return max(figures)

"""Every option of a cell does something."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor

from rnnbench.cells.registry import cell_class, cell_options
from rnnbench.config import CellConfig, Scalar
from rnnbench.conformance.cell_under_test import CellUnderTest
from rnnbench.conformance.property import Broken


def options(subject: CellUnderTest, backend: str, dtype: torch.dtype) -> tuple[None, str]:
    """Some value of each option changes the weights, a result or a gradient, by itself or with another option's."""
    cls = cell_class(subject.config.name)
    hints = typing.get_type_hints(cls.__init__)
    current = {name: item.default for name, item in cell_options(cls).items()} | dict(subject.config.options)
    before = _outcome(subject, {}, dtype)
    values = {name: list(_others(hints.get(name), value)) for name, value in current.items()}
    for name, tried in values.items():
        alone: list[dict[str, Scalar]] = [{name: value} for value in tried]
        beside = [{other: value} for other, others in values.items() if other != name for value in others[:2]]
        outcomes = (_outcome(subject, change, dtype) for change in alone)
        if not (built := [(outcome, change) for outcome, change in zip(outcomes, alone, strict=True) if outcome]):
            continue  # nothing that the constructor takes was tried
        if all(_equal(outcome, before) for outcome, _ in built) and not any(
            _differ(subject, change, more, dtype) for _, change in built[:2] for more in beside
        ):
            shown = ", ".join(str(change[name]) for _, change in built)
            raise Broken(f"the option {name} changes nothing: {current[name]} and {shown} give the same results")
    return None, ""


def _others(hint: Any, value: Any) -> Iterator[Scalar]:
    """Values to try in place of one; none where there is no telling, as for a free text."""
    kinds = typing.get_args(hint) or (hint,)
    if typing.get_origin(hint) is Literal:
        yield from (other for other in kinds if other != value)
    elif bool in kinds or isinstance(value, bool):
        yield from (other for other in (True, False) if other is not value)
    elif isinstance(value, int | float):
        for other in (2 * value, value / 2, value + 1, value - 1, value / 100, -value):
            if other != value:
                yield int(other) if isinstance(value, int) and other == int(other) else other
    elif value is None and (float in kinds or int in kinds):
        yield from (1, 2, 0.5) if float in kinds else (1, 2, 16)


def _outcome(subject: CellUnderTest, change: dict[str, Scalar], dtype: torch.dtype) -> dict[str, Tensor] | None:
    """Weights, values and gradients with some options changed; None where the cell does not take these values.

    They are tried without knowing what is allowed (a probability of 1.5, 5 heads), so it may raise anything.
    """
    config = CellConfig(subject.config.name, {**subject.config.options, **change})
    try:
        changed = CellUnderTest(config, ["loop"], subject.device.type, subject.input_size, subject.hidden_size, 3)
        return {**changed.results(dtype), **changed.cell(dtype).state_dict()}
    except Exception:
        return None


def _equal(one: dict[str, Tensor] | None, other: dict[str, Tensor] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.keys() == other.keys() and all(
        value.shape == other[name].shape and torch.equal(value, other[name]) for name, value in one.items()
    )


def _differ(subject: CellUnderTest, change: dict[str, Scalar], more: dict[str, Scalar], dtype: torch.dtype) -> bool:
    """Whether an option does something where another has another value."""
    without, with_it = _outcome(subject, more, dtype), _outcome(subject, {**more, **change}, dtype)
    return without is not None and with_it is not None and not _equal(without, with_it)

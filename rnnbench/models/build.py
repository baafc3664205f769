"""The model of a task, at the width where it has so many weights: what makes a comparison of cells fair."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache

import torch

from rnnbench.cells.cell import memory_indices
from rnnbench.cells.weights import count_weights
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.config.parts import Match
from rnnbench.data.task import Task
from rnnbench.errors import UserError
from rnnbench.models.sequence import SequenceModel
from rnnbench.models.translation import EncoderDecoder

#: How far from the target a count may be, as a share of it; widths in a row that heads may not divide.
TOLERANCE, GAP = 0.02, 256
Model = SequenceModel | EncoderDecoder


def solve_width(count: Callable[[int], int], target: int) -> int:
    """The width whose count of weights is nearest to the target.

    ``count`` grows with the width, and raises `UserError` at a width that cannot be built.

    Raises:
        UserError: none comes within 2 %, with the nearest; or what ``count`` raised at every width.
    """

    @cache
    def at_least(width: int) -> tuple[int, int]:
        """The first width from here on that can be built, and its count."""
        for candidate in range(width, width + GAP):
            try:
                return candidate, count(candidate)
            except UserError as error:
                refusal = error
        raise refusal

    low, high = 0, 1
    while at_least(high)[1] < target:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if at_least(middle)[1] < target else (low, middle)
    around = [at_least(width) for width in (low, high) if width]
    width, nearest = min(around, key=lambda pair: abs(pair[1] - target))
    if abs(nearest - target) > TOLERANCE * target:
        raise UserError(
            f"model.parameters {target} cannot be met within {100 * TOLERANCE:g} %: the nearest is {nearest}, at "
            f"hidden_size {width}; ask for that."
        )
    return width


def build(task: Task, cell: CellConfig, config: ModelConfig, span: int = 64) -> Model:
    """The model that a task asks for: a decoder where it writes a sequence of its own, else a readout.

    Args:
        task: What the data asks for.
        cell: Which cell.
        config: Sizes, blocks, initialisation and backend; with ``parameters`` the width is solved for first.
        span: The longest dependency to expect, in steps: what init chrono prepares for.

    Raises:
        UserError: a config that this task or this cell has no use for, or ``parameters`` that no width meets.
    """
    _check(task, config)
    kind = EncoderDecoder if task.writes else SequenceModel
    return kind(task, cell, resolved(task, cell, config), span)


def matched_parameters(model: Model, match: Match = "trainable") -> int:
    """Weights that a fair comparison holds equal: those of ``model.matched``, trainable ones or all."""
    counts = count_weights(torch.nn.ModuleList(model.matched))
    return counts.trainable if match == "trainable" else counts.total


def state_size(model: Model) -> int:
    """Numbers of recurrent memory a sample carries."""
    return sum(len(memory_indices(cell)) for cell in model.cells)


def resolved(task: Task, cell: CellConfig, config: ModelConfig) -> ModelConfig:
    """The config with the hidden_size that its ``parameters`` ask for, itself where they ask for nothing.

    Solved on the meta device: nothing is allocated and no random number drawn. Raises as `solve_width`.
    """
    if config.parameters is None:
        return config
    plain = dataclasses.replace(config, parameters=None, init="default")

    def count(width: int) -> int:
        with torch.device("meta"):
            return matched_parameters(build(task, cell, dataclasses.replace(plain, hidden_size=width)), config.match)

    return dataclasses.replace(config, parameters=None, hidden_size=solve_width(count, config.parameters))


def _check(task: Task, config: ModelConfig) -> None:
    """Refuse what this task has no use for."""
    if config.bidirectional and (task.causal or task.stateful):
        raise UserError(
            "model.bidirectional would read what this task asks to predict, the inputs still to come; it is for tasks "
            "with one target a sequence, labels of frames, and encoders."
        )
    if config.pooling != "last" and (task.shape == "many_to_many" or task.writes):
        what = "a decoder" if task.writes else "a target at every step"
        raise UserError(
            f"model.pooling {config.pooling} makes one vector of a window, and this task has {what}; leave it out."
        )
    if config.attention != ModelConfig.attention and not task.writes:
        raise UserError(
            f"model.attention {config.attention} is a decoder's, and this task has none; leave it out "
            "(model.pooling attention makes one vector of a window)."
        )
    if config.tie and (task.writes or task.reads != "tokens" or task.input_size != task.output_size):
        raise UserError(
            "model.tie needs an embedding of the very symbols that are predicted, and this task has none; leave it out."
        )

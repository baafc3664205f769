"""For the tests of a package with cells: ``from rnnbench.testing import check_cell``."""

from __future__ import annotations

from typing import Any

from torch import nn

from rnnbench.cells.modules import cell_of
from rnnbench.cells.registry import known_as
from rnnbench.config import CellConfig
from rnnbench.conformance import check


def check_cell(cell: str | type[nn.Module], **options: Any) -> None:
    """Check a cell for everything that `rnnbench check-cell` does.

    Args:
        cell: Its class, a `Cell` or any other nn.Module; or its name, also as ``leaky.py:Leaky``.
        options: The cell's own.

    Raises:
        AssertionError: A check fails; a line each.
        UserError: It cannot be built, or is no cell.
    """
    from rnnbench.cli.check_cell import verdicts

    name = cell if isinstance(cell, str) else cell.__qualname__
    with known_as(name, None if isinstance(cell, str) else cell_of(cell, name)):
        config = CellConfig(name, options) if options else CellConfig.parse(name)
        broken = [finding for finding in check(config) if finding.ok is False]
    if broken:
        raise AssertionError("\n".join(verdicts(config.label, broken)))

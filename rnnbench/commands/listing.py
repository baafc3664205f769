"""A listing as JSON for machines, or drawn for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnnbench.console import Console

Rows = Sequence[dict[str, Any]]


def print_rows(rows: Rows, show: Callable[[Rows, Console], None], as_json: bool) -> None:
    """One JSON array, or what ``show`` draws on a console; imports rich only for the latter."""
    if as_json:
        print(json.dumps(rows))
        return
    from rnnbench.console import Console

    show(rows, Console())

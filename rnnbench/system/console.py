"""rich's console for text that may come from anywhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import rich.console
from rich.segment import Segment

from rnnbench.system.terminal import visible


class Console(rich.console.Console):
    """rich's, with the control characters of what is printed made `visible`, its own colours and cursor left alone.

    Args:
        stderr: Print to standard error.
        **options: As rich has them.
    """

    def __init__(self, stderr: bool = False, **options: Any) -> None:
        stream = sys.stderr if stderr else sys.stdout
        super().__init__(**{"file": getattr(stream, "styled", stream), **options})

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            text = segment.text if segment.control else visible(segment.text)
            yield segment if text == segment.text else segment._replace(text=text)

"""A property that is checked, and the result: a verdict, how near to failing it was, and where."""

from __future__ import annotations

import math
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from rnnbench.errors import told

if TYPE_CHECKING:
    from rnnbench.conformance.cell_under_test import CellUnderTest


@dataclass(frozen=True)
class CheckResult:
    """The result of one check.

    Args:
        property: Its name in `rnnbench.conformance.PROPERTIES`.
        backend: What ran the cell; empty where the property is of the cell itself.
        dtype: ``float32`` or ``float64``; empty likewise.
        ok: None where nothing could be judged; ``where`` says why.
        figure: The worst error as a multiple of what is allowed; None where the answer is only yes or no.
        where: What failed and where, or where it was nearest to failing: tensor, time step, cut.
    """

    property: str
    backend: str
    dtype: str
    ok: bool | None
    figure: float | None
    where: str

    def plain(self) -> dict[str, Any]:
        """For JSON, which has no infinity."""
        figure = self.figure if self.figure is None or math.isfinite(self.figure) else "infinite"
        rest = {"backend": self.backend, "dtype": self.dtype, "ok": self.ok, "figure": figure, "where": self.where}
        return {"law": self.property, **rest}


class Broken(Exception):
    """Raised by a check whose answer is yes or no; the message says what failed and where."""


#: (cell under test, backend, dtype) → (worst error as a multiple of what is allowed or None, where).
Rule = Callable[["CellUnderTest", str, torch.dtype], tuple[float | None, str]]


@dataclass(frozen=True)
class Property:
    """A rule, and what is checked by it.

    Args:
        name: One word.
        rule: Raises `Broken`, or returns the figure and where.
        backends: Checked of every backend that can run the cell; otherwise of the loop, which defines the cell.
        dtypes: Number formats in which it is checked.
        required: The other checks presuppose it: they are not made where it fails.
        repeats: It checks the others' properties in other circumstances, and is not made where one of them fails.
    """

    name: str
    rule: Rule
    backends: bool = False
    dtypes: tuple[torch.dtype, ...] = (torch.float64,)
    required: bool = False
    repeats: bool = False

    def findings(self, subject: CellUnderTest) -> list[CheckResult]:
        """One for each backend and number format; an exception of the cell is a failed check.

        One alone, not judged, where the cell declares that it lacks the property by its nature.
        """
        if reason := subject.exempt.get(self.name):
            return [CheckResult(self.name, "", "", None, None, reason)]
        return [
            self._judge(subject, backend, dtype)
            for backend in (subject.backends if self.backends else ("loop",))
            for dtype in self.dtypes
        ]

    def _judge(self, subject: CellUnderTest, backend: str, dtype: torch.dtype) -> CheckResult:
        about = (self.name, backend, str(dtype).removeprefix("torch."))
        try:
            figure, where = self.rule(subject, backend, dtype)
        except Broken as broken:
            return CheckResult(*about, False, None, str(broken))
        except Exception as error:  # a third party's cell may raise anything
            return CheckResult(*about, False, None, f"it raised {told(error)}{_line(subject, error)}")
        return CheckResult(*about, figure is None or figure <= 1, figure, where)


def _line(subject: CellUnderTest, error: Exception) -> str:
    """`` (mine.py, line 31, in step)``: where in the cell's own file an exception came from; empty where not in it."""
    source = sys.modules.get(subject.cell_class.__module__)
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if source is not None and frame.filename == getattr(source, "__file__", None)
    ]
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})" if frames else ""

"""What a law comes to: a verdict, how near it was, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from rnnbench.errors import told

if TYPE_CHECKING:
    from rnnbench.conformance.cell_under_test import CellUnderTest


@dataclass(frozen=True)
class CheckResult:
    """One law, looked at once.

    Args:
        law: Its name in `rnnbench.conformance.PROPERTIES`.
        backend: What ran the cell; empty where the law is about the cell itself.
        dtype: ``float32`` or ``float64``; empty likewise.
        ok: None where nothing could be judged; ``where`` says why.
        figure: The worst error as a multiple of what is allowed; None where the law is one of yes and no.
        where: What broke and where, or where it was nearest to breaking: tensor, time step, cut.
    """

    law: str
    backend: str
    dtype: str
    ok: bool | None
    figure: float | None
    where: str


class Broken(Exception):
    """Raised by a law of yes and no; the message says what broke and where."""


#: A law's own work: (cell under test, backend, dtype) → (worst error as a multiple of what is allowed or None, where).
Rule = Callable[["CellUnderTest", str, torch.dtype], tuple[float | None, str]]


@dataclass(frozen=True)
class Property:
    """A rule, and what it is asked of.

    Args:
        name: One word.
        rule: Raises `Broken`, or returns the figure and where.
        backends: Asked of every backend that can run the cell; otherwise of the loop, which defines the cell.
        dtypes: Number formats it is asked in.
        founding: The other laws presuppose it: they are not looked at where it is broken.
    """

    name: str
    rule: Rule
    backends: bool = False
    dtypes: tuple[torch.dtype, ...] = (torch.float64,)
    founding: bool = False

    def findings(self, subject: CellUnderTest) -> list[CheckResult]:
        """One for each backend and number format; what the cell raises is a broken law and no exception."""
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
        except Exception as error:  # whatever a stranger's cell does is a finding about it
            return CheckResult(*about, False, None, f"it raised {told(error)}")
        return CheckResult(*about, figure is None or figure <= 1, figure, where)

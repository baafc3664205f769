"""What a sweep looks like while it runs: a bar a run and one for all, or a line a run where there is no terminal."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_MARKS = {"done": "[green]done[/]", "diverged": "[yellow]diverged[/]"}


class Display:
    """Progress of a sweep on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=30), TaskProgressColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}
        self._weights: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._share: dict[str, float] = {}
        self._overall: TaskID | None = None
        self._count = 0
        self._total = 0

    def __enter__(self) -> Display:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def start(self, total: int, skipped: int, weights: dict[str, float]) -> None:
        """Called once: how many runs there are, how many the ledger has, how heavy the others are."""
        self._total, self._count, self._weights = total, skipped, weights
        if weights:
            already = f", {skipped} of them finished before" if skipped else ""
            self.console.print(f"{total} runs{already}")
            self._overall = self._bars.add_task("[bold]all runs", total=sum(weights.values()))

    def note(self, text: str) -> None:
        """A line about what happens before the runs."""
        self.console.print(f"[dim]{text}[/]", highlight=False)

    def begin(self, id: str, label: str) -> None:
        """A run has been started."""
        self._begun[id] = time.monotonic()
        self._tasks[id] = self._bars.add_task(label, total=1.0)

    def update(self, id: str, done: int, total: int, what: str) -> None:
        """A run has got so far."""
        self._share[id] = done / total if total else 0.0
        self._bars.update(self._tasks[id], completed=self._share[id])
        self._refresh()

    def end(self, id: str, label: str, status: str, sentence: str, result: dict[str, Any] | None = None) -> None:
        """A run is over."""
        if id in self._tasks:
            self._bars.remove_task(self._tasks.pop(id))
        self._share[id] = 1.0
        self._refresh()
        self._count += 1
        seconds = time.monotonic() - self._begun[id] if id in self._begun else 0.0
        mark = _MARKS.get(status, f"[red]{status}[/]")
        tail = _headline(result) if result and status in _MARKS else sentence
        self.console.print(
            f"[dim]{self._count:>3}/{self._total}[/] {label:<28} {mark} {seconds:6.1f} s  {tail}", highlight=False
        )

    def _refresh(self) -> None:
        if self._overall is not None:
            done = sum(weight * self._share.get(id, 0.0) for id, weight in self._weights.items())
            self._bars.update(self._overall, completed=done)


def _headline(result: dict[str, Any]) -> str:
    metrics = result["metrics"]
    for name in ("bpc", "error", "mse", "nll"):  # the first that there is: what is predicted has bpc and nll, say
        if isinstance(value := metrics.get(f"test/{name}"), float):
            return f"{name} {value:.4g}"
    return ""

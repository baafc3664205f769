"""What a sweep looks like while it runs: a table of what is at work, or a line a run where there is no terminal."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

_MARKS = {"done": "[green]done[/]", "diverged": "[yellow]diverged[/]", "stopped": "[dim]stopped[/]"}


class Display:
    """Progress of a sweep on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._table = Progress(
            TextColumn("{task.description}"), TextColumn("{task.fields[what]}", style="dim"), BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._rows: dict[str, TaskID] = {}
        self._weights: dict[str, float] = {}
        self._begun: dict[str, float] = {}
        self._share: dict[str, float] = {}
        self._overall: TaskID | None = None
        self._count = self._total = 0

    def __enter__(self) -> Display:
        self._table.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._table.stop()

    def start(self, total: int, skipped: int, weights: dict[str, float]) -> None:
        """Called once: how many runs there are, how many have results, how heavy the others are."""
        self._total, self._count, self._weights = total, skipped, weights
        if weights:
            already = f", {skipped} of them finished before" if skipped else ""
            self.console.print(f"{total} runs{already}")
            self._overall = self._table.add_task("[bold]all runs", total=sum(weights.values()), what="")
            self._refresh()

    def note(self, text: str) -> None:
        """A line about what happens beside the runs."""
        self._print(f"[dim]{escape(text)}[/]")

    def begin(self, id: str, label: str) -> None:
        """A run has been started."""
        self._begun[id] = time.monotonic()
        self._rows[id] = self._table.add_task(escape(label), total=1.0, what="starting")

    def update(self, id: str, done: int, total: int, what: str) -> None:
        """A run's progress."""
        self._share[id] = done / total if total else 0.0
        if id in self._rows:
            self._table.update(self._rows[id], completed=self._share[id], what=f"{what} {done}/{total}")
        self._refresh()

    def again(self, id: str, label: str, why: str) -> None:
        """A run is to be retried."""
        self._remove(id, 0.0)
        self._print(f"[dim]{'':>7}[/] {escape(label):<28} [yellow]{escape(why)}[/]")

    def end(self, id: str, label: str, status: str, sentence: str, result: Mapping[str, Any] | None = None) -> None:
        """A run is over, here or in another sweep."""
        self._count += status != "stopped"
        self._remove(id, 1.0)
        here = id in self._begun
        took = result["seconds"] if result else time.monotonic() - self._begun.get(id, time.monotonic())
        seconds = f"{took:6.1f} s" if here else f"{'':>8}"
        mark = _MARKS.get(status, f"[red]{status}[/]")
        tail = _primary(result) if result and status in ("done", "diverged") else sentence
        elsewhere = "" if here or result is None else "  (by another sweep)"
        count = f"[dim]{self._count:>3}/{self._total}[/]"
        self._print(f"{count} {escape(label):<28} {mark} {seconds}  {escape(tail)}{elsewhere}")

    def _print(self, markup: str) -> None:
        self.console.print(markup, highlight=False, soft_wrap=True)

    def _remove(self, id: str, share: float) -> None:
        if id in self._rows:
            self._table.remove_task(self._rows.pop(id))
        self._share[id] = share
        self._refresh()

    def _refresh(self) -> None:
        if self._overall is not None:
            done = sum(weight * self._share.get(id, 0.0) for id, weight in self._weights.items())
            self._table.update(self._overall, completed=done, what=f"{self._count}/{self._total}")


def _primary(result: Mapping[str, Any]) -> str:
    """The first metric that there is: what is predicted has bpc and nll, say."""
    for name in ("bpc", "error", "mse", "nll"):
        if isinstance(value := result["metrics"].get(f"test/{name}"), float):
            return f"{name} {value:.4g}"
    return ""

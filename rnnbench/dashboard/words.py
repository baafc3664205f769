"""What a report says beside its panels: how much there is, the tables, how to read each section. Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from rnnbench.dashboard.view import View

#: A table of more lines than these (comparisons, pair by pair) is left to `rnnbench report`.
LINES = 60


def title(view: View) -> str:
    """W&B allows 128 characters."""
    return f"rnnbench {view.study}"[:128]


def counts(view: View) -> str:
    """How many runs of what, and what became of them."""
    train = [result for result in view.results if result.kind == "train"]
    timings = [result for result in view.results if result.kind != "train"]
    parts = []
    if train:
        seeds = {result.run.get("seed", 0) for result in train}
        parts.append(
            f"{_number(len(train), 'run')}: {_number(len({r.cell for r in train}), 'cell')}, "
            f"{_number(len({r.data for r in train}), 'data set')}, "
            f"sequence length {_listed(r.seq_len for r in train)}, {_number(len(seeds), 'seed')}."
        )
    if timings:
        parts.append(f"{_number(len(timings), 'timing')}, sequence length {_listed(r.seq_len for r in timings)}.")
    lost = Counter(result.status for result in view.results if not result.done)
    if lost:
        parts.append(f"Not done: {', '.join(f'{count} {status}' for status, count in sorted(lost.items()))}.")
    named = ", ".join({"cell_label": "cell", "seq_len": "sequence length"}.get(name, name) for name in view.grouping)
    return " ".join([*parts, f"Grouped by {named}{'; the runs of a group differ by their seed' if train else ''}."])


def tables(view: View) -> list[str]:
    """The tables of `rnnbench report`, as Markdown."""
    from rnnbench.report.tables.training import tables as made
    from rnnbench.report.tables.writers import markdown

    return [markdown(table).strip() for table in made(view.results) if len(table.rows) <= LINES]


def markdown_page(view: View) -> str:
    """The report as a page to read without W&B; of the panels it has the titles."""
    parts = [f"# {title(view)}", counts(view), *tables(view)]
    for section in view.sections:
        parts += [f"## {section.name}", section.about, "\n".join(f"- {panel.title}" for panel in section.panels)]
    return "\n\n".join(parts) + "\n"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _listed(values: Iterable[Any]) -> str:
    found = sorted(set(values))
    return ", ".join(map(str, found)) if len(found) <= 6 else f"{found[0]} to {found[-1]}"

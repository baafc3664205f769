"""What produced a study: the settings that all of its runs share, and the machines and versions they ran on."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.report.page.html_table import code
from rnnbench.report.page.sentences import distinct, listed
from rnnbench.report.results import Result
from rnnbench.report.statistics import flat
from rnnbench.report.tables.table import Table

#: Of an environment, and what it is called.
KNOWN = {
    "commit": "commit", "device": "device", "device_name": "device's name", "cores": "cores", "threads": "threads",
    "workers": "runs at a time", "backend": "backend", "python": "Python", "torch": "torch", "lightning": "lightning",
    "driver": "driver", "platform": "platform",
}  # fmt: skip


def source_html(results: Sequence[Result], made: Sequence[Table]) -> str:
    """Captions with the commands, a list of what ran where, and of the settings, those that vary counted."""
    captions = "".join(f"<p>{code(text)}</p>" for text in distinct(table.caption for table in made))
    environment = [
        (title, listed([str(value)[:60] for value in values], 4))
        for name, title in KNOWN.items()
        if (values := distinct(result.environment.get(name) for result in results))
    ]
    return (
        f"{captions}<h3>Where it ran</h3>{_list(environment)}"
        f"<details><summary>Settings of the runs</summary>{_list(_settings(results))}</details>"
    )


def _settings(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Every setting with its values, by the kind of job where there are several."""
    values: dict[str, list[Any]] = {}
    for result in results:
        for name, value in flat(result.run if isinstance(result.run, Mapping) else {}).items():
            values.setdefault(name, []).append("none" if value is None else value)
    return [(name, listed(distinct(found), 8)) for name, found in values.items()]


def _list(pairs: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd>" for k, v in pairs) + "</dl>"

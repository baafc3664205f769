"""The page of a `rnnbench certify`: the worst of each quantity, every size as a table of colours, and what ran."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from rnnbench.report.page.document import Section, html_frame, html_table
from rnnbench.report.tables.table import Column, Row, Table, number

Rows = Sequence[Mapping[str, Any]]

_COLUMNS = (
    Column("implementation", "implementation", left=True),
    Column("quantity", "quantity", left=True),
    Column("figure", "error, of what is allowed"),
    Column("error", "error, of the largest entry"),
    Column("dtype", "in", left=True),
    Column("check", "check", left=True),
    Column("size", "at", left=True),
    Column("where", "where", left=True),
)


def certified_page(result: Mapping[str, Any]) -> str:
    """One HTML file that needs no network and no script, from what `rnnbench certify` writes as JSON."""
    rows: Rows = result["rows"]
    blocks = []
    for name, dtype in dict.fromkeys((row["implementation"], row["dtype"]) for row in rows):
        alike = [row for row in rows if (row["implementation"], row["dtype"]) == (name, dtype)]
        blocks.append(f"<h3>{html.escape(name)} in {dtype}</h3>{_heat_map(alike, 'kind')}{_heat_map(alike, 'check')}")
    checks = "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(text)}</dd>" for name, text in result["checks"].items()
    )
    about = {"target": result["target"], **result["settings"], **result["environment"]}
    facts = "".join(f"<dt>{html.escape(key)}</dt><dd>{html.escape(str(value))}</dd>" for key, value in about.items())
    sections = [
        Section("summary", "Summary", _summary(result)),
        Section("worst", "The worst of each quantity", html_table(_table(result["worst"]), "table-worst", "Worst")),
        Section("sizes", "Every size", f"<p>{_KEY}</p>{''.join(blocks)}"),
        Section("checks", "What is checked", f"<dl>{checks}</dl>"),
        Section("source", "What produced this", f"<dl>{facts}</dl>"),
    ]
    return html_frame(f"certify {result['target']}", sections)


_KEY = (
    "The largest error as a multiple of what is allowed, at each size: by quantity over all checks, then by check over "
    "all quantities. Above 1, in red, it is wrong. Point at an entry to see where it is from."
)


def _summary(result: Mapping[str, Any]) -> str:
    failures, count = result["failures"], len(result["rows"])
    verdict = f"{len(failures)} quantities are wrong." if failures else "No error is larger than what is allowed."
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in [*failures, *result["notes"]])
    listed = f"<ul>{lines}</ul>" if lines else ""
    return f'<div class="prose"><p>{verdict} {count} tensors were compared.</p>{listed}</div>'


def _table(worst: Rows) -> Table:
    lines = []
    for row in worst:
        text = {key: str(row[key]) for key in ("implementation", "quantity", "dtype", "check", "size", "where")}
        text |= {key: number(float(row[key]), 3) for key in ("figure", "error")}
        lines.append(Row(row, text, frozenset() if row["ok"] else frozenset(("quantity", "figure"))))
    caption = "Allowed is ten times (a GPU's kernels: more) the error of the plain loop in the same number format."
    one = len({row["implementation"] for row in worst}) == 1
    return Table("worst", _COLUMNS[one:], tuple(lines), caption=caption).without_empty_columns()


def _heat_map(rows: Rows, by: str) -> str:
    """Sizes down, kinds of quantities or checks across; a row that raised is in every map."""
    columns = list(dict.fromkeys(row[by] or "raised" for row in rows))
    worst: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in rows:
        key = row["size"], row[by] or "raised"
        if key not in worst or float(row["figure"]) > float(worst[key]["figure"]):
            worst[key] = row
    head = "".join(f'<th scope="col">{html.escape(column)}</th>' for column in columns)
    lines = []
    for size in dict.fromkeys(row["size"] for row in rows):
        entries = "".join(_entry(worst.get((size, column))) for column in columns)
        lines.append(f'<tr><th scope="row" class="words">{html.escape(size)}</th>{entries}</tr>')
    return (
        '<div class="table"><div class="scroll" role="region" tabindex="0" aria-label="Every size"><table>'
        f'<thead><tr><th scope="col" class="words">size</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div></div>"
    )


def _entry(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "<td></td>"
    figure = float(row["figure"])
    # Green by the logarithm from a thousandth to 1, and red above.
    share = min(max(1 + math.log10(max(figure, 1e-9)) / 3, 0.0), 1.0) if figure <= 1 else 1.0
    colour = f"rgba(16, 140, 80, {0.05 + 0.45 * share:.2f})" if figure <= 1 else "rgba(214, 60, 30, 0.75)"
    from_where = " · ".join(filter(None, (row["quantity"], row["check"], row["where"])))
    return f'<td style="background:{colour}" title="{html.escape(from_where)}">{number(figure, 2)}</td>'

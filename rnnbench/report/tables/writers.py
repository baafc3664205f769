"""How a table looks: Markdown, CSV, LaTeX (booktabs), and a Rich table that fits the terminal."""

from __future__ import annotations

import csv as csv_module
import io
import textwrap
from typing import TYPE_CHECKING

from rnnbench.report.tables.table import Column, Row, Table

if TYPE_CHECKING:
    from rich.console import Group as RichGroup
    from rich.table import Table as RichTable

LATEX = {
    "\\": r"\textbackslash{}",
    **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "∞": r"$\infty$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "−": "$-$",
    "–": "--",
    "\u202f": r"\,",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "…": r"\ldots{}",
    "†": r"\dag{}",
    "·": r"$\cdot$",
    "½": r"$\frac12$",
    "∝": r"$\propto$",
    "√": r"$\surd$",
    **dict(zip("αβγδ", (r"$\alpha$", r"$\beta$", r"$\gamma$", r"$\delta$"), strict=True)),
    **dict(zip("λµμρτ", (r"$\lambda$", r"$\mu$", r"$\mu$", r"$\rho$", r"$\tau$"), strict=True)),
    **{digit: f"$_{value}$" for value, digit in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    **{digit: f"$^{value}$" for value, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}


def markdown(table: Table) -> str:
    """A GitHub table, its title above, its notes and its caption below."""
    lines = [table.title, ""] if table.title else []
    lines += ["| " + " | ".join(_pipe(column.title) for column in table.columns) + " |"]
    lines.append("|" + "|".join(":---" if column.left else "---:" for column in table.columns) + "|")
    for row in table.rows:
        entries = [_pipe(_text(row, column)) for column in table.columns]
        marked = [f"**{e}**" if c.key in row.bold else e for e, c in zip(entries, table.columns, strict=True)]
        lines.append("| " + " | ".join(marked) + " |")
    for row in table.references:
        entries = [_pipe(_text(row, column)) for column in table.columns]
        lines.append("| " + " | ".join(f"*{entry}*" if entry else "" for entry in entries) + " |")
    return "\n".join([*lines, "", *(f"- {note}" for _, note in table.notes), "", table.caption, ""])


def csv(table: Table) -> str:
    """The raw numbers, a line for each row; references are columns of it, a missing number is empty."""
    names = list(dict.fromkeys(name for row in table.rows for name in row.raw))
    out = io.StringIO()
    writer = csv_module.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: "" if value is None else value for name, value in row.raw.items()} for row in table.rows)
    return out.getvalue()


def latex(table: Table) -> str:
    r"""A ``table`` environment for ``\usepackage{booktabs}``."""
    spec = "".join("l" if column.left else "r" for column in table.columns)
    lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{spec}}}", r"\toprule"]
    lines += [" & ".join(_tex(column.title) for column in table.columns) + r" \\", r"\midrule"]
    for row in table.rows:
        entries = [(_tex(_text(row, column)), column.key in row.bold) for column in table.columns]
        lines.append(" & ".join(rf"\textbf{{{entry}}}" if bold else entry for entry, bold in entries) + r" \\")
    if table.references:
        lines.append(r"\midrule")
        for row in table.references:
            entries = [(_tex(_text(row, column)), False) for column in table.columns]
            lines.append(" & ".join(rf"\emph{{{entry}}}" if entry else "" for entry, _ in entries) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    said = [table.title, table.caption.replace("`", ""), *(note for _, note in table.notes)]
    lines.append(rf"\caption{{{_tex(' '.join(filter(None, said)))}}}")
    return "\n".join([*lines, r"\end{table}", ""])


def rich_table(table: Table, width: int = 100) -> RichGroup:
    """The table, its notes and its caption for the terminal: columns come by importance, as long as they fit."""
    from rich.console import Group
    from rich.text import Text

    from rnnbench.system.console import Console

    console = Console(width=10_000)
    kept = [column for column in table.columns if column.importance == 0]
    for column in sorted(table.columns, key=lambda column: column.importance):
        more = [one for one in table.columns if one in kept or one is column]
        if column not in kept and console.measure(_rich(table, more)).maximum <= width:
            kept = more
    notes = [note for key, note in table.notes if key in {column.key for column in kept}]
    if dropped := [column.title for column in table.columns if column not in kept]:
        notes.append(f"Not shown for want of space: {', '.join(dropped)}.")
    lines = [Text(textwrap.fill(line, width), style="dim") for line in (*notes, table.caption)]
    title = [Text(textwrap.fill(table.title, width), style="bold")] if table.title else []
    return Group(*title, _rich(table, kept), *lines)


def _rich(table: Table, columns: list[Column]) -> RichTable:
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    out = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    lines = (*table.rows, *table.references)
    for column in columns:
        width = max([1] + [len(_text(row, column)) for row in lines] + [len(word) for word in column.title.split()])
        title = textwrap.fill(column.title, width, break_long_words=False)
        out.add_column(Text(title), justify="left" if column.left else "right", no_wrap=True)
    for row in table.rows:
        out.add_row(*(Text(_text(row, c), style="bold" if c.key in row.bold else "") for c in columns))
    if table.references:
        out.add_section()
    for row in table.references:
        out.add_row(*(Text(_text(row, column), style="italic") for column in columns))
    return out


def _text(row: Row, column: Column) -> str:
    return row.text.get(column.key, "")


def _pipe(text: str) -> str:
    return text.replace("|", "\\|")


def _tex(text: str) -> str:
    """In what every LaTeX can set; a letter that it may lack (a cell may be called anything) is named by its code."""
    return "".join(LATEX.get(mark, mark if ord(mark) < 0x100 else f"[U+{ord(mark):04X}]") for mark in text)

"""Nested plain values as indented lines that people can read, and rows as tables."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from rnnbench.system.console import Console

#: Columns of a line, and rows shown of a list of lists.
WIDTH, ROWS = 100, 12
#: Characters from which on an entry of a list has a line of its own.
SENTENCE = 40


def lines(values: Mapping[str, Any], indent: int = 0) -> Iterator[str]:
    """A line an entry, or more where it is nested or a text of several lines; long lists are cut and say so."""
    margin = " " * indent
    width = max((len(str(key)) for key, value in values.items() if not _is_block(value)), default=0)
    for key, value in values.items():
        if not _is_block(value):
            yield from _flat(f"{margin}{key:<{width}}  ", value)
            continue
        yield f"{margin}{key}"
        items = [value] if isinstance(value, Mapping) else value.splitlines() if isinstance(value, str) else value
        shown = items[:ROWS] if isinstance(value, list) else items
        for item in shown:
            if isinstance(item, Mapping):
                yield from lines(item, indent + 2)
            elif isinstance(value, str):
                yield from _wrapped(f"{margin}  ", item) if item else (margin,)
            else:
                yield from _flat(f"{margin}  ", item)
        if len(shown) < len(items):
            yield f"{margin}  … {len(items)} in all"


def sections(values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A label and its sentences beside it, each on a line of its own; labels without a sentence are left out."""
    width = max(len(label) for label in values)
    for label, sentences in values.items():
        for index, sentence in enumerate(sentences):
            start = f"{label.replace('_', ' ') if index == 0 else '':<{width}}  "
            yield from _wrapped(start, _shown(sentence), drop_whitespace=True)


def _is_block(value: Any) -> bool:
    """Whether it has lines of its own below its key."""
    if isinstance(value, str):
        return len(value) > 80 and "\n" in value
    if isinstance(value, list):
        return any(isinstance(item, list | Mapping) or len(str(item)) > SENTENCE for item in value)
    return isinstance(value, Mapping) and bool(value)


def _flat(start: str, value: Any) -> Iterator[str]:
    if not (isinstance(value, list) and value):
        yield from _wrapped(start, _shown(value))
        return
    in_all = f"… {len(value)} in all"
    words, left = [], WIDTH - len(start) - len(in_all) - 1
    for item in value:
        word = _shown(item)
        left -= len(word) + 1
        if left < 0:
            words.append(in_all)
            break
        words.append(word)
    yield start + " ".join(words)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, list | Mapping):
        return str(value) if value else "none"
    text = str(value)
    return text if text.isprintable() else repr(text)


def _wrapped(start: str, text: str, drop_whitespace: bool = False) -> list[str]:
    """The text after ``start``, its further lines below its first; long words, as addresses are, stay whole."""
    wrapped = textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=" " * len(start), drop_whitespace=drop_whitespace,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return wrapped or [start.rstrip()]


def text_table(
    *heads: str, wrapped: Collection[str] = (), centred: Collection[str] = (), right: Collection[str] = (), gap: int = 2
) -> Table:
    """An empty table without lines, whose columns stay on one line but for those to be wrapped."""
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, gap, 0, 0))
    for head in heads:
        justify: Any = "center" if head in centred else "right" if head in right else "left"
        overflow: Any = "fold" if head in wrapped else "ellipsis"
        table.add_column(head, justify=justify, no_wrap=head not in wrapped, overflow=overflow)
    return table


Rows = Sequence[dict[str, Any]]


def print_rows(rows: Rows, show: Callable[[Rows, Console], None], as_json: bool) -> None:
    """One JSON array, or what ``show`` draws on a console; imports rich only for the latter."""
    if as_json:
        print(json.dumps(rows))
        return
    from rnnbench.system.console import Console

    show(rows, Console())

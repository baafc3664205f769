"""Nested plain values as indented lines that people can read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
            start = f"{margin}{key:<{width}}  "
            yield from _flat(start, value)
            continue
        yield f"{margin}{key}"
        if isinstance(value, Mapping):
            yield from lines(value, indent + 2)
        elif isinstance(value, str):
            for line in value.splitlines():
                yield from _wrapped(f"{margin}  ", line) if line else (margin,)
        else:
            for item in value[:ROWS]:
                if isinstance(item, Mapping):
                    yield from lines(item, indent + 2)
                else:
                    yield from _flat(f"{margin}  ", item)
            if len(value) > ROWS:
                yield f"{margin}  … {len(value)} in all"


def sections(values: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """A label and its sentences beside it, each on a line of its own; labels without a sentence are left out."""
    width = max(len(label) for label in values)
    for label, sentences in values.items():
        for index, sentence in enumerate(sentences):
            start = f"{label.replace('_', ' ') if index == 0 else '':<{width}}  "
            yield from textwrap.wrap(
                _shown(sentence), WIDTH, initial_indent=start, subsequent_indent=" " * len(start),
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip


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
    words, room = [], WIDTH - len(start) - len(f" … {len(value)} in all")
    for item in value:
        word = _shown(item)
        room -= len(word) + 1
        if room < 0:
            words.append(f"… {len(value)} in all")
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


def _wrapped(start: str, text: str) -> Iterator[str]:
    """The text after ``start``, its further lines below its first."""
    further = " " * len(start)
    # Long words stay whole, so that an address can be copied.
    wrapper = textwrap.TextWrapper(
        WIDTH,
        initial_indent=start,
        subsequent_indent=further,
        drop_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )
    pieces = wrapper.wrap(text)
    yield from pieces or [start.rstrip()]


Rows = Sequence[dict[str, Any]]


def print_rows(rows: Rows, show: Callable[[Rows, Console], None], as_json: bool) -> None:
    """One JSON array, or what ``show`` draws on a console; imports rich only for the latter."""
    if as_json:
        print(json.dumps(rows))
        return
    from rnnbench.system.console import Console

    show(rows, Console())

"""How the lines of a delimited text are laid out: delimiter, header, decimal comma; found on its first lines."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

from rnnbench.data.files.notes import ReadingNotes, plural
from rnnbench.data.series.table.frame import MISSING, ROW_NAMES
from rnnbench.data.series.table.times import is_clock_name
from rnnbench.data.series.table.written import looks_like_a_time
from rnnbench.errors import UserError

#: Bytes of the beginning, and lines of it, that decide the form.
HEAD_BYTES, HEAD_LINES = 1 << 18, 200
#: Share of these lines that have as many fields, or else they are not delimited so.
CONSISTENT = 0.8
#: Lines that are needed to see it.
FEWEST = 20
#: By preference: a comma is a decimal comma too, a space stands in texts and times.
DELIMITERS = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma", " ": "white space"}
_INTEGER = re.compile(r"[+-]?\d+")
_DECIMAL = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(\.\d*)?[eE][+-]?\d+)")
_COMMA = re.compile(r"[+-]?\d*,\d+")
_GROUPED = re.compile(r"[+-]?[1-9]\d{0,2}([.,]\d{3})+")


class Form(NamedTuple):
    """How the lines of a file are laid out.

    Args:
        delimiter: Between two fields.
        names: Of the columns, one for each field of a row.
        skipped: Lines before the first row.
        decimal_comma: Whether 1,5 is one and a half.
    """

    delimiter: str
    names: list[str]
    skipped: int
    decimal_comma: bool


def called(delimiter: str) -> str:
    """A delimiter's name: ``comma``."""
    return DELIMITERS.get(delimiter, delimiter)


def form_of(path: str, data: bytes, codec: str, notes: ReadingNotes) -> Form:
    lines = _head(data, codec)
    given = re.fullmatch(r"sep=(.)", lines[0].strip()) if lines else None  # as Excel writes it
    comments = int(given is not None)
    while comments < len(lines) and (not lines[comments].strip() or lines[comments].startswith("#")):
        comments += 1
    if comments == len(lines):
        raise UserError(f"data.path {path!r} has no rows but comments; name a file with data.")
    delimiter, width, titles = _delimiter(path, lines[comments:], [given[1]] if given else DELIMITERS)
    start = comments + titles
    rows, consumed = _rows(lines[start:], delimiter)
    header, below = rows[0], [row for row in rows[1:] if any(row)]
    commented = _fields(lines[comments - 1].lstrip("# "), delimiter) if comments and not titles and not given else []
    notes.read.append(f"delimited by {called(delimiter)}" if width > 1 else "a single column")
    if len(header) == width + 1 and not header[-1]:
        header.pop()  # a delimiter at its end alone
    skipped = start + consumed
    if len(header) == width - 1 and below:
        header = _short_header(path, header, below, lines[start], delimiter, notes)
    elif _is_data(path, header, below, lines[start], len(commented) == width > 1):
        skipped, below = start, [header, *below]
        if len(commented) == width:
            header, comments = commented, comments - 1
        else:
            header = [f"column {at + 1}" for at in range(width)]
            notes.warn("the file has no header line: its columns are called by their number")
    if unused := comments + titles - int(given is not None):
        notes.left_out.append(f"{plural(unused, 'line')} at the top, {lines[int(given is not None)][:60]!r} …")
    decimal_comma = _has_decimal_comma(below, delimiter)
    if decimal_comma:
        notes.read.append("decimal commas")
    marks = ["," if delimiter != "," else "", "." if delimiter == ";" else ""]
    _refuse_ambiguous(path, header, below, marks, notes)
    return Form(delimiter, header, skipped, decimal_comma)


def _head(data: bytes, codec: str) -> list[str]:
    """The first lines, none of them cut off; more bytes where a line is very long."""
    size = HEAD_BYTES
    while True:
        lines = data[:size].decode(codec, errors="ignore").splitlines()
        if size >= len(data):
            return lines[:HEAD_LINES]
        if len(lines) > FEWEST:
            return lines[:-1][:HEAD_LINES]
        size *= 4


def _rows(lines: list[str], delimiter: str) -> tuple[list[list[str]], int]:
    """Fields of the rows that the lines are, a quoted field over several of them too; and the lines of the first."""
    if delimiter == " ":
        return [_fields(line, delimiter) for line in lines], 1
    reader = csv.reader(iter(line + "\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
    rows, consumed = [], 1
    try:
        for row in reader:
            rows.append([field.strip() for field in row])
            consumed = reader.line_num if len(rows) == 1 else consumed
    except csv.Error:
        return [_fields(line, delimiter) for line in lines], 1
    return rows, consumed


def _fields(line: str, delimiter: str) -> list[str]:
    if delimiter == " ":
        line = " ".join(line.split())
    try:
        return [field.strip() for field in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])]
    except csv.Error:  # longer than a field may be
        return [line.strip()]


def _delimiter(path: str, lines: list[str], among: Iterable[str]) -> tuple[str, int, int]:
    """The first delimiter that cuts most rows into as many fields, their number, and how many titles stand above.

    Best is one that cuts the header so too. Where R wrote the rows' names, the header has one field fewer. A title is a
    line of one field.

    Raises:
        UserError: The lines above the rows are neither header nor titles.
    """
    headless = short = None
    for delimiter in among:
        rows, _ = _rows(lines, delimiter)
        counts = [len(row) if any(row) else 0 for row in rows]
        if not any(counts):
            raise UserError(f"data.path {path!r} has nothing but delimiters in its first lines; name a file with data.")
        width, fitting = max(Counter(count for count in counts if count).items(), key=lambda item: (item[1], item[0]))
        if counts[0] == width + 1 and width > 1 and rows[0][-1] and delimiter != " ":
            width += 1  # whose last, blank fields are cut off
            fitting = sum(count in (width, width - 1) for count in counts)
        if width < 2 or fitting < CONSISTENT * sum(count > 0 for count in counts):
            continue
        if delimiter == " " and headless:
            break  # spaces stand in titles and times
        if counts[0] == width or (counts[0] == width + 1 and not rows[0][-1]):
            return delimiter, width, 0
        if counts[0] == width - 1 and not _is_header(lines[1:], delimiter, width):
            short = short or (delimiter, width, 0)
            continue
        titles = next(at for at, line in enumerate(lines) if at and len(_fields(line, delimiter)) in _widths(width))
        headless = headless or (delimiter, width, titles, max(len(_fields(line, delimiter)) for line in lines[:titles]))
    if short is not None or headless is None:
        return short or (",", 1, 0)
    delimiter, width, titles, fields = headless
    if fields > 1:
        raise UserError(
            f"data.path {path!r} has {fields} fields in its first line {lines[0][:40]!r} and {width} in its rows: name "
            "every column, take out what stands above the names, or, where commas are in the numbers, delimit by "
            "semicolons."
        )
    return delimiter, width, titles


def _widths(width: int) -> tuple[int, int]:
    return width, max(2, width - 1)


def _refuse_ambiguous(
    path: str, header: list[str], below: list[list[str]], marks: list[str], notes: ReadingNotes
) -> None:
    """Where commas do not delimit, 1.012 beside 987 may be a thousand and twelve, or one and a bit."""
    fields = [field for row in below for field in row]
    if any(_COMMA.fullmatch(field) and not _GROUPED.fullmatch(field) for field in fields):
        marks = []  # decimal commas there are, so that a point is none
    pointed = any(_DECIMAL.fullmatch(field) and not _GROUPED.fullmatch(field) for field in fields)
    for at, name in enumerate(header):
        column = [row[at] for row in below if at < len(row) and _kind(row[at]) in ("integer", "decimal")]
        grouped = [field for field in column if _GROUPED.fullmatch(field)]
        plain = [field for field in column if re.fullmatch(r"[+-]?\d{1,3}", field)]
        if not grouped or len(grouped) + len(plain) < len(column) or not any(m and m in grouped[0] for m in marks):
            continue
        if not plain and len(grouped) > 1 and not pointed:
            notes.warn(
                f"column {name!r} has three digits behind each mark, as {grouped[0]!r}: read as decimals; where "
                "these are thousands, write them without a mark"
            )
        if plain:
            raise UserError(
                f"data.path {path!r}, column {name!r}: {grouped[0]!r} beside {plain[0]!r} can be read with thousands "
                "or with decimals; write it without a mark, or all of them with decimals."
            )


def _is_header(lines: list[str], delimiter: str, width: int) -> bool:
    """Whether the first line that is not blank has names for all columns: what is above is a title."""
    fields = next((_fields(line, delimiter) for line in lines if line.strip()), [])
    return len(fields) == width and all(_kind(field) == "word" for field in fields)


def _short_header(
    path: str, header: list[str], below: list[list[str]], line: str, delimiter: str, notes: ReadingNotes
) -> list[str]:
    """Names for a header with one field fewer than the rows have."""
    full = [row for row in below if len(row) == len(header) + 1]
    if not any(row[-1] for row in full):
        return [*header, ""]  # a delimiter at each row's end
    first = [row[0] for row in full]
    counted = any(first == [str(at) for at in range(begin, begin + len(first))] for begin in (0, 1))
    quoted = delimiter in " \t" or '"' in line  # or else it is the commas of decimals
    labels = len(set(first)) == len(first) and not any(
        _INTEGER.fullmatch(field) or _DECIMAL.fullmatch(field) for field in first
    )
    fits = is_clock_name(header[0]) and looks_like_a_time(first[0])  # the names need no shift
    if quoted and (counted or labels) and not fits:
        notes.read.append(
            f"the first field of each row, {first[0]!r} …, has no name in the header: row names, as R writes them"
        )
        return [ROW_NAMES, *header]
    raise UserError(
        f"data.path {path!r} has {len(header)} names in its header {line[:40]!r} and {len(header) + 1} fields in its "
        "rows: name every column, or, where commas are in the numbers, delimit by semicolons."
    )


def _is_data(path: str, first: list[str], below: list[list[str]], line: str, named: bool) -> bool:
    """Whether the first line is a row, and not the header.

    Words above numbers are names; a number with a point, or a time, above its like is data. Whole numbers can be
    either: ones in sequence, as years or 0, 1, 2, are names where the numbers below are of another kind.

    Args:
        path: The file, for the error.
        first: The first line's fields.
        below: Those of the lines that follow.
        line: The first line.
        named: Whether a comment above has as many words, so that it may be the header.

    Raises:
        UserError: It cannot be known.
    """
    kinds = [(_kind(field), _common([row[at] for row in below if at < len(row)])) for at, field in enumerate(first)]
    if any(kind == "word" and under != "word" for kind, under in kinds):
        return False
    if any(kind == under and kind in ("decimal", "time") for kind, under in kinds):
        return True
    integers = [int(field) for (kind, _), field in zip(kinds, first, strict=True) if kind == "integer"]
    if not integers:
        return False
    if named:
        return True
    labelled = kinds[0][0] in ("word", "blank")  # as beside a country, or an index of pandas
    if len(set(integers)) == len(integers) and (len(integers) > 1 or labelled):
        decimals = any(under == "decimal" for kind, under in kinds if kind == "integer")
        sequence = all(after - before == 1 for before, after in pairwise(integers))
        if decimals or (sequence and labelled and len(integers) > 1):
            return False
    raise UserError(
        f"data.path {path!r} has no header line, or numbers in it: its first is {line[:60]!r}; put a line of names, "
        "words and not numbers, above the rows."
    )


def _kind(field: str) -> str:
    if not field or field in MISSING:
        return "blank"
    if _INTEGER.fullmatch(field):
        return "integer"
    if _DECIMAL.fullmatch(field) or _COMMA.fullmatch(field):
        return "decimal"
    return "time" if looks_like_a_time(field) else "word"


def _common(column: list[str]) -> str:
    """The kind of most of a column's fields; whole numbers among decimals are decimals."""
    counts = Counter(kind for kind in map(_kind, column) if kind != "blank")
    if not counts:
        return "blank"
    kind = counts.most_common(1)[0][0]
    return "decimal" if kind == "integer" and counts["decimal"] else kind


def _has_decimal_comma(rows: list[list[str]], delimiter: str) -> bool:
    """Whether the numbers have a decimal comma: some do, and none a decimal point."""
    if delimiter == ",":
        return False
    fields = [field for row in rows for field in row]
    return any(_COMMA.fullmatch(field) for field in fields) and not any(
        re.fullmatch(r"[+-]?\d+\.\d+", field) and not re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+", field) for field in fields
    )

"""Delimited text: which delimiter, which line is the header, whether numbers have a decimal comma; then pandas reads.

The form is decided on the file's first lines, and the whole file is held against it: a line with a field too many is an
error here, a column that does not fit its style of numbers is one in `columns`.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd

from rnnbench.data.files import ReadingNotes, plural
from rnnbench.data.files.encoding import detect
from rnnbench.data.series.table import MISSING, ROW_NAMES, UserTable, distinct
from rnnbench.data.series.table.dates import looks_like_a_time
from rnnbench.data.series.table.times import is_clock_name
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


def read_delimited(
    path: str, data: bytes, encoding: str | None, wanted: str | list[str] | None, notes: ReadingNotes
) -> UserTable:
    """A delimited text, decompressed, as a table; its encoding is detected where None.

    Raises:
        UserError: It is no table, or what it means cannot be known.
    """
    codec = detect(path, data, encoding)
    notes.read.append(f"encoding {codec.name} ({codec.certainty})")
    form = _form(path, data, codec.name, notes)
    # pandas takes UTF-8 as it is, and writes everything else anew first
    plain = codec.name in ("utf-8", "utf-8-sig", "ascii")
    options = {
        "sep": r"\s+" if form.delimiter == " " else form.delimiter,
        "header": None,
        "names": distinct(path, form.names, wanted, notes),
        "index_col": False,
        "skiprows": form.skipped,
        "skip_blank_lines": False,
        "skipinitialspace": True,
        "keep_default_na": False,
        "na_values": list(MISSING),
        "decimal": "," if form.decimal_comma else ".",
        "float_precision": "high" if form.decimal_comma else "round_trip",  # the latter knows no decimal comma
        "low_memory": False,
        "encoding": "utf-8" if plain else codec.name,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            stream = io.BytesIO(data.removeprefix(codecs.BOM_UTF8) if plain else data)
            frame = pd.read_csv(stream, **options)  # type: ignore[call-overload]
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise UserError(f"data.path {path!r} {_explained(str(error), form)}.") from None
    except UnicodeError as error:
        raise UserError(f"data.path {path!r} is not {codec.name} ({error}); say which with data.encoding.") from None
    except (pd.errors.EmptyDataError, csv.Error) as error:
        raise UserError(f"data.path {path!r} is not a table ({error}).") from None
    if form.delimiter == " ":
        _refuse_short(path, frame, data.decode(codec.name).splitlines()[form.skipped :], form.skipped)
    filled = frame.notna().any(axis=1).to_numpy()
    if not filled.any():
        raise UserError(f"data.path {path!r} has a header line and no rows; name a file with data.")
    if blank := int(filled[::-1].argmax()):
        notes.left_out.append(f"{plural(blank, 'blank line')} at the end")
        frame = frame.iloc[:-blank]
    return UserTable(path, frame, _line(data, codec.name, form.skipped), form.decimal_comma, data)


def _refuse_short(path: str, frame: pd.DataFrame, lines: list[str], skipped: int) -> None:
    """A blank in a table delimited by white space moves all fields behind it."""
    for row in np.flatnonzero(frame.iloc[:, -1].isna().to_numpy()).tolist():
        fields = len(lines[row].split()) if row < len(lines) else 0
        if 0 < fields < frame.shape[1]:
            raise UserError(
                f"data.path {path!r}, line {skipped + row + 1}: {fields} fields and {frame.shape[1]} columns; where "
                "white space delimits, a missing value must be written, as NA."
            )


def _line(data: bytes, codec: str, skipped: int) -> Callable[[int], str]:
    """The line on which a row stands."""

    def place(row: int) -> str:
        if b'"' not in data:
            return f"line {skipped + row + 1}"
        # a quoted field may reach over several lines
        text = io.TextIOWrapper(io.BytesIO(data), encoding=codec, newline="")
        for _ in range(skipped):
            text.readline()
        reader = csv.reader(text)
        for _ in range(row):
            next(reader, None)
        return f"line {skipped + reader.line_num + 1}"

    return place


class _Form(NamedTuple):
    """How the lines of a file are laid out."""

    delimiter: str
    names: list[str]  # of the columns, one for each field of a row
    skipped: int  # lines before the first row
    decimal_comma: bool  # whether 1,5 is one and a half


def _explained(error: str, form: _Form) -> str:
    """What pandas says of a line that does not fit, in a sentence that says what to do."""
    if match := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error):
        # pandas counts from the file's first line
        expected, line, saw = match.groups()
        delimiter = DELIMITERS.get(form.delimiter, form.delimiter)
        return (
            f"has {saw} fields in line {line} and {expected} columns: a {delimiter} too many, or a number "
            "with one in it; quote the field or correct the line"
        )
    if "EOF inside string" in error:
        return "has a quote that is never closed; close it or take it out"
    if "Length of header" in error:
        return f"has more fields in its first row than the {len(form.names)} columns of its header; correct one of them"
    return f"is not a table ({error.strip()})"


def _form(path: str, data: bytes, codec: str, notes: ReadingNotes) -> _Form:
    lines = _head(data, codec)
    excel = re.fullmatch(r"sep=(.)", lines[0].strip()) if lines else None  # as Excel writes it
    begin = comments = int(excel is not None)
    while comments < len(lines) and (not lines[comments].strip() or lines[comments].startswith("#")):
        comments += 1
    if comments == len(lines):
        raise UserError(f"data.path {path!r} has no rows but comments; name a file with data.")
    delimiter, width, titles = _delimiter(path, lines[comments:], [excel[1]] if excel else DELIMITERS)
    start = comments + titles
    rows, consumed = _rows(lines[start:], delimiter)
    header, below = rows[0], [row for row in rows[1:] if any(row)]
    commented = _fields(lines[comments - 1].lstrip("# "), delimiter) if comments and not titles and not excel else []
    notes.read.append(f"delimited by {DELIMITERS.get(delimiter, delimiter)}" if width > 1 else "a single column")
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
    if unused := comments + titles - begin:
        notes.left_out.append(f"{plural(unused, 'line')} at the top, {lines[begin][:60]!r} …")
    fields = [field for row in below for field in row]
    # some numbers have a decimal comma, and none a decimal point
    decimal_comma = delimiter != "," and any(_COMMA.fullmatch(field) for field in fields)
    decimal_comma = decimal_comma and not any(
        re.fullmatch(r"[+-]?\d+\.\d+", field) and not re.fullmatch(r"[+-]?\d{1,3}(\.\d{3})+", field) for field in fields
    )
    if decimal_comma:
        notes.read.append("decimal commas")
    marks = ["," if delimiter != "," else "", "." if delimiter == ";" else ""]
    _refuse_ambiguous(path, header, below, marks, notes)
    return _Form(delimiter, header, skipped, decimal_comma)


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
    """The lines' rows, a quoted field over several lines too, as fields; and how many lines the first one takes."""
    if delimiter != " ":
        reader = csv.reader(iter(line + "\n" for line in lines), delimiter=delimiter, skipinitialspace=True)
        rows, consumed = [], 1
        try:
            for row in reader:
                rows.append([field.strip() for field in row])
                consumed = reader.line_num if len(rows) == 1 else consumed
            return rows, consumed
        except csv.Error:
            pass
    return [_fields(line, delimiter) for line in lines], 1


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
    line of one field; other lines above the rows are refused.
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
        below = next((_fields(line, delimiter) for line in lines[1:] if line.strip()), [])
        title = len(below) == width and all(_kind(field) == "word" for field in below)  # above the names
        if counts[0] == width - 1 and not title:
            short = short or (delimiter, width, 0)
            continue
        widths = width, max(2, width - 1)
        titles = next(at for at, line in enumerate(lines) if at and len(_fields(line, delimiter)) in widths)
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


def _refuse_ambiguous(
    path: str, header: list[str], below: list[list[str]], marks: list[str], notes: ReadingNotes
) -> None:
    """Where commas do not delimit, 1.012 beside 987 may be a thousand and twelve, or one and a bit."""
    fields = [field for row in below for field in row]
    if any(_COMMA.fullmatch(field) and not _GROUPED.fullmatch(field) for field in fields):
        marks = []  # commas are decimal, so a point is not
    pointed = any(_DECIMAL.fullmatch(field) and not _GROUPED.fullmatch(field) for field in fields)
    for at, name in enumerate(header):
        column = [row[at] for row in below if at < len(row) and _kind(row[at]) in ("integer", "decimal")]
        grouped = [field for field in column if _GROUPED.fullmatch(field)]
        plain = [field for field in column if re.fullmatch(r"[+-]?\d{1,3}", field)]
        if not grouped or len(grouped) + len(plain) < len(column) or not any(m and m in grouped[0] for m in marks):
            continue
        if plain:
            raise UserError(
                f"data.path {path!r}, column {name!r}: {grouped[0]!r} beside {plain[0]!r} can be read with thousands "
                "or with decimals; write it without a mark, or all of them with decimals."
            )
        if len(grouped) > 1 and not pointed:
            notes.warn(
                f"column {name!r} has three digits behind each mark, as {grouped[0]!r}: read as decimals; where "
                "these are thousands, write them without a mark"
            )


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
    labels = len(set(first)) == len(first) and not any(_INTEGER.fullmatch(f) or _DECIMAL.fullmatch(f) for f in first)
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
    either: ones in sequence, as years or 0, 1, 2, are names where the numbers below are of another kind, and data where
    a comment above has as many words (``named``); else the file is refused.
    """
    kinds = [(_kind(field), _common([row[at] for row in below if at < len(row)])) for at, field in enumerate(first)]
    if any(kind == "word" and under != "word" for kind, under in kinds):
        return False
    if any(kind == under and kind in ("decimal", "time") for kind, under in kinds):
        return True
    integers = [int(field) for (kind, _), field in zip(kinds, first, strict=True) if kind == "integer"]
    if not integers or named:
        return bool(integers)
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

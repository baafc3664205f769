"""Delimited text: which delimiter, which line is the header, whether numbers have a decimal comma; then pandas reads.

All of this is found on the file's first lines, and the whole file is held against it: a line with a field too many is
an error, a column that does not fit its style of numbers is one later (`numbers`).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from rnnbench.data.files.encoding import detect
from rnnbench.data.files.notes import ReadingNotes, plural
from rnnbench.data.series.table.form import Form, called, form_of
from rnnbench.data.series.table.frame import MISSING, Table, distinct
from rnnbench.errors import UserError

#: Digits of a number, its point among them, up to which reading it is one division.
MOST_DIGITS = 15
_BLOCK = 1 << 24


def read_delimited(
    path: str, data: bytes, encoding: str | None, wanted: str | list[str] | None, notes: ReadingNotes
) -> Table:
    """A delimited text as a table.

    Args:
        path: The file, for errors.
        data: Its bytes, decompressed.
        encoding: Of them; found out where None.
        wanted: The columns that are asked for, as data.column says; one of a name that stands twice is an error.
        notes: What was decided is added to them.

    Raises:
        UserError: It is no table, or what it means cannot be known.
    """
    codec = detect(path, data, encoding)
    notes.read.append(f"encoding {codec.name} ({codec.certainty})")
    form = form_of(path, data, codec.name, notes)
    names, sentences = distinct(path, form.names, wanted)
    for sentence in sentences:
        notes.warn(sentence)
    # pandas takes UTF-8 as it is, and writes everything else anew first
    plain = codec.name in ("utf-8", "utf-8-sig", "ascii")
    options = {
        "sep": r"\s+" if form.delimiter == " " else form.delimiter,
        "header": None,
        "names": names,
        "index_col": False,
        "skiprows": form.skipped,
        "skip_blank_lines": False,
        "skipinitialspace": True,
        "keep_default_na": False,
        "na_values": list(MISSING),
        "decimal": "," if form.decimal_comma else ".",
        "float_precision": "high" if form.decimal_comma or _short_numbers(data) else "round_trip",
        "low_memory": False,
        "encoding": "utf-8" if plain else codec.name,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            stream = io.BytesIO(data.removeprefix(codecs.BOM_UTF8) if plain else data)
            frame = pd.read_csv(stream, **options)  # type: ignore[call-overload]
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        raise UserError(f"data.path {path!r} {_told(str(error), form)}.") from None
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
    place = _line(data, codec.name, form.skipped)
    return Table(path, frame, place, form.decimal_comma, data)


def _short_numbers(data: bytes) -> bool:
    """Whether no number has more than 15 digits, or an exponent.

    Its digits are then a whole number below 2⁵³ and its point a power of ten below 10²², so that one division gives the
    nearest float; pandas' faster reading does that. Its slower one, which has no decimal comma, is for longer numbers.
    """
    kinds = bytes.maketrans(b"0123456789.eE", b"dddddddddddee")
    for start in range(0, len(data), _BLOCK):
        block = data[start : start + _BLOCK + MOST_DIGITS].translate(kinds)
        if b"d" * (MOST_DIGITS + 1) in block or b"de" in block:
            return False
    return True


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


def _told(error: str, form: Form) -> str:
    """What pandas says of a line that does not fit, in a sentence that says what to do."""
    if match := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error):
        # pandas counts from the file's first line
        expected, line, saw = match.groups()
        return (
            f"has {saw} fields in line {line} and {expected} columns: a {called(form.delimiter)} too many, or a number "
            "with one in it; quote the field or correct the line"
        )
    if "EOF inside string" in error:
        return "has a quote that is never closed; close it or take it out"
    if "Length of header" in error:
        return f"has more fields in its first row than the {len(form.names)} columns of its header; correct one of them"
    return f"is not a table ({error.strip()})"

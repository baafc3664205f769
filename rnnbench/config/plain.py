"""What a plain value may be, so that it survives YAML, JSON and UTF-8, and how an error quotes one that may not."""

from __future__ import annotations

import math
import re
from numbers import Integral, Real
from reprlib import Repr
from typing import Any

from rnnbench.errors import UserError

#: Characters that a text may have: more is no name, and no path.
LONGEST = 4096
#: Characters of a folder's name.
LONGEST_NAME = 200
#: Whole numbers that other programs can hold.
LARGEST = 2**63 - 1


class _Short(Repr):
    """`repr` of bounded length and time: aliases make a value of a few lines as large as memory."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict, self.maxset = 2, 4, 4, 4, 4
        self.maxstring, self.maxother, self.maxlong = 80, 80, 40

    def repr_int(self, x: int, level: int) -> str:
        # Python refuses to write a number of more than 4300 digits.
        return repr(x) if x.bit_length() <= 128 else f"a number of {x.bit_length()} bits"


def quoted(value: Any) -> str:
    """A value as an error quotes it: as Python writes it, but short whatever it is."""
    return _Short().repr(value)


def checked(value: Any, name: str) -> Any:
    """A text, number, boolean or null that can be written down and read again; numpy's numbers become Python's.

    Raises:
        UserError: a text with a zero byte, with bytes that are no UTF-8 or too long; infinity, NaN, more than 64 bits.
    """
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = int(value)
    elif isinstance(value, Real) and not isinstance(value, bool):
        value = float(value)
    if isinstance(value, str):
        if len(value) > LONGEST:
            raise UserError(f"{name} must have at most {LONGEST} characters, got {len(value)}: {quoted(value)}.")
        if "\0" in value:
            raise UserError(f"{name} must have no zero byte in it, got {quoted(value)}.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise UserError(f"{name} must be UTF-8, got {quoted(value)}; give it a name that is.") from None
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name} must be a finite number, got {value}.")
    elif isinstance(value, int) and abs(value) > LARGEST:
        raise UserError(f"{name} must be a number of at most 64 bits, got {quoted(value)}.")
    return value


def whole(value: Any) -> Any:
    """A whole number as an int, so that 3.0 is written like the 3 that it equals; all else as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST else value


def at_most(most: int, **values: int | None) -> None:
    """Refuse slips of the keyboard: numbers, by what an error is to call them, beyond all that a machine can do.

    Raises:
        UserError: one is larger than ``most``.
    """
    for name, value in values.items():
        if value is not None and value > most:
            raise UserError(f"{name} must be at most {most}, got {value}: nothing holds so much, or waits for it.")


def folder_name(value: Any, what: str) -> str:
    """A text that names a folder below another one, and cannot lead out of it.

    Raises:
        UserError: no text, empty, too long, or with anything in it but letters, digits, ``_``, ``-``, ``+`` and dots.
    """
    if not isinstance(value, str) or not re.fullmatch(r"(?!\.)[\w.+-]+", value) or len(value) > LONGEST_NAME:
        raise UserError(
            f"{what} names a folder, of letters, digits, _, -, + and dots that do not come first; got {quoted(value)}."
        )
    return value

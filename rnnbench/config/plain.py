"""Plain values: what YAML, JSON and UTF-8 can hold, which numbers a setting may have, and how an error quotes one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from numbers import Integral, Real
from reprlib import Repr
from typing import Annotated, Any, NamedTuple

from rnnbench.errors import UserError, told

#: Characters of a text, and of a folder's name; whole numbers that other programs can hold; keys of a YAML mapping.
LONGEST_TEXT, LONGEST_NAME, LARGEST, KEYS = 4096, 200, 2**63 - 1, 1000
#: Typing errors, far beyond what any machine can hold or do: the width of a layer or batch, layers, the length of a
#: sequence, and weights, tokens or steps. What one machine lacks below that is said where it is known.
WIDEST, DEEPEST, LONGEST, MOST = 2**20, 1000, 2**26, 10**15


class Bounds(NamedTuple):
    """Which numbers a setting may have, as the second part of an ``Annotated`` type.

    Args:
        words: What an error says: "must be …".
        hold: Whether a number is within them.
        most: The largest number that is no typing error.
    """

    words: str
    hold: Callable[[float], bool]
    most: int | None = None

    def check(self, value: float, name: str) -> None:
        """Raise `UserError` where the value is out of bounds."""
        if not self.hold(value):
            raise UserError(f"{name} must be {self.words}, got {value}.")
        if self.most is not None:
            at_most(self.most, **{name: value})


def _positive(most: int | None = None) -> Bounds:
    return Bounds("positive", lambda value: value > 0, most)


Width = Annotated[int, _positive(WIDEST)]
Depth = Annotated[int, _positive(DEEPEST)]
Length = Annotated[int, _positive(LONGEST)]
Amount = Annotated[int, _positive(MOST)]
Positive = Annotated[float, _positive()]
NonNegative = Annotated[float, Bounds("≥ 0", lambda value: value >= 0)]
#: A share that leaves something over.
Share = Annotated[float, Bounds("in [0, 1)", lambda value: 0 <= value < 1)]
Seed = Annotated[int, Bounds("in 0 … 2³¹ − 1", lambda value: 0 <= value < 2**31)]


def at_most(most: int, **values: float | None) -> None:
    """Refuse typing errors: numbers, by what an error is to call them, beyond all that a machine can do."""
    for name, value in values.items():
        if value is not None and value > most:
            raise UserError(f"{name} must be at most {most}, got {value}: nothing holds so much, or waits for it.")


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
        if len(value) > LONGEST_TEXT:
            raise UserError(f"{name} must have at most {LONGEST_TEXT} characters, got {len(value)}: {quoted(value)}.")
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


def read_yaml(text: str) -> Any:
    """YAML as PyYAML reads it, but for 2e-3, which is the number that it looks like and not a text.

    A key that is given twice is refused, and so is what expands to more than a config can hold.

    Raises:
        yaml.YAMLError: whatever is wrong with it.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        def flatten_mapping(self, node: Any) -> None:
            seen: set[str] = set()
            for key, _ in node.value if not hasattr(node, "flat") else ():
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if key.value in seen:
                        raise yaml.constructor.ConstructorError(
                            None, None, f"{quoted(key.value)} is given twice", key.start_mark
                        )
                    seen.add(key.value)
            super().flatten_mapping(node)
            node.flat = True
            if len(node.value) > KEYS:  # merges of merges: each level multiplies
                raise yaml.constructor.ConstructorError(None, None, "too many keys", node.start_mark)

    number = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+0123456789"))
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError:
        raise
    except Exception as error:  # "2026-13-45", "!!bool maybe", a thousand brackets: PyYAML raises whatever comes
        raise yaml.YAMLError(told(error)) from None

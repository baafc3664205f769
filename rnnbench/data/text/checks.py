"""What looks wrong in a user's text, and in how its parts compare: no errors, but sentences that say what to do.

The text stays as it is, character for character.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from rnnbench.data.files.notes import Rank, ReadingNotes
from rnnbench.data.text.duplicates import LENGTH, Passages
from rnnbench.data.text.pieces import CHUNK, Pieces
from rnnbench.data.text.vocabulary import code_points

if TYPE_CHECKING:
    from rnnbench.data.text.streams import TextData

#: Share of a part from which on symbols never seen in training, or passages seen there, are a warning.
TOO_MUCH = 0.01
#: Scored symbols below which chance moves a part's bits per symbol by a tenth: two standard errors of a mean of
#: numbers that vary by 2.3 bits.
FEW_SCORED = 2000
#: What "é", "ä" … and quotation marks look like when their UTF-8 was read as cp1252.
_READ_WRONG = ("â€", "Ã©", "Ã¨", "Ã¤", "Ã¶", "Ã¼", "Ã±", "Ã³", "ÃŸ")
#: Lines that are looked at to tell a table from a text.
_LINES = 200


def look_at(path: str, text: Pieces, notes: ReadingNotes) -> None:
    """Note a text's size and symbols, and warn of line ends, control codes and signs of a wrong decoding.

    Args:
        path: Where it is from, for the sentences.
        text: All of it.
        notes: Where to say so.
    """
    counts = symbol_counts(text)
    notes.read.append(f"{path!r} has {len(text):,} characters, {len(counts):,} of them distinct")
    warn = notes.warn
    if sentence := _line_ends(text, counts):
        warn(f"{path!r}: {sentence}")
    controls = {sign: count for sign, count in counts.items() if sign not in "\t\n\r\f" and _is_control(sign)}
    if controls:
        late = any("\x80" <= sign <= "\x9f" for sign in controls)
        remedy = "name data.encoding cp1252 if it is from Windows" if late else "take them out if they are not meant"
        warn(f"{path!r} has control codes, which are symbols like any other: {most_common(controls)}; {remedy}")
    if lost := counts["\ufffd"]:
        warn(
            f"{path!r} has U+FFFD {_times(lost)}, which stands for what was lost when it was decoded before; make it "
            "again from its source"
        )
    if marks := counts["\ufeff"]:
        warn(
            f"{path!r} has the byte-order mark U+FEFF inside {_times(marks)}, as files have that were put together; "
            "take it out"
        )
    if counts["â"] + counts["Ã"] and (wrong := sum(chunk.count(sign) for chunk in text for sign in _READ_WRONG)) > 2:
        warn(
            f"{path!r} has signs such as â€™ or Ã© {_times(wrong)}: it was UTF-8 and read as cp1252 before; make it "
            "again from its source"
        )
    if _is_table(next(iter(text))):
        warn(f"{path!r} looks like a table of numbers and is read as a text; give --data.name csv to forecast it")


def look_at_parts(source: TextData, notes: ReadingNotes) -> None:
    """Warn of a validation or test part that is not like the train part, is read in training, or is very short."""
    known, of_bytes = source.symbol_counts("train"), source.vocabulary.of_bytes
    sizes = ", ".join(f"{part} {len(source.symbols(part)):,}" for part in ("train", "val", "test"))
    notes.read.append(f"split: {sizes} {'bytes' if of_bytes else 'characters'}")
    passages = Passages(source.symbols("train"), len(source.vocabulary), None if of_bytes else 0)
    for part in ("val", "test"):
        counts = source.symbol_counts(part)
        unseen = {symbol: count for symbol, count in counts.items() if symbol not in known}
        if unseen:
            number, whole = sum(unseen.values()), counts.total()
            sentence = (
                f"{_percent(number / whole)} of the {part} part are symbols that training never sees "
                f"({most_common(unseen, of_bytes)})"
            )
            if number > TOO_MUCH * whole:
                notes.warn(
                    f"{sentence}, so its score says little of what was learnt; choose parts that are alike, with "
                    f"data.split, or another file for data.{part}_path",
                    Rank.MISLEADING,
                )
            else:
                notes.read.append(sentence)
        if (scored := counts.total() - 1) < FEW_SCORED:
            notes.warn(
                f"the {part} part scores only {scored:,} symbols, so few that chance moves its bits per symbol by a "
                "tenth and more; take a longer text, or give the part more of it with data.split"
            )
        repeated = passages.repeated_in(source.symbols(part))
        if repeated is not None:
            passage = source.vocabulary.decode(source.symbols(part)[repeated.begin : repeated.begin + 60])
            sentence = (
                f"{_percent(repeated.share)} of the {part} part are passages of {LENGTH} symbols and more that "
                f"training reads too, the longest of {repeated.length:,}: {passage!r} …"
            )
            if repeated.share > TOO_MUCH:
                notes.warn(f"{sentence}; take what is there twice out of the text", Rank.MISLEADING)
            else:
                notes.read.append(sentence)


def symbol_counts(text: Pieces | bytes) -> Counter[str]:
    """How often each character (or byte, as the character of its number) occurs."""
    counts = np.zeros(0x110000, dtype=np.int64)
    if isinstance(text, bytes):
        whole = np.frombuffer(text, dtype=np.uint8)
        points: Iterator[np.ndarray] = (whole[start : start + CHUNK] for start in range(0, len(text), CHUNK))
    else:
        points = (code_points(chunk) for chunk in text)
    for numbers in points:  # bincount takes eight bytes a number
        some = np.bincount(numbers)
        counts[: len(some)] += some
    return Counter({chr(point): int(counts[point]) for point in np.flatnonzero(counts)})


def label(symbol: str, of_bytes: bool = False) -> str:
    """A symbol so that one sees it: space, \\n, U+00AD; of bytes beyond ASCII 0xC3."""
    if symbol == " ":
        return "space"
    if symbol in "\t\n\r\f\v":
        return repr(symbol)[1:-1]
    if of_bytes and not "!" <= symbol <= "~":
        return f"0x{ord(symbol):02X}"
    return f"U+{ord(symbol):04X}" if unicodedata.category(symbol)[0] in "CMZ" else symbol


def most_common(counts: dict[str, int], of_bytes: bool = False) -> str:
    """The five most frequent symbols in words."""
    common = Counter(counts).most_common(5)
    more = f" and {len(counts) - 5:,} others" if len(counts) > 5 else ""
    return ", ".join(f"{label(symbol, of_bytes)} {_times(count)}" for symbol, count in common) + more


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if share >= 0.001 else "less than 0.1 %"


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) == "Cc"


def _line_ends(text: Pieces, counts: Counter[str]) -> str | None:
    """What is to be said of them; None where every line ends in \\n."""
    if not counts["\r"]:
        return None
    edges = ["", *itertools.chain.from_iterable((chunk[:1], chunk[-1:]) for chunk in text if chunk), ""]
    across = sum(before == "\r" and after == "\n" for before, after in zip(edges[::2], edges[1::2], strict=True))
    both = across + sum(chunk.count("\r\n") for chunk in text)
    kinds = {"\\r\\n": both, "\\n": counts["\n"] - both, "\\r": counts["\r"] - both}
    kinds = {kind: count for kind, count in kinds.items() if count}
    if list(kinds) == ["\\r\\n"]:
        return (
            f"its {both:,} lines end in \\r\\n, so \\r is a symbol of its own and the \\n after it is always foreseen, "
            "which lowers the bits per character; convert the file (dos2unix) to have \\n alone"
        )
    if list(kinds) == ["\\r"]:
        return f"its {sum(kinds.values()):,} lines end in \\r, as on old Macs; convert the file (mac2unix) to have \\n"
    said = ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    return f"its line ends are mixed ({said}), and \\r is a symbol of its own; convert the file (dos2unix) to have one"


def _is_table(beginning: str) -> bool:
    """Whether most of the first lines are numbers in equally many fields."""
    lines = [line for line in beginning[: _LINES * 1000].splitlines()[:_LINES] if line.strip()]
    if len(lines) < 10:
        return False
    number = re.compile(r'\s*"?([+-]?\d+([.,]\d+)*([eE][+-]?\d+)?|\d{1,4}([-/.:T ]\d{1,4}){1,6}Z?)"?\s*')
    for separator in (",", ";", "\t", " ", "|"):
        rows = [line.strip().split(separator) for line in lines]
        width = Counter(map(len, rows)).most_common(1)[0][0]
        fields = [field for row in rows if len(row) == width for field in row]
        numbers = sum(number.fullmatch(field) is not None for field in fields)
        if len(fields) >= 0.9 * width * len(lines) and numbers >= (0.5 if width > 1 else 0.9) * len(fields):
            return True
    return False

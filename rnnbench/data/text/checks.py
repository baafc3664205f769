"""What looks wrong in a user's text, and in how its parts compare: no errors, but sentences that say what to do.

The text stays as it is, character for character.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from rnnbench.data.files import ReadingNotes
from rnnbench.data.text.vocabulary import CHUNK, Vocabulary, chunks, code_points

#: Share of a part from which on symbols never seen in training, or passages seen there, are a warning.
TOO_MUCH = 0.01
#: Scored symbols below which chance moves a part's bits per symbol by a tenth: two standard errors of a mean of
#: numbers that vary by 2.3 bits.
FEW_SCORED = 2000
#: What "é", "ä" … and quotation marks look like when their UTF-8 was read as cp1252.
_READ_WRONG = ("â€", "Ã©", "Ã¨", "Ã¤", "Ã¶", "Ã¼", "Ã±", "Ã³", "ÃŸ")
#: Lines that are looked at to tell a table from a text.
_LINES = 200
#: Symbols that a passage has at least.
LENGTH = 200
#: A passage that repeats itself after so few symbols (a ruled line, zeros in a table) is no sign of anything.
PERIOD = 25
#: Of the hashes; odd, so that it has an inverse modulo 2⁶⁴.
_FACTOR = 0x9E3779B97F4A7C15


def look_at(path: str, text: str, notes: ReadingNotes) -> None:
    """Note the size and symbols of a text from ``path``; warn of line ends, control codes, signs of wrong decoding."""
    counts = symbol_counts(text)
    notes.read.append(f"{path!r} has {len(text):,} characters, {len(counts):,} of them distinct")
    warn = notes.warn
    if sentence := _line_ends(text, counts):
        warn(f"{path!r}: {sentence}")
    controls = {
        sign: count for sign, count in counts.items() if sign not in "\t\n\r\f" and unicodedata.category(sign) == "Cc"
    }
    if controls:
        late = any("\x80" <= sign <= "\x9f" for sign in controls)
        advice = "name data.encoding cp1252 if it is from Windows" if late else "take them out if they are not meant"
        warn(f"{path!r} has control codes, which are symbols like any other: {most_common(controls)}; {advice}")
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
    if counts["â"] + counts["Ã"] and (wrong := sum(map(text.count, _READ_WRONG))) > 2:
        warn(
            f"{path!r} has signs such as â€™ or Ã© {_times(wrong)}: it was UTF-8 and read as cp1252 before; make it "
            "again from its source"
        )
    if _is_table(text[: _LINES * 1000]):
        warn(f"{path!r} looks like a table of numbers and is read as a text; give --data.name csv to forecast it")


def look_at_parts(
    vocabulary: Vocabulary, symbols: Mapping[str, Tensor], counts: Mapping[str, Counter[str]], notes: ReadingNotes
) -> None:
    """Warn of a validation or test part that is not like the train part, is read in training, or is very short.

    Args:
        vocabulary: Of the train part.
        symbols: (N,) indices of the symbols of train, val and test.
        counts: How often each symbol occurs in these, unknown ones as themselves.
        notes: Where to say so.
    """
    of_bytes = vocabulary.of_bytes
    sizes = ", ".join(f"{part} {len(ids):,}" for part, ids in symbols.items())
    notes.read.append(f"split: {sizes} {'bytes' if of_bytes else 'characters'}")
    for part in ("val", "test"):
        whole = counts[part].total()
        unseen = {symbol: count for symbol, count in counts[part].items() if symbol not in counts["train"]}
        if unseen:
            share = sum(unseen.values()) / whole
            sentence = (
                f"{_percent(share)} of the {part} part are symbols that training never sees "
                f"({most_common(unseen, of_bytes)})"
            )
            if share > TOO_MUCH:
                notes.warn(
                    f"{sentence}, so its score says little of what was learnt; choose parts that are alike, with "
                    f"data.split, or another file for data.{part}_path",
                    misleading=True,
                )
            else:
                notes.read.append(sentence)
        if whole - 1 < FEW_SCORED:
            notes.warn(
                f"the {part} part scores only {whole - 1:,} symbols, so few that chance moves its bits per symbol by a "
                "tenth and more; take a longer text, or give the part more of it with data.split"
            )
        repeated = repeated_passages(symbols["train"], symbols[part], len(vocabulary), None if of_bytes else 0)
        if repeated is not None:
            passage = vocabulary.decode(symbols[part][repeated.begin : repeated.begin + 60])
            sentence = (
                f"{_percent(repeated.share)} of the {part} part are passages of {LENGTH} symbols and more that "
                f"training reads too, the longest of {repeated.length:,}: {passage!r} …"
            )
            if repeated.share > TOO_MUCH:
                notes.warn(f"{sentence}; take what is there twice out of the text", misleading=True)
            else:
                notes.read.append(sentence)


class Repeated(NamedTuple):
    """What of a part is in the train part too: its share, and where the longest run of it begins and how long it is."""

    share: float
    begin: int
    length: int


def repeated_passages(train: Tensor, part: Tensor, symbols: int, unknown: int | None = None) -> Repeated | None:
    """Passages of LENGTH and more symbols of a part that are in the train part too; None where there are none.

    Windows of LENGTH symbols are compared by polynomial hashes modulo 2⁶⁴ (Karp & Rabin 1987).

    Args:
        train: (N,) indices of symbols.
        part: (M,) indices of the same symbols.
        symbols: How many different ones there are.
        unknown: The index that stands for all unknown symbols, which are not equal to each other; None for none.
    """
    ids, trained = part.numpy(), train.numpy()
    if min(len(ids), len(trained)) < LENGTH:
        return None
    values = np.random.default_rng(0).integers(0, 1 << 64, symbols, dtype=np.uint64)
    counted = np.ones(len(ids) - LENGTH + 1, bool) if unknown is None else _all_in(ids != unknown, LENGTH)
    for period in range(1, PERIOD + 1):
        counted &= ~_all_in(ids[period:] == ids[:-period], LENGTH - period)
    windows = np.concatenate(list(_window_hashes(ids, values)))
    sought = np.unique(windows[counted])
    likely = np.zeros(1 << 26, dtype=bool)  # by a hash's top bits: most windows are done with here
    likely[sought >> np.uint64(38)] = True
    seen = np.zeros(len(sought) + 1, dtype=bool)
    for hashes in _window_hashes(trained, values):
        some = hashes[likely[hashes >> np.uint64(38)]]
        place = np.searchsorted(sought, some)
        seen[place[np.append(sought, np.uint64(0))[place] == some]] = True
    begins = np.flatnonzero(counted & seen[np.searchsorted(sought, windows)])
    if not len(begins):
        return None
    changes = np.zeros(len(ids) + 1, np.int64)
    changes[begins] += 1
    changes[begins + LENGTH] -= 1
    covered = np.cumsum(changes[:-1]) > 0
    edges = np.flatnonzero(np.diff(covered, prepend=False, append=False)).reshape(-1, 2)
    begin, end = edges[int(np.argmax(edges[:, 1] - edges[:, 0]))].tolist()
    return Repeated(float(covered.mean()), begin, end - begin)


def _all_in(true: np.ndarray, length: int) -> np.ndarray:
    """For each window of a length, whether all in it are true."""
    sums = np.concatenate([[0], np.cumsum(true)])
    return sums[length:] - sums[:-length] == length


def _window_hashes(ids: np.ndarray, values: npt.NDArray[np.uint64]) -> Iterator[npt.NDArray[np.uint64]]:
    """Of each window of LENGTH symbols Σ value(symbol j) · factorʲ, in order, some 10⁶ at once."""
    size = min(len(ids), CHUNK + LENGTH - 1)
    powers, inverses = _powers(_FACTOR, size), _powers(pow(_FACTOR, -1, 1 << 64), size)
    for start in range(0, len(ids) - LENGTH + 1, CHUNK):
        piece = values[ids[start : start + CHUNK + LENGTH - 1]]
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(piece * powers[: len(piece)], dtype=np.uint64)])
        windows = sums[LENGTH:] - sums[:-LENGTH]
        yield windows * inverses[: len(windows)]


def _powers(factor: int, count: int) -> npt.NDArray[np.uint64]:
    """1, factor, factor² …, (count,) modulo 2⁶⁴."""
    out = np.full(count, factor, dtype=np.uint64)
    out[0] = 1
    return np.cumprod(out, dtype=np.uint64)


def symbol_counts(text: str | bytes) -> Counter[str]:
    """How often each character (or byte, as the character of its number) occurs."""
    points: Iterator[npt.NDArray[np.unsignedinteger]]
    if isinstance(text, bytes):
        points = (np.frombuffer(text[start : start + CHUNK], np.uint8) for start in range(0, len(text), CHUNK))
    else:
        points = (code_points(chunk) for chunk in chunks(text))
    counts = np.zeros(0x110000, dtype=np.int64)
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


def _line_ends(text: str, counts: Counter[str]) -> str | None:
    """What is to be said of them; None where every line ends in \\n."""
    if not counts["\r"]:
        return None
    both = text.count("\r\n")
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
    lines = [line for line in beginning.splitlines()[:_LINES] if line.strip()]
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

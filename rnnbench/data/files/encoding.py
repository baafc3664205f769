"""Which encoding a text is in: by its mark, by what only one encoding can be, and else by what its letters make likely.

Nothing is replaced or skipped in decoding: a byte that does not fit is a `UserError`.
"""

from __future__ import annotations

import codecs
import math
import unicodedata
from collections import Counter
from dataclasses import dataclass

import numpy as np

from rnnbench.data.files.kinds import kind
from rnnbench.data.files.legacy import KNOWN, beyond_ascii, guesses
from rnnbench.errors import UserError, did_you_mean

#: Byte-order marks and the codec that takes them away; UTF-32's little-endian one begins like UTF-16's.
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (b"\x84\x31\x95\x33", "gb18030"),
)
#: Codecs that Python counts as encodings of text, of names and of its own source code.
NO_TEXT = ("idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined")
#: Control codes that texts of a byte a character do not use: all but tab, line ends, backspace, form feed, the old end
#: of file and escape.
CONTROLS = bytes({*range(32), 127} - set(b"\b\t\n\v\f\r\x1a\x1b"))
#: Share of such bytes up to which text of a byte a character, or UTF-8, is taken for one.
FEW_CONTROLS, FEW_IN_UTF8 = 0.01, 0.05
#: What stands between words or sentences: half a percent of any text at the least.
BREAKS = " \n\r\xa0\u3000\u3001\u3002\uff0c\u0f0b"
#: Bytes decoded at once, and bytes that are looked at in three places of a file.
_PIECE, _SAMPLE = 1 << 14, 3 << 16


@dataclass(frozen=True)
class Encoding:
    """How bytes are to be read as characters.

    Args:
        name: Of Python's codec; one that takes a byte-order mark away where there is one.
        certainty: In words, for a person: begins with certain, likely, a guess, or "as data.encoding says".
    """

    name: str
    certainty: str


class NotText(UserError):
    """A file holds no text.

    Attributes:
        what: What it is instead.
    """

    def __init__(self, path: str, what: str, advice: str) -> None:
        super().__init__(f"data.path {path!r} is {what}, not text; {advice}.")
        self.what = what


def detect(path: str, data: bytes, encoding: str | None = None) -> Encoding:
    """The encoding of a file's content, in which all of it can be decoded.

    Args:
        path: Of the file, for the messages.
        data: Its content, decompressed.
        encoding: Of Python's codecs; found out where None.

    Raises:
        NotText: It is no text.
        UserError: Its encoding is not recognised, or some of it is not in that encoding.
    """
    return decoded(path, data, encoding)[1]


def decoded(path: str, data: bytes, encoding: str | None = None) -> tuple[list[str], Encoding]:
    """The text of a file's content without its byte-order mark, in consecutive strings, and the encoding.

    Strings of some 10⁴ characters, for each takes as many bytes a character as its widest needs: one emoji would make
    the whole four times as large.

    Args and raises as `detect`.
    """
    if (what := kind(data)) is not None:
        raise NotText(path, what[0], what[1] or "name a text")
    pieces, detected = _asked(path, data, encoding) if encoding is not None else _detected(path, data)
    if pieces and pieces[0].startswith("\ufeff"):  # of a codec that leaves the mark
        pieces[0] = pieces[0][1:]
    return pieces, detected


def control_share(data: bytes) -> float:
    """Share of bytes that are control codes which texts of a byte a character do not use."""
    return (len(data) - len(data.translate(None, CONTROLS))) / max(1, len(data))


def binary(controls: float) -> str:
    """What a file is that has so large a share of control codes."""
    return f"binary ({max(1, round(100 * controls))} % of it are control codes)"


def _asked(path: str, data: bytes, encoding: str) -> tuple[list[str], Encoding]:
    try:
        codec = codecs.lookup(encoding)
    except (LookupError, ValueError):
        raise UserError(f"data.encoding {encoding!r} is not known.{did_you_mean(encoding, KNOWN)}") from None
    if not codec._is_text_encoding or codec.name in NO_TEXT:
        raise UserError(
            f"data.encoding {encoding!r} is no encoding of texts; name one such as utf-8, utf-16 or cp1252."
        )
    name, certainty, mark = codec.name, "as data.encoding says", _mark(data)
    if mark is not None and mark[:5] == name[:5]:
        name = mark
    elif mark is not None:
        certainty += f", though the file begins with the byte-order mark of {mark.removesuffix('-sig')}"
    elif name in ("utf-16", "utf-32"):
        sample = _sample(data)
        name = max((f"{name}-le", f"{name}-be"), key=lambda order: _plausible(sample, order))
    try:
        return _pieces(data, name), Encoding(name, certainty)
    except UnicodeDecodeError as error:
        raise UserError(
            f"data.path {path!r} is not {name} as data.encoding says: {_place(error)}; name another, or leave "
            "data.encoding out to have it found."
        ) from None


def _detected(path: str, data: bytes) -> tuple[list[str], Encoding]:
    if (mark := _mark(data)) is not None:
        return _certain(path, data, mark, "it begins with the byte-order mark")
    sample = _sample(data)
    controls = control_share(sample)
    if controls > FEW_CONTROLS:
        wide = [name for name in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be") if _is_wide(sample, name)]
        if wide:
            name = max(wide, key=lambda name: _plausible(sample, name))
            return _certain(path, data, name, "only so do its bytes make letters")
    if controls <= FEW_IN_UTF8:
        if b"\x1b$" in sample and data.isascii():
            for name in ("iso2022_jp_2", "iso2022_kr"):
                try:
                    return _pieces(data, name), Encoding(name, "certain: it has the escape codes of that encoding")
                except UnicodeDecodeError:
                    continue
        try:
            how = "all of it is ASCII, which is the same in UTF-8" if data.isascii() else "all of it is valid UTF-8"
            return _pieces(data, "utf-8"), Encoding("utf-8", f"certain: {how}")
        except UnicodeDecodeError as error:
            _refuse_damaged(path, data, error)
    if controls > FEW_CONTROLS:
        raise NotText(path, binary(controls), "name a text, or say with data.encoding how it is to be read")
    for name, certainty in guesses(data):
        try:
            return _pieces(data, name), Encoding(name, certainty)
        except UnicodeDecodeError:
            continue
    raise UserError(
        f"data.path {path!r} is not UTF-8, and no other encoding makes words of it; name its encoding with "
        "data.encoding, or another file."
    )


def _certain(path: str, data: bytes, name: str, why: str) -> tuple[list[str], Encoding]:
    try:
        return _pieces(data, name), Encoding(name, f"certain: {why}")
    except UnicodeDecodeError as error:
        raise UserError(
            f"data.path {path!r} is {name} ({why}), but not all of it: {_place(error)}; mend the file."
        ) from None


def _refuse_damaged(path: str, data: bytes, error: UnicodeDecodeError) -> None:
    """Refuse UTF-8 with some wrong bytes in it, which every encoding of a byte a character would read, all wrong."""
    text = beyond_ascii(data).decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = sum(not letter.isascii() for letter in text) - wrong
    if right >= 2 * wrong:
        raise UserError(
            f"data.path {path!r} is UTF-8 but for some places: {_place(error)}; mend the file (iconv -c -f utf-8 -t "
            "utf-8 leaves such bytes out), or say with data.encoding how it is to be read."
        )


def _place(error: UnicodeDecodeError) -> str:
    byte = error.object[error.start] if error.start < len(error.object) else 0
    return f"byte {byte:#04x} at offset {error.start:,} ({error.reason})"


def _mark(data: bytes) -> str | None:
    return next((name for mark, name in MARKS if data.startswith(mark)), None)


def _pieces(data: bytes, name: str) -> list[str]:
    """The text in strings; an error says where in ``data`` it is."""
    decoder = codecs.getincrementaldecoder(name)()
    view, pieces = memoryview(data), []
    for start in range(0, len(data), _PIECE):
        held = len(decoder.getstate()[0])
        try:
            pieces.append(decoder.decode(view[start : start + _PIECE], final=start + _PIECE >= len(data)))
        except UnicodeDecodeError as error:
            at = start - held + error.start
            raise UnicodeDecodeError(name, data, at, at + error.end - error.start, error.reason) from None
    return pieces


def _sample(data: bytes) -> bytes:
    """Its beginning, middle and end, each cut at a multiple of four bytes."""
    if len(data) <= _SAMPLE:
        return data
    third, middle = _SAMPLE // 3, len(data) // 2 // 4 * 4
    last = (len(data) - third) // 4 * 4
    return data[:third] + data[middle : middle + third] + data[last : last + third]


def _is_wide(sample: bytes, name: str) -> bool:
    """Whether bytes are a text of two or four bytes a character: letters, whose higher bytes vary less than the lower.

    A text of a byte a character, with zero bytes between its words say, makes letters in UTF-16 too (Chinese ones), but
    its bytes at odd places are as varied as those at even ones. Numbers of two bytes make letters without a space.
    """
    sample = sample[: len(sample) // 2 * 2]
    text = sample.decode(name, "replace")
    if _plausible(sample, name) < 0.97 or sum(map(text.count, BREAKS)) < len(text) // 200:
        return False
    if name.startswith("utf-32"):
        return True
    pairs = np.frombuffer(sample, dtype=np.uint8).reshape(-1, 2)
    low, high = (pairs[:, 0], pairs[:, 1]) if name.endswith("le") else (pairs[:, 1], pairs[:, 0])
    return not high.any() or _entropy(low) - _entropy(high) >= 0.5


def _plausible(sample: bytes, name: str) -> float:
    """Share of characters that a text is made of: assigned, and neither control codes nor for private use."""
    counts = Counter(sample.decode(name, "replace"))
    good = sum(count for letter, count in counts.items() if letter in "\t\n\r\f\v" or _in_texts(letter))
    return good / max(1, counts.total())


def _in_texts(letter: str) -> bool:
    return letter != "\ufffd" and unicodedata.category(letter) not in ("Cc", "Cn", "Co", "Cs")


def _entropy(values: np.ndarray) -> float:
    counts = Counter(values.tolist())
    return -sum(count / len(values) * math.log2(count / len(values)) for count in counts.values())

"""Encodings from before Unicode, which only the letters that come out can tell apart.

charset-normalizer tells scripts apart (Cyrillic, Greek, Chinese …) and how each is encoded. Among the encodings of
Latin letters it is often wrong (French in cp1252 is cp1250 to it), so these are told apart by alphabets: in the right
one nearly every letter beyond ASCII is one of a single language's.
"""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rnnbench.data.files.content import kind
from rnnbench.errors import UserError, did_you_mean

#: What is considered; of those that read a text alike the first. The first so many are of Latin letters.
_LATIN = (
    "cp1252", "iso8859_15", "cp1250", "iso8859_2", "cp1254", "iso8859_9", "cp1257", "iso8859_13", "iso8859_16",
    "mac_roman", "cp850", "cp437", "cp852", "mac_latin2",
)  # fmt: skip
_OTHERS = (
    "cp1251", "koi8_r", "koi8_u", "cp866", "iso8859_5", "mac_cyrillic", "cp1253", "iso8859_7", "cp737", "cp1255",
    "iso8859_8", "cp1256", "iso8859_6", "cp1258", "cp874", "gb18030", "big5", "cp950", "cp932", "euc_jp", "cp949",
    "johab",
)  # fmt: skip
#: Encodings to suggest where a name is not an encoding.
KNOWN = ("utf-8", "utf-16", "utf-32", "latin-1", *(name.replace("_", "-") for name in (*_LATIN, *_OTHERS)))
#: Lower-case letters beyond ASCII.
_ALPHABETS = {
    "English": "àâæçèéêëïîñôöœü",
    "French": "àâæçèéêëîïôœùûüÿ",
    "German": "äöüßé",
    "Spanish": "áéíñóúüªº",
    "Portuguese": "àáâãçéêíóôõúüªº",
    "Italian": "àèéìíîòóùú",
    "Catalan": "àçèéíïòóúü·",
    "Dutch": "áéèëïóöü",
    "Swedish or Finnish": "åäöéšž",
    "Danish or Norwegian": "æøåéèêòóôäö",
    "Icelandic": "áéíóúýðþæö",
    "Polish": "ąćęłńóśźż",
    "Czech or Slovak": "áäčďéěíĺľňóôŕřšťúůýž",
    "Hungarian": "áéíóöőúüű",
    "Romanian": "ăâîșțşţ",
    "Croatian or Slovene": "čćđšž",
    "Turkish": "âçğıİîöşüû",
    "Lithuanian": "ąčęėįšųūž",
    "Latvian": "āčēģīķļņōŗšūž",
    "Estonian": "äõöüšž",
}
#: Signs that stand anywhere, and those that never have a letter on both sides.
_SIGNS = frozenset("’‘´–—\xad\xa0°·º²³½¼¾€£§©®™%")
_OUTSIDE = frozenset("«»‹›“”„‚…•¿¡×÷±†‡¢¥¶µ")
#: Share of the characters beyond ASCII that must be one language's letters or signs.
_ENOUGH = 0.97
#: Characters beyond ASCII from which on what they say is more than a guess.
_MANY = 100
#: Bytes looked at, pieces of the file that they are from, and how long each is at most, about.
_LOOKED_AT, _PLACES, _LINE = 60_000, 100, 600


def guesses(data: bytes) -> Iterator[tuple[str, str]]:
    """Codecs that may be the one that a text's bytes are in, the likeliest first, and how certain each is in words."""
    sample = beyond_ascii(data)
    readings = {name: text for name in _LATIN if (text := _read(sample, name)) is not None}
    scores = {name: _best_alphabet(text) for name, text in readings.items()}
    for name in sorted(scores, key=lambda name: -scores[name][0]):  # stable: the order above decides among equals
        share, language = scores[name]
        if share >= _ENOUGH:
            count = sum(not letter.isascii() for letter in readings[name])
            letters = "1 character" if count == 1 else f"{count:,} characters"
            certainty = f"{100 * share:.0f} % of {letters} beyond ASCII are letters or signs of {language}"
            yield name, f"{'likely' if count >= _MANY else 'a guess'}: {certainty}"
    from charset_normalizer import from_bytes

    for match in from_bytes(sample, cp_isolation=[*_LATIN, *_OTHERS]):
        text = str(match)
        name = next((name for name in (*_LATIN, *_OTHERS) if _read(sample, name) == text), match.encoding)
        many = sum(not letter.isascii() for letter in text) >= _MANY
        coherence = f", {100 * match.coherence:.0f} % coherence with {match.language}" if match.coherence else ""
        certainty = f"charset-normalizer finds {100 * match.chaos:.0f} % disorder{coherence}"
        yield name, f"{'likely' if many else 'a guess'}: {certainty}"


def beyond_ascii(data: bytes) -> bytes:
    """Lines with bytes beyond ASCII, from all over the file: its first millions may be ASCII.

    A piece begins and ends at a line end or a space, which are never half of a character.
    """
    if len(data) <= _LOOKED_AT:
        return data
    pieces, after = [], 0
    pattern = re.compile(rb"[\x80-\xff]")
    for place in range(0, len(data), -(-len(data) // _PLACES)):
        match = pattern.search(data, max(place, after))
        if match is None:
            break
        at = match.start()
        begin, after = _last_break(data, max(after, at - _LINE), at), _last_break(data, at, at + _LINE)
        pieces.append(data[begin:after])
    return b"\n".join(pieces)


def _last_break(data: bytes, start: int, stop: int) -> int:
    """Where a word or line begins, the last such place of a span; the span's start before it, its stop where none."""
    if stop >= len(data):
        return len(data)
    return max(data.rfind(sign, start, stop) for sign in (b"\n", b" ", b"\r")) + 1 or (start if start == 0 else stop)


def _read(sample: bytes, name: str) -> str | None:
    try:
        return sample.decode(name)
    except UnicodeDecodeError:
        return None


def _best_alphabet(text: str) -> tuple[float, str]:
    """The largest share of the characters beyond ASCII that are a language's letters or signs, and the language."""
    counts: Counter[str] = Counter()
    wrong = 0
    for match in re.finditer(r"[^\x00-\x7f]", text):
        sign = match.group()
        if sign in _OUTSIDE:
            at = match.start()
            wrong += text[at - 1 : at].isalpha() and text[at + 1 : at + 2].isalpha()
        else:
            counts[sign if sign == "İ" else sign.lower()] += 1
    signs = sum(count for sign, count in counts.items() if sign in _SIGNS)
    inside = len(re.findall(f"[{''.join(_OUTSIDE)}]", text))
    whole = max(1, counts.total() + inside)
    shares = {
        language: (sum(counts[letter] for letter in {*alphabet} - _SIGNS) + signs + inside - wrong) / whole
        for language, alphabet in _ALPHABETS.items()
    }
    best = max(shares, key=lambda language: shares[language])
    return shares[best], best


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
#: Bytes that are looked at in three places of a file.
_SAMPLE = 3 << 16


@dataclass(frozen=True)
class Encoding:
    """How bytes are to be read as characters."""

    name: str  # of Python's codec; one that takes a byte-order mark away where the file has one
    certainty: str  # in words, for a person: begins with certain, likely, a guess, or "as data.encoding says"


class NotText(UserError):
    """A file holds no text but ``what``."""

    def __init__(self, path: str, what: str, advice: str) -> None:
        super().__init__(f"data.path {path!r} is {what}, not text; {advice}.")
        self.what = what


def detect(path: str, data: bytes, encoding: str | None = None) -> Encoding:
    """The encoding of a file's content, in which all of it can be decoded.

    Args:
        path: Of the file, for the messages.
        data: Its content, decompressed.
        encoding: Of Python's codecs; detected where None.

    Raises:
        NotText: It is no text.
        UserError: Its encoding is not recognised, or some of it is not in that encoding.
    """
    return decoded(path, data, encoding)[1]


def decoded(path: str, data: bytes, encoding: str | None = None) -> tuple[str, Encoding]:
    """The text of a file's content without its byte-order mark, and the encoding; args and raises as `detect`."""
    if (what := kind(data)) is not None:
        raise NotText(path, what[0], what[1] or "name a text")
    text, detected = _asked(path, data, encoding) if encoding is not None else _detected(path, data)
    return text.removeprefix("\ufeff"), detected  # some codecs leave the mark


def control_share(data: bytes) -> float:
    """Share of bytes that are control codes which texts of a byte a character do not use."""
    return (len(data) - len(data.translate(None, CONTROLS))) / max(1, len(data))


def binary(controls: float) -> str:
    """What a file is that has so large a share of control codes."""
    return f"binary ({max(1, round(100 * controls))} % of it are control codes)"


def _asked(path: str, data: bytes, encoding: str) -> tuple[str, Encoding]:
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
        return data.decode(name), Encoding(name, certainty)
    except UnicodeDecodeError as error:
        raise UserError(
            f"data.path {path!r} is not {name} as data.encoding says: {_place(error)}; name another, or leave "
            "data.encoding out to have it found."
        ) from None


def _detected(path: str, data: bytes) -> tuple[str, Encoding]:
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
                if (text := _read(data, name)) is not None:
                    return text, Encoding(name, "certain: it has the escape codes of that encoding")
        try:
            how = "all of it is ASCII, which is the same in UTF-8" if data.isascii() else "all of it is valid UTF-8"
            return data.decode("utf-8"), Encoding("utf-8", f"certain: {how}")
        except UnicodeDecodeError as error:
            _refuse_damaged(path, data, error)
    if controls > FEW_CONTROLS:
        raise NotText(path, binary(controls), "name a text, or say with data.encoding how it is to be read")
    for name, certainty in guesses(data):
        if (text := _read(data, name)) is not None:
            return text, Encoding(name, certainty)
    raise UserError(
        f"data.path {path!r} is not UTF-8, and no other encoding makes words of it; name its encoding with "
        "data.encoding, or another file."
    )


def _certain(path: str, data: bytes, name: str, why: str) -> tuple[str, Encoding]:
    try:
        return data.decode(name), Encoding(name, f"certain: {why}")
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

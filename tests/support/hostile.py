"""Command lines and config files with bad values, and the check that each is accepted or refused in one line."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from rnnbench.cli.main import main
from rnnbench.config import Run
from rnnbench.config.plain import read_yaml
from rnnbench.errors import UserError

TINY: dict[str, Any] = {
    "cell": "gru",
    "model": {"hidden_size": 4},
    "data": {"path": "good.txt", "seq_len": 8, "batch_size": 4},
    "budget": {"steps": 1, "evals": 1, "val_tokens": 64},
    "probes": {"seq_len": 8, "batch_size": 2},
}
#: Every key of a Run, dotted.
KEYS = [
    *(f"{section}.{key}" for section, inner in Run().to_dict().items() if isinstance(inner, dict) for key in inner),
    *("cell", "seed", "device", "model", "data", "optim", "budget", "probes"),
]
#: What no key wants, and what some want: as Python values, which YAML writes as it does.
HOSTILE: list[Any] = [
    float("nan"), float("inf"), -float("inf"), -0.0, 1e308, 1e-320, 10**30, -(10**30), 10**9, 10**400, -1, 0, 1, 2, 0.5,
    True, False, None, "", " ", "x" * 5000, "../../../etc/passwd", "/dev/null", "~", ".", "naïve ☃ \U0001f600", "a\nb",
    "\t", "{", "[", "1", "1e3", "true", "nan", "-", "--seed", "%s%n", "a b", "\x1b[31m", "\u2028", [], {}, [1, 2], [[]],
    {"a": 1}, {"name": "lstm"}, {"name": 3}, {"name": "lstm", "forget_bias": [1]}, {1: 2}, {None: None}, "cuda", "lstm",
    "torch", "kjv", "adding", "text", "csv", "best", "mean", "dot", "rms", "chrono", "bytes", "value", "sgd",
]  # fmt: skip
#: The same written in YAML, where it has words that Python has not.
WORDS = [
    "2026-13-45", "2026-11-27", "!!bool maybe", "!!int ''", "!!binary zzz", "!!timestamp x", "!!float ''", "!!set {a}",
    "!!python/object:os.system x", "!!python/object/apply:os.system ['touch executed']", "!!python/name:os.system",
    "&a [*a]", "&a {b: *a}", "*missing", "0x" + "f" * 9000, "1" * 5000, "1:2:3", "0b12", "0o17", ".inf", "~",
    "? [1]\n: 2", "|\n  block", "'", '"', '"\\ud800"', '"\\0"', "[" * 3000, "{" * 3000, "@", "`", "%TAG", "- 1", "...",
    "---", "# only", "<<: 1", "=", "!<tag:yaml.org,2002:int> 3", "!local x", "1_000", "+.5", "1e999", "-.INF", "\ufeff",
    "\x85", "é",
]  # fmt: skip


def run_main(argv: list[str]) -> tuple[int, str, str]:
    """Exit status, standard output and standard error, which take no half of a character."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", newline="") for _ in range(2))
    with redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(argv)
        except SystemExit as stop:  # --help
            status = int(stop.code or 0)
    for stream in (out, err):
        stream.flush()
    return status, *(stream.buffer.getvalue().decode() for stream in (out, err))  # type: ignore[attr-defined,return-value]


def holds(argv: list[str]) -> int:
    """Run it: success is silent on stderr, a refusal is one line there and exit status 2; returns the status."""
    status, out, err = run_main(argv)
    if status == 0:
        assert err == "", (argv, err)
    else:
        assert status == 2, (argv, status, err)
        assert out == "", (argv, out)
        assert err.startswith("rnnbench: error: "), (argv, err)
        assert err.count("\n") == 1, (argv, err)
        assert err.endswith("\n"), (argv, err)
        assert len(err) < 10_000, (argv, err[:1000])
    return status


def file_holds(content: str | bytes, *flags: str) -> int:
    """`holds` for a config file with this in it, of which no tag is executed."""
    Path("config.yaml").write_bytes(content if isinstance(content, bytes) else content.encode(errors="surrogatepass"))
    status = holds(["train", "--config", "config.yaml", *flags])
    assert not Path("executed").exists(), "a tag in the file was executed"
    return status


def means(values: dict[str, Any]) -> None:
    """What a config file says is what `Run.from_dict` takes, to the last digit, or it is refused as it refuses it."""
    try:
        wanted: dict[str, Any] | None = Run.from_dict(values).to_dict()
    except UserError:
        wanted = None
    status = file_holds(yaml.safe_dump(values, allow_unicode=True), "--print_config")
    assert (status == 0) == (wanted is not None), (values, status)
    if wanted is not None:
        assert read_yaml(run_main(["train", "--config", "config.yaml", "--print_config"])[1]) == wanted


SUPPRESSED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates() | st.binary(max_size=9)
)
trees = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=3), max_leaves=8
)
hostile = st.sampled_from(HOSTILE)
changes = st.dictionaries(st.sampled_from(KEYS), hostile | trees, max_size=3)


def quick(examples: int) -> Callable[[Any], Any]:
    """The default profile: always the same examples."""
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=SUPPRESSED)


def thorough(examples: int) -> Callable[[Any], Any]:
    """The long profile: other examples every time."""
    return settings(max_examples=examples, deadline=None, suppress_health_check=SUPPRESSED)


def laid_over(changes: dict[str, Any]) -> dict[str, Any]:
    """The tiny config with several keys replaced."""
    values: dict[str, Any] = {
        section: dict(inner) if isinstance(inner, dict) else inner for section, inner in TINY.items()
    }
    for key, value in changes.items():
        *rooms, last = key.split(".")
        inner = values.get(rooms[0]) if rooms else values
        if isinstance(inner, dict):
            inner[last] = value
    return values


def writable(values: Any) -> bool:
    """Can Python write it as YAML at all? It has no words for a number of more than 4300 digits."""
    try:
        yaml.safe_dump(values)
    except ValueError:
        return False
    return True


BOMB = "a: &a [x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in itertools.pairwise("abcdefghij")
)
MERGES = "a: &a {x: 1}\n" + "".join(
    f"{new}: &{new} {{<<: [{', '.join([f'*{old}'] * 10)}]}}\n" for old, new in itertools.pairwise("abcdefghij")
)

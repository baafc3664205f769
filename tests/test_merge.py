"""Flags over a written-down Run: what is said last wins, and what it excludes is gone."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import yaml

from rnnbench.cli.train import parse
from rnnbench.config import Run
from rnnbench.config.run import merge
from rnnbench.errors import UserError
from rnnbench.sweep.wandb_sweep import run_of

#: What was said first and is written down whole, what is said then, and what was to be said at once for the same Run.
REPLACED = [
    ("--budget.tokens 500", "--budget.steps 3", "--budget.steps 3"),
    ("", "--budget.steps 3", "--budget.steps 3"),
    ("", "--budget.steps 0", "--budget.steps 0"),
    ("--budget.steps 3", "--budget.tokens 500", "--budget.tokens 500"),
    ("--budget.steps 3", "--budget.steps null", ""),
    ("--model.hidden_size 64", "--model.parameters 5000", "--model.parameters 5000"),
    ("--model.parameters 5000", "--model.hidden_size 128", ""),
    ("--model.parameters 5000", "--model.parameters null", ""),
    ("--probes.every 5 --probes.detail true", "--probes.gradient_flow false", "--probes.gradient_flow false"),
    ("--probes.gradient_flow false", "--probes.lyapunov 2", "--probes.lyapunov 2"),
    ("--probes.gradient_flow false", "--probes.lyapunov 0", "--probes.gradient_flow false"),
    ("", "--data.path a.txt", "--data.path a.txt"),
    ("", "--data.path a.csv --data.column y", "--data.path a.csv --data.column y"),
    ("--data.path a.txt", "--data.path b.csv", "--data.path b.csv"),
    ("--data.path a.csv --data.column y", "--data.path b.csv", "--data.path b.csv --data.column y"),
    ("--data.path a.csv --data.column y", "--data.path b.txt", "--data.path b.txt"),
    ("--data.path a.csv --data.column y", "--data.name adding", "--data.name adding"),
    ("--data.path a.dat --data.name csv", "--data.path b.dat", "--data.path b.dat --data.name csv"),
    ("--data.path a.csv", "--data.name text", "--data.path a.csv --data.name text"),
    ("--data.path a.txt", "--data.path null", ""),
    ("--data.name text8", "--data.path a.txt", "--data.path a.txt"),
    ("--data.symbols bytes", "--data.name adding", "--data.name adding"),
    ("--data.seq_len 17", "--data.name copy", "--data.name copy --data.seq_len 17"),
    ("--cell gru --cell.update_bias 1", "--cell lstm", "--cell lstm"),
]
#: Settings that go together.
TOGETHER = [
    "--cell.forget_bias 2 --seed 4", "--model.hidden_size 9 --model.norm rms", "--data.name adding --optim.clip null",
    "--data.seq_len 12 --optim.truncate 3", "--budget.steps 0 --budget.keep best", "--probes.every 5 --device cpu",
]  # fmt: skip


def written(words: str, folder: Path) -> str:
    """A file with all of the Run that these flags make."""
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(parse(words.split())[0].to_dict()))
    return str(path)


@pytest.mark.parametrize(("first", "then", "at_once"), REPLACED)
def test_what_is_said_last_wins(first: str, then: str, at_once: str, tmp_path: Path) -> None:
    wanted, _ = parse(at_once.split())
    found, _ = parse(["--config", written(first, tmp_path), *then.split()])
    assert found == wanted
    assert found.id == wanted.id
    if "null" not in then and "--cell" not in then:  # the file of a W&B sweep says it in its own way
        words = then.split()
        values = {key[2:]: yaml.safe_load(value) for key, value in zip(words[::2], words[1::2], strict=True)}
        assert run_of({"config": parse(first.split())[0].to_dict(), **values}) == wanted


def test_in_parts_or_at_once(tmp_path: Path) -> None:
    """Nothing is lost, whichever part is said first."""
    for first, then in itertools.pairwise([*TOGETHER, TOGETHER[0]]):
        found, _ = parse(["--config", written(first, tmp_path), *then.split()])
        assert found == parse([*first.split(), *then.split()])[0]


def test_a_part_of_a_run_keeps_what_it_says(tmp_path: Path) -> None:
    """64 is the length of the King James text as well, but here somebody has written it down by itself."""
    path = tmp_path / "part.yaml"
    path.write_text("data: {seq_len: 64}")
    assert parse(["--config", str(path), "--data.name", "etth1"])[0].data.seq_len == 64
    assert (
        parse(["--config", written("", tmp_path), "--data.name", "etth1"])[0].data.seq_len
        == Run.from_dict({"data": {"name": "etth1"}}).data.seq_len
    )


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("--budget.steps 3 --budget.tokens 3", "not both"),
        ("--model.parameters 999 --model.hidden_size 64", "model.hidden_size 64 cannot"),
        ("--data.path a.txt --data.name kjv", 'not "kjv"'),
        ("--probes.gradient_flow false --probes.lyapunov 2", "probes.lyapunov goes with probes.gradient_flow"),
    ],
)
def test_what_excludes_each_other_is_refused_in_one_breath(said: str, reason: str, tmp_path: Path) -> None:
    for before in ([], ["--config", written("", tmp_path)]):
        with pytest.raises(UserError, match=reason):
            parse([*before, *said.split()])


def test_files_of_their_own_leave_nothing_to_divide() -> None:
    below = {"data": {"path": "a.csv", "split": "60/20/20"}}
    above = {"data": {"val_path": "b.csv", "test_path": "c.csv"}}
    assert "split" not in merge(below, above)["data"]
    assert merge(below, {"data": {"val_path": "b.csv"}})["data"]["split"] == "60/20/20"

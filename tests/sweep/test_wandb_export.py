from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnnbench.cli.train import parse
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError
from rnnbench.sweep import Study, find_study
from rnnbench.sweep.study import Job
from rnnbench.sweep.wandb_export import to_wandb
from rnnbench.sweep.wandb_sweep import flat, study_of_file, varying

SHIPPED = (
    "seqlen_perplexity", "memory", "clipping", "initialisation", "depth", "attention_rescues", "seqlen_gradients",
    "all_cells",
)  # fmt: skip
#: Those of a hundred command lines.
LONG = ("clipping", "initialisation", "all_cells", "depth")


def study(*runs: Job) -> Study:
    return Study("mine", "Which?", {"quick": lambda: runs})


def of_agents(text: str) -> list[tuple[Run, dict[str, Any]]]:
    """The command line of every combination, as W&B's own code builds it for its agent, parsed by our ``train``."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    tree = yaml.safe_load(text)  # what `wandb sweep` reads it with
    names = list(tree["parameters"])
    values = [spec["values"] if "values" in spec else [spec["value"]] for spec in tree["parameters"].values()]
    parsed = []
    for chosen in itertools.product(*values):
        command = {"args": {name: {"value": value} for name, value in zip(names, chosen, strict=True)}}
        macros = create_sweep_command_args(command) | {"program": [tree["program"]], "env": ["/usr/bin/env"]}
        words: list[str] = []
        for word in create_sweep_command(list(tree["command"])):
            words += macros[word[2:-1]] if word.startswith("${") else [word]
        assert words[:3] == ["/usr/bin/env", "rnnbench", "train"]
        parsed.append(parse(words[3:]))
    return parsed


def ids(jobs: Iterable[Job]) -> list[str]:
    return sorted(job.id for job in jobs)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in SHIPPED]
)
def test_agents_run_what_the_study_runs(name: str) -> None:
    shipped = find_study(name)
    commands = of_agents(to_wandb(shipped, "quick", name))
    assert ids(run for run, _ in commands) == ids(shipped.jobs("quick"))
    assert {(options["study"], options["wandb"]) for _, options in commands} == {(name, "online")}


@pytest.mark.parametrize("name", ["seqlen_perplexity", "memory", "attention_rescues"])
def test_what_is_exported_is_read_again(name: str, tmp_path: Path) -> None:
    shipped, path = find_study(name), tmp_path / "sweep.yaml"
    path.write_text(to_wandb(shipped, "full", name), encoding="utf-8")
    again, notes = study_of_file(path)
    assert ids(again.jobs("quick")) == ids(shipped.jobs("full"))
    assert (again.name, again.question, notes) == (name, shipped.question, [])


def test_a_key_that_meets_everything_is_a_parameter_and_keys_that_vary_together_are_one() -> None:
    runs = [
        Run(
            CellConfig(cell), data=DataConfig(seq_len=T, batch_size=2048 // T), budget=BudgetConfig(tokens=9), seed=seed
        )
        for cell in ("rnn", "lstm", "gru")
        for T in (16, 64, 256)
        for seed in (0, 1)
    ]
    parameters = yaml.safe_load(to_wandb(study(*runs), "quick", "mine.py"))["parameters"]
    assert parameters["cell"] == {"values": ["rnn", "lstm", "gru"]}
    assert parameters["seed"] == {"values": [0, 1]}
    assert parameters["budget.tokens"] == {"value": 9}
    assert len(parameters["config"]["values"]) == 3  # T and B, in step
    assert len(parameters) == 4


AWKWARD = {
    "nothing": [Run()],
    "steps": [Run(budget=BudgetConfig(steps=steps)) for steps in (0, 10)],
    "tokens or steps": [Run(), Run(budget=BudgetConfig(steps=10))],
    "null fixed": [Run(optim=OptimConfig(clip=None), seed=seed) for seed in (0, 1)],
    "null among numbers": [Run(optim=OptimConfig(clip=clip)) for clip in (None, 1.0, 0.5)],
    "small and large numbers": [Run(optim=OptimConfig(lr=lr, weight_decay=1e5)) for lr in (1e-7, 3e-5, 1.0)],
    "booleans": [Run(model=ModelConfig(residual=flag), probes=ProbeConfig(detail=True)) for flag in (False, True)],
    "own file": [Run(data=DataConfig(path=path)) for path in ("a b.txt", "ä😀/null.CSV", "none", "3.txt")],
    "csv under another name": [Run(data=DataConfig("csv", "a.dat", column="none", period=24))],
    "one file as two": [Run(data=DataConfig(name, "a.dat")) for name in ("csv", "text")],
    "file or data set": [Run(data=DataConfig(path="a.txt")), Run(data=DataConfig("adding"))],
    "a data set's own length": [Run(data=DataConfig(name)) for name in ("adding", "kjv", "copy")],
    "a length not its own": [Run(data=DataConfig("adding", seq_len=64))],
    "others' cells": [Run(CellConfig("torchrecurrent:MGU")), Run(CellConfig("rnn", {"how": "tanh", "x": None}))],
    "width or weights": [Run(model=ModelConfig(parameters=9000)), Run(model=ModelConfig(hidden_size=32))],
    "device": [Run(device=device) for device in ("cpu", "cuda")],
}  # fmt: skip


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_values_come_back(name: str, tmp_path: Path) -> None:
    runs = AWKWARD[name]
    text = to_wandb(study(*runs), "quick", "mine.py")
    assert ids(run for run, _ in of_agents(text)) == ids(runs)
    (tmp_path / "sweep.yaml").write_text(text, encoding="utf-8")
    assert ids(study_of_file(tmp_path / "sweep.yaml")[0].jobs("quick")) == ids(runs)


def test_a_grid_with_a_hole_is_no_grid() -> None:
    runs = [Run(CellConfig(cell), seed=seed) for cell in ("rnn", "lstm") for seed in (0, 1)][1:]
    text = to_wandb(study(*runs), "quick", "mine.py")
    assert list(yaml.safe_load(text)["parameters"]) == ["data.seq_len", "config"]
    assert ids(run for run, _ in of_agents(text)) == ids(runs)


def test_pairwise_independence_is_not_enough() -> None:
    """Each two of three keys meet in all ways, and the third follows from them."""
    runs = [
        Run(seed=a, optim=OptimConfig(lr=0.1 * (1 + b)), model=ModelConfig(hidden_size=8 * (1 + (a ^ b))),
            cell=CellConfig(cell))
        for a in (0, 1) for b in (0, 1) for cell in ("rnn", "gru")
    ]  # fmt: skip
    parameters = yaml.safe_load(to_wandb(study(*runs), "quick", "mine.py"))["parameters"]
    assert parameters["cell"] == {"values": ["rnn", "gru"]}
    assert len(parameters["config"]["values"]) == 4
    assert not {"seed", "optim.lr", "model.hidden_size"} & parameters.keys()


def test_what_an_agent_cannot_do_is_refused() -> None:
    with pytest.raises(UserError, match="mine times contestants in turns"):
        to_wandb(study(Run(), Timing()), "quick", "mine.py")
    with pytest.raises(UserError, match="longest_solvable asks for later runs by the results"):
        to_wandb(find_study("longest_solvable"), "quick", "longest_solvable")
    with pytest.raises(UserError, match='unknown preset of mine "ful"'):
        to_wandb(study(Run()), "ful", "mine.py")
    with pytest.raises(UserError, match="nothing to export"):
        to_wandb(study(), "quick", "mine.py")


def test_a_run_is_flat_with_its_cell_as_one_value() -> None:
    run = Run(CellConfig("rnn", {"gain": 2.0}), data=DataConfig(seq_len=16), budget=BudgetConfig(steps=3))
    values = flat(run)
    assert (values["cell"], values["data.seq_len"], values["budget.steps"]) == ('{"name": "rnn", "gain": 2}', 16, 3)
    assert values.keys() == flat(Run()).keys()
    assert varying([{"a": 0}, {"a": 0, "b": 1}]) == ["b"], "a key that only some have varies"

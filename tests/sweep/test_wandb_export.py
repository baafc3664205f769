from __future__ import annotations

import dataclasses
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
from rnnbench.sweep.wandb_files.export import to_wandb
from rnnbench.sweep.wandb_files.sweep_file import study_of_file

SHIPPED = (
    "seqlen_perplexity", "memory", "clipping", "initialisation", "depth", "attention_rescues", "seqlen_gradients",
    "all_cells",
)  # fmt: skip
#: Those of a hundred command lines.
LONG = ("clipping", "initialisation", "all_cells")


def study(*runs: Job) -> Study:
    return Study("mine", "Which?", {"quick": lambda: runs})


def of_agents(text: str) -> list[tuple[Run, dict[str, Any]]]:
    """The command line of every combination, as W&B's own code builds it for its agent, parsed by our ``train``."""
    from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

    tree = yaml.safe_load(text)  # what `wandb sweep` reads it with
    names = list(tree["parameters"])
    values = [spec["values"] if "values" in spec else [spec["value"]] for spec in tree["parameters"].values()]
    found = []
    for chosen in itertools.product(*values):
        command = {"args": {name: {"value": value} for name, value in zip(names, chosen, strict=True)}}
        macros = create_sweep_command_args(command) | {"program": [tree["program"]], "env": ["/usr/bin/env"]}
        words: list[str] = []
        for word in create_sweep_command(list(tree["command"])):
            words += macros[word[2:-1]] if word.startswith("${") else [word]
        assert words[:3] == ["/usr/bin/env", "rnnbench", "train"]
        found.append(parse(words[3:]))
    return found


def ids(jobs: Iterable[Job]) -> list[str]:
    return sorted(job.id for job in jobs)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in SHIPPED]
)
def test_agents_run_what_the_study_runs(name: str) -> None:
    shipped = find_study(name)
    found = of_agents(to_wandb(shipped, "quick", name))
    assert ids(run for run, _ in found) == ids(shipped.jobs("quick"))
    assert {(options["study"], options["wandb"]) for _, options in found} == {(name, "online")}


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("preset", ["quick", "full"])
def test_what_is_exported_is_read_again(name: str, preset: str, tmp_path: Path) -> None:
    shipped, path = find_study(name), tmp_path / "sweep.yaml"
    path.write_text(to_wandb(shipped, preset, name), encoding="utf-8")
    again, notes = study_of_file(path)
    assert ids(again.jobs("quick")) == ids(shipped.jobs(preset))
    assert (again.name, again.question, notes) == (name, shipped.question, [])


def test_what_varies_for_itself_is_a_parameter_of_its_own() -> None:
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


def test_what_an_agent_cannot_do_is_refused() -> None:
    with pytest.raises(UserError, match="mine times contestants in turns"):
        to_wandb(study(Run(), Timing()), "quick", "mine.py")
    with pytest.raises(UserError, match="longest_solvable asks for later runs by the results"):
        to_wandb(find_study("longest_solvable"), "quick", "longest_solvable")
    with pytest.raises(UserError, match='unknown preset of mine "ful"'):
        to_wandb(study(Run()), "ful", "mine.py")
    with pytest.raises(UserError, match="nothing to export"):
        to_wandb(study(), "quick", "mine.py")


def test_a_search_is_not_quietly_its_first_round() -> None:
    search = dataclasses.replace(study(Run()), follow_up=lambda preset, results: [])
    with pytest.raises(UserError, match="asks for later runs"):
        to_wandb(search, "quick", "mine.py")

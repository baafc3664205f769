"""A real ``wandb agent`` on our exported sweep, against a server that hands out its runs."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.wandb_server import WandbServer, environment, wandb_server

import rnnbench
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.sweep import Study
from rnnbench.sweep.wandb_export import to_wandb

RUNS = tuple(
    Run(
        cell=CellConfig("rnn", {"gain": 1.5}),
        model=ModelConfig(hidden_size=8),
        data=DataConfig("adding", seq_len=seq_len, batch_size=512 // seq_len),
        optim=OptimConfig(clip=clip),
        budget=BudgetConfig(steps=3, evals=1, val_tokens=500),
        probes=ProbeConfig(gradient_flow=False),
    )
    for seq_len, clip in ((16, None), (32, 1.0))
)


def serve_sweep(store: WandbServer, sweep: str) -> None:
    """Let the server hand out the runs of a sweep, one after the other, to an agent that asks."""
    tree = yaml.safe_load(sweep)
    values = [spec.get("values", [spec.get("value")]) for spec in tree["parameters"].values()]
    waiting = [dict(zip(tree["parameters"], chosen, strict=True)) for chosen in itertools.product(*values)]
    otherwise = store.graphql

    def commands(variables: dict[str, Any]) -> list[dict[str, Any]]:
        """Nothing while a run is on, then the next run, at last to leave."""
        if json.loads(variables["runState"]):
            return []
        if not waiting:
            return [{"type": "exit"}]
        args = {name: {"value": value} for name, value in waiting.pop(0).items()}
        return [{"type": "run", "run_id": f"left{len(waiting)}", "program": tree["program"], "args": args}]

    def graphql(query: str, variables: dict[str, Any]) -> dict[str, Any]:
        operation = re.search(r"(?:query|mutation)\s+(\w+)", query)
        match operation[1] if operation else "":
            case "SweepWithRuns":
                return {"project": {"sweep": {"id": "S", "name": "sw1", "config": sweep, "runs": {"edges": []}}}}
            case "CreateAgent":
                return {"createAgent": {"agent": {"id": "agent"}}}
            case "Heartbeat":
                return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(commands(variables))}}
        return otherwise(query, variables)

    store.graphql = graphql  # type: ignore[method-assign]


@pytest.mark.slow
def test_an_agent_trains_the_studys_runs_and_shows_them_as_the_sweeps(tmp_path: Path) -> None:
    for name in ("bin", "home"):
        (tmp_path / name).mkdir()
    program = tmp_path / "bin" / "rnnbench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rnnbench "$@"\n')
    program.chmod(0o755)
    with wandb_server() as store:
        serve_sweep(store, to_wandb(Study("mine", "Which?", {"quick": lambda: RUNS}), "quick", "mine.py"))
        variables = environment(store.url, str(tmp_path / "home")) | {
            "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(rnnbench.__file__).parents[1]),
        }
        done = subprocess.run(
            [sys.executable, "-m", "wandb", "agent", "me/rnnbench/sw1"],
            cwd=tmp_path, env=variables, timeout=200, capture_output=True, text=True,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for run in RUNS:
        result = json.loads((tmp_path / "runs" / "mine" / run.id / "result.json").read_text())
        assert Run.from_dict(result["run"]).id == run.id
    begun = [bucket for bucket in store.runs.values() if bucket.get("groupName")]
    assert [bucket["displayName"] for bucket in begun] == [run.id for run in RUNS]
    for bucket, run in zip(begun, RUNS, strict=True):
        assert (bucket["sweep"], bucket["groupName"], bucket["project"]) == ("sw1", "mine", "rnnbench")
        config = {key: item["value"] for key, item in json.loads(bucket["config"]).items()}
        assert {key: config[key] for key in ("data", "optim", "budget")} == {
            key: value for key, value in run.to_dict().items() if key in ("data", "optim", "budget")
        }  # whole, though the sweep names parts of it

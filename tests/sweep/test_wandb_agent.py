"""A real ``wandb agent`` on our exported sweep, against a server of the standard library that hands out its runs."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

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


class Server(ThreadingHTTPServer):
    """As much of W&B as an agent and its runs ask for; the runs' first words are kept."""

    def __init__(self, sweep: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sweep = sweep
        tree = yaml.safe_load(sweep)
        self.program = tree["program"]
        names = list(tree["parameters"])
        values = [spec.get("values", [spec.get("value")]) for spec in tree["parameters"].values()]
        self.waiting = [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]
        self.begun: list[dict[str, Any]] = []

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        if operation == "Viewer":
            me = {"id": "1", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}, "admin": False}
            return {"viewer": me}
        if operation == "SweepWithRuns":
            return {"project": {"sweep": {"id": "S", "name": "sw1", "config": self.sweep, "runs": {"edges": []}}}}
        if operation == "CreateAgent":
            return {"createAgent": {"agent": {"id": "agent"}}}
        if operation == "Heartbeat":
            return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(self.commands(variables))}}
        if operation == "UpsertBucket":
            if variables.get("groupName"):
                self.begun.append(variables)
            project = {"id": "p", "name": "rnnbench", "entity": {"id": "e", "name": "me"}}
            bucket = {"id": "b", "name": variables["name"], "displayName": "", "config": "{}", "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if operation == "CreateRunFiles":
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": []}}
        return {}

    def commands(self, variables: dict[str, Any]) -> list[dict[str, Any]]:
        """What the agent is to do next: nothing while a run is on, then the next run, at last to leave."""
        if json.loads(variables["runState"]):
            return []
        if not self.waiting:
            return [{"type": "exit"}]
        args = {name: {"value": value} for name, value in self.waiting.pop(0).items()}
        return [{"type": "run", "run_id": f"left{len(self.waiting)}", "program": self.program, "args": args}]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.reply({})

    def do_PUT(self) -> None:
        self.body()
        self.reply({})

    def do_POST(self) -> None:
        body = self.body()
        if not self.path.endswith("graphql"):
            self.reply({})
            return
        asked = json.loads(body)
        found = re.search(r"(?:query|mutation)\s+(\w+)", asked["query"])
        assert isinstance(self.server, Server)
        self.reply({"data": self.server.answer(found[1] if found else "", asked.get("variables") or {})})

    def body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def reply(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    study = Study("mine", "Which?", {"quick": lambda: RUNS})
    running = Server(to_wandb(study, "quick", "mine.py"))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.mark.slow
def test_an_agent_trains_the_studys_runs_and_shows_them_as_the_sweeps(server: Server, tmp_path: Path) -> None:
    for name in ("bin", "home"):
        (tmp_path / name).mkdir()
    program = tmp_path / "bin" / "rnnbench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m rnnbench "$@"\n')
    program.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")} | {
        "WANDB_BASE_URL": f"http://127.0.0.1:{server.server_address[1]}",
        "WANDB_API_KEY": "0123456789" * 4,
        "HOME": str(tmp_path / "home"),
        "PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(rnnbench.__file__).parents[1]),
    }
    done = subprocess.run(
        [sys.executable, "-m", "wandb", "agent", "me/rnnbench/sw1"],
        cwd=tmp_path, env=environment, timeout=200, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for run in RUNS:
        result = json.loads((tmp_path / "runs" / "mine" / run.id / "result.json").read_text())
        assert Run.from_dict(result["run"]).id == run.id
    assert [begun["displayName"] for begun in server.begun] == [run.id for run in RUNS]
    for begun, run in zip(server.begun, RUNS, strict=True):
        assert (begun["sweep"], begun["groupName"], begun["project"]) == ("sw1", "mine", "rnnbench")
        config = {key: item["value"] for key, item in json.loads(begun["config"]).items()}
        assert {key: config[key] for key in ("data", "optim", "budget")} == {
            key: value for key, value in run.to_dict().items() if key in ("data", "optim", "budget")
        }  # whole, though the sweep names parts of it

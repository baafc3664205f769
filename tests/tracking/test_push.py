"""The real client against a server on loopback: what is stored is what was built, and what runs logged."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.wandb_runs import REFUSED, own_environment, small_run
from support.wandb_server import ENTITY, KEY, WandbServer, environment, wandb_server
from support.wandb_spec import panels

from rnnbench.cli.main import main
from rnnbench.report.dashboard import push
from rnnbench.report.dashboard.build import read_dashboard, report, spec, workspace
from rnnbench.training.one_run import train


def run(server: WandbServer, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command that knows this server."""
    env, command = environment(server.url, str(home), KEY), [sys.executable, "-m", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, stdin=subprocess.DEVNULL)


@pytest.mark.slow
def test_a_synced_run_and_its_dashboard_arrive(tmp_path: Path, text_file: Path) -> None:
    with own_environment(tmp_path / "home"):
        result = train(small_run(text_file), tmp_path / "runs", "pushed", "offline")
    study = tmp_path / "runs" / "pushed"
    (offline,) = (study / "wandb").glob("offline-run-*")
    with wandb_server() as server:
        synced = run(server, tmp_path, "wandb", "sync", str(offline))
        assert synced.returncode == 0, synced.stderr
        (id,) = server.history
        history = [json.loads(line) for line in (study / result["id"] / "history.jsonl").read_text().splitlines()]
        rows = [{name: row[name] for name in row if name[0] != "_"} for row in server.history[id]]  # W&B adds _step
        assert rows[: len(history)] == history
        assert all({"gradient flow_table", "gradient flow along training"} & row.keys() for row in rows[len(history) :])
        assert server.summary[id]["test/bpc"] == result["metrics"]["test/bpc"]
        assert server.runs[id]["groupName"] == "pushed"
        config = json.loads(server.runs[id]["config"])
        assert (config["cell_label"]["value"], config["data"]["value"]["seq_len"]) == ("gru", 16)

        for times, word in ((1, "saved"), (2, "replaced")):
            pushed = run(server, tmp_path, "rnnbench", "dashboard", "push", str(study), "--project", "rnnbench")
            assert (pushed.returncode, pushed.stderr) == (0, "")
            lines = pushed.stdout.splitlines()
            assert [line.split(": ")[0] for line in lines] == [f"workspace {word}", f"report {word}"]
            assert all(f"{server.url}/{ENTITY}/rnnbench" in line for line in lines)
            assert [view["times"] for view in server.views.values()] == [times, times]
            for view_ in server.views.values() if times == 1 else ():  # as if edited on the page
                view_["spec"] = json.dumps({**json.loads(view_["spec"]), "version": 99})

        dashboard = read_dashboard(study)
        stored = server.view("project-view")
        names = (stored["entityName"], stored["projectName"], stored["displayName"])
        assert names == (ENTITY, "rnnbench", "rnnbench pushed")
        assert stored["spec"] == spec(workspace(dashboard, ENTITY, "rnnbench"))
        sections = stored["spec"]["section"]["panelBankConfig"]["sections"]
        assert [section["name"] for section in sections] == ["quality", "gradients", "throughput", "system"]
        lines = [panel for panel in panels(stored["spec"]) if panel["viewType"] == "Run History Line Plot"]
        assert {panel["config"]["xAxis"] for panel in lines} == {"step", "tokens"}
        (runs,) = stored["spec"]["section"]["runSets"]
        assert runs["grouping"] == [{"section": "config", "name": "cell_label.value"}]
        assert runs["filters"]["filters"][0]["value"] == "pushed"
        stored = server.view("runs")["spec"]
        assert panels(stored) == panels(spec(report(dashboard, "", "rnnbench")))
        grid = next(block for block in stored["blocks"] if block["type"] == "panel-grid")
        assert grid["metadata"]["runSets"][0]["project"]["name"] == "rnnbench"


@pytest.fixture(scope="module")
def study() -> Path:
    return Path(__file__).parents[2] / "experiments" / "results" / "quick" / "memory"


@pytest.mark.slow
def test_an_absent_project_is_created_and_json_says_where(tmp_path: Path, study: Path) -> None:
    with wandb_server() as server:
        done = run(server, tmp_path, "rnnbench", "dashboard", "push", str(study), "--project", "new", "--json")
        assert done.returncode == 0, done.stderr
        assert "new" in server.projects
        assert json.loads(done.stdout)["replaced"] == [False, False]


@pytest.mark.slow
@pytest.mark.parametrize(("status", "words"), [(401, "did not take"), (503, "it says 503"), (403, "did not take")])
def test_a_server_in_trouble_costs_seconds_and_a_line(tmp_path: Path, study: Path, status: int, words: str) -> None:
    with wandb_server() as server:
        server.status = status
        start = time.monotonic()
        done = run(server, tmp_path, "rnnbench", "dashboard", "push", str(study))
    assert time.monotonic() - start < 20
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert server.views == {}


def refused(capsys: pytest.CaptureFixture[str], study: Path) -> str:
    assert main(["dashboard", "push", str(study)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_without_a_key_nothing_is_asked_for(tmp_path: Path, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with own_environment(tmp_path):
        assert "`wandb login`, or set WANDB_API_KEY" in refused(capsys, study)


def test_a_dead_server_and_one_that_never_answers_cost_seconds_and_a_line(
    tmp_path: Path, study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "FIRST_SECONDS", 0.5)
    with own_environment(tmp_path) as patch, socket.create_server(("127.0.0.1", 0)) as silent:
        patch.setenv("WANDB_API_KEY", KEY)
        start = time.monotonic()
        assert f"{REFUSED} is out of reach (" in refused(capsys, study)
        patch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert "is out of reach (timed out)" in refused(capsys, study)
        assert time.monotonic() - start < 10

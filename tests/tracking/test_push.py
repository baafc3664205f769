"""The real client against a server on loopback: what is stored is what was built, and what runs logged."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from support.wandb_runs import REFUSED, own_environment, small_run
from support.wandb_server import ENTITY, KEY, WandbServer, environment, wandb_server
from support.wandb_spec import panels

from rnnbench import cli
from rnnbench.report.dashboard import document, workspace
from rnnbench.report.dashboard.view import view
from rnnbench.training.one_run import train


def run(server: WandbServer, home: Path, *words: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    """A command that knows this server."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment(server.url, str(home), key),
        stdin=subprocess.DEVNULL,
    )


def ours(row: Mapping[str, Any]) -> dict[str, Any]:
    """Less what W&B adds."""
    return {name: value for name, value in row.items() if not name.startswith("_")}


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
        rows = [ours(row) for row in server.history[id]]
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

        seen = view(study)
        stored = server.view("project-view")
        assert (stored["entityName"], stored["projectName"], stored["displayName"]) == (
            ENTITY,
            "rnnbench",
            "rnnbench pushed",
        )
        assert stored["spec"] == workspace.spec(workspace.workspace(seen, ENTITY, "rnnbench"))
        sections = stored["spec"]["section"]["panelBankConfig"]["sections"]
        assert [section["name"] for section in sections] == ["quality", "gradients", "throughput", "system"]
        axes = {
            panel["config"]["xAxis"] for panel in panels(stored["spec"]) if panel["viewType"] == "Run History Line Plot"
        }
        assert axes == {"step", "tokens"}
        (runs,) = stored["spec"]["section"]["runSets"]
        assert runs["grouping"] == [{"section": "config", "name": "cell_label.value"}]
        assert runs["filters"]["filters"][0]["value"] == "pushed"
        report = server.view("runs")["spec"]
        assert panels(report) == panels(document.spec(document.document(seen, "", "rnnbench")))
        grid = next(block for block in report["blocks"] if block["type"] == "panel-grid")
        assert grid["metadata"]["runSets"][0]["project"]["name"] == "rnnbench"


@pytest.fixture(scope="module")
def study() -> Path:
    return Path(__file__).parents[2] / "experiments" / "results" / "quick" / "memory"


@pytest.mark.slow
def test_a_project_that_is_not_there_is_made_and_json_says_where(tmp_path: Path, study: Path) -> None:
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
    assert cli.main(["dashboard", "push", str(study)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_without_a_key_nothing_is_asked_for(tmp_path: Path, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with own_environment(tmp_path):
        assert "`wandb login`, or set WANDB_API_KEY" in refused(capsys, study)


def test_a_dead_server_is_one_line(tmp_path: Path, study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with own_environment(tmp_path) as patch:
        patch.setenv("WANDB_API_KEY", KEY)
        start = time.monotonic()
        assert f"{REFUSED} is out of reach (" in refused(capsys, study)
        assert time.monotonic() - start < 10


def test_a_server_that_never_answers_is_left_after_seconds(
    tmp_path: Path, study: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    from rnnbench.report.dashboard import push

    monkeypatch.setattr(push, "FIRST_SECONDS", 0.5)
    with own_environment(tmp_path) as patch, socket.create_server(("127.0.0.1", 0)) as silent:
        patch.setenv("WANDB_API_KEY", KEY)
        patch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        start = time.monotonic()
        assert "is out of reach (timed out)" in refused(capsys, study)
        assert time.monotonic() - start < 5

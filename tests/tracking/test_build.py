"""`rnnbench dashboard build`: the same runs give the same files, without a network and with what they must say."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from support.wandb_runs import own_environment, small_run
from support.wandb_spec import panels

from rnnbench.cli.main import main
from rnnbench.report.dashboard.build import read_dashboard
from rnnbench.report.figures.style import FIXED
from rnnbench.training.one_run import train

COMMITTED = Path(__file__).parents[2] / "experiments" / "results" / "quick"
STUDY = COMMITTED / "seqlen_perplexity"


@pytest.fixture(scope="module")
def lengths(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> Path:
    """The folder of a study of two cells at two lengths."""
    folder = tmp_path_factory.mktemp("lengths")
    (folder / "small.txt").write_text(small_text, encoding="utf-8")
    for cell in ("rnn", "gru"):
        for seq_len in (8, 16):
            train(small_run(folder / "small.txt", cell, seq_len=seq_len), folder / "runs", "lengths", "disabled")
    return folder / "runs" / "lengths"


def built(study: Path, out: Path, *words: str) -> dict[str, Any]:
    """What `build` wrote, its JSON read."""
    with own_environment(out / "home"):
        assert main(["dashboard", "build", str(study), "--out", str(out), *words]) == 0
    return {name: json.loads((out / name).read_text()) for name in ("workspace.json", "report.json")}


def by_title(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {panel["config"].get("chartTitle"): panel["config"] for panel in panels(spec)}


def test_sections_axes_groups_and_filter(tmp_path: Path, lengths: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    files = built(lengths, tmp_path)
    said = capsys.readouterr()
    assert len(said.out.strip().splitlines()) == 2
    assert f"nothing was uploaded: `rnnbench dashboard push {lengths}`" in said.out
    assert said.err == ""
    made = files["workspace.json"]
    assert (made["type"], made["projectName"], made["entityName"]) == ("project-view", "rnnbench", "")
    bank = made["spec"]["section"]["panelBankConfig"]["sections"]
    assert [section["name"] for section in bank] == ["quality", "gradients", "throughput", "system"]
    config = by_title(made["spec"])
    assert (config["validation bpc"]["xAxis"], config["validation bpc"]["metrics"]) == ("tokens", ["val/bpc"])
    assert (config["training bpc"]["xAxis"], config["training bpc"]["metrics"]) == ("tokens", ["train/bpc"])
    for when, words in (("init", "at the start"), ("final", "after training")):
        against = config[f"gradient at 1/100 {words}, lags, against T"]
        assert (against["xAxis"], against["yAxis"]) == ("config:seq_len.value", f"summary:{when}/hundredth_lag")
        assert config[f"gradient at 1/100 {words}, lags"]["metrics"] == [f"{when}/hundredth_lag"]
    (runs,) = made["spec"]["section"]["runSets"]
    assert [key["name"] for key in runs["grouping"]] == ["cell_label.value", "seq_len.value"]
    conditions = [(item["key"]["name"], item["op"], item["value"]) for item in runs["filters"]["filters"]]
    assert conditions == [("group", "=", "lengths"), ("jobType", "!=", "summary")]
    report = files["report.json"]
    grids = [block for block in report["spec"]["blocks"] if block["type"] == "panel-grid"]
    assert len(grids) == 4
    assert all(grid["metadata"]["runSets"][0]["filters"] == runs["filters"] for grid in grids)
    assert by_title(report["spec"]) == config
    tables = [block for block in report["spec"]["blocks"] if block["type"] == "markdown-block"]
    assert all(words in tables[0]["content"] for words in ("| gru | 16 |", "rnnbench report"))
    page = (tmp_path / "report.md").read_text()
    assert page.startswith("# rnnbench lengths\n\n4 runs: 2 cells, 1 data set, sequence length 8, 16")
    assert tables[0]["content"] in page


def test_the_same_runs_give_the_same_bytes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        capsys.readouterr()
        built(COMMITTED / "memory", tmp_path / name, "--json")
        said = json.loads(capsys.readouterr().out)
        assert said["study"] == "memory"
        assert "test error" in said["sections"]["quality"]
        assert all(Path(path).is_file() for path in said["files"])
    for name in ("workspace.json", "report.json", "report.md"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_panels_of_a_report_do_not_overlap(tmp_path: Path) -> None:
    for block in built(COMMITTED / "all_tasks", tmp_path)["report.json"]["spec"]["blocks"]:
        if block["type"] == "panel-grid":
            places = [panel["layout"] for panel in panels(block)]
            taken = {(p["x"] + x, p["y"] + y) for p in places for x in range(p["w"]) for y in range(p["h"])}
            assert len(taken) == sum(p["w"] * p["h"] for p in places)
            assert max(x for x, _ in taken) < 24


def test_groups_are_of_cell_length_and_what_else_varies_and_each_has_a_colour(lengths: Path) -> None:
    assert read_dashboard(COMMITTED / "clipping").grouping == ("cell_label", "optim.clip", "optim.clip_by", "optim.lr")
    assert read_dashboard(COMMITTED / "seqlen_throughput").grouping == ("seq_len",)
    colors = read_dashboard(lengths).colors
    for cell in ("rnn", "gru"):
        assert colors[cell, "16"] == FIXED[cell][0]
    assert len(set(colors.values())) == len(colors) == 4


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one line that a command ends with."""
    assert main(["dashboard", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is not a folder" in refused(capsys, "build", str(tmp_path / "absent"))
    assert "no finished run" in refused(capsys, "build", str(tmp_path))
    assert "studies (all_cells, all_tasks," in refused(capsys, "build", str(COMMITTED))
    assert "build" in refused(capsys, "biuld", str(STUDY))
    shutil.copytree(STUDY, tmp_path / "is it '=' so")
    assert "rename its folder" in refused(capsys, "build", str(tmp_path / "is it '=' so"), "--out", str(tmp_path / "x"))
    (tmp_path / "file").touch()
    assert str(tmp_path / "file") in refused(capsys, "build", str(STUDY), "--out", str(tmp_path / "file" / "x"))


def test_without_wandb_workspaces_it_says_how_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if "wandb_workspaces" in name or "report.dashboard" in name]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    for verb in ("build", "push"):
        assert "pip install 'rnnbench[dashboards]'" in refused(capsys, verb, str(STUDY))

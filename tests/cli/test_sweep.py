"""``rnnbench sweep``: learning rates, W&B's files, and a report that is made when there is something new to report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from support.refusals import printed_json
from support.sweeps import write_study

from rnnbench.cli.main import main
from rnnbench.config import PROTOCOL
from rnnbench.runs import read_speeds, read_study

SWEEP = """
method: grid
name: by hand
early_terminate: {{type: hyperband}}
parameters:
  cell: {{values: [rnn, gru]}}
  data: {{parameters: {{path: {{value: {text}}}, seq_len: {{value: 8}}, batch_size: {{value: 4}}}}}}
  model.hidden_size: {{value: 8}}
  budget.steps: {{value: 5}}
  probes.gradient_flow: {{value: false}}
"""


@pytest.fixture(autouse=True)
def own_cells(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a study's file names for its workers is forgotten after the test."""
    monkeypatch.setenv("RNNBENCH_CELLS", "")
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))


def results(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in folder.glob("*/result.json")]


@pytest.mark.slow
def test_learning_rates_are_chosen_and_used_by_one_command(
    tmp_path: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trials with seeds of their own, the grid a rate longer where a choice was at its edge; the study's own seeds at
    what they chose; again, and nothing is trained.
    """
    study, runs = write_study(tmp_path, text_file, count=2, steps=30), tmp_path / "runs"
    words = ["sweep", str(study), "--out", str(runs), "--tune_lr", "1e-2,1e-1", "--jobs", "2", "--wandb", "disabled"]
    assert main([*words, "--json"]) == 0
    said = capsys.readouterr()
    outcome = json.loads(said.out)
    assert outcome["study"] == "short-tuned"
    assert said.err.count("a choice is at the edge of the rates tried, so further ones are tried") == 1
    assert len(outcome["finished"]) == 2
    trials, tuned = results(runs / "short-lr"), results(runs / "short-tuned")
    assert sorted(r["run"]["optim"]["lr"] for r in trials) == sorted([1e-2, 1e-1, 1.0] * 2)  # type: ignore[index]
    assert {r["run"]["seed"] for r in tuned} == {0, 1}  # type: ignore[index]
    assert {r["run"]["seed"] for r in trials}.isdisjoint({0, 1})  # type: ignore[index]
    # The smallest rate has hardly begun to learn after 30 steps, on whichever seed; at 1 nothing learns.
    assert {r["run"]["optim"]["lr"] for r in tuned} == {1e-1}  # type: ignore[index]
    chosen = json.loads((runs / "short-tuned" / "learning_rates.json").read_text())
    assert chosen["protocol"] == PROTOCOL
    assert [(choice["lr"], choice["at_edge"]) for choice in chosen["choices"]] == [(1e-1, False)] * 2
    assert [[one["lr"] for one in choice["rates"]] for choice in chosen["choices"]] == [[1e-2, 1e-1, 1.0]] * 2
    assert len(read_speeds(runs / "short-tuned")) == 2, "each setting's speed is measured by itself"
    assert main(words) == 0
    assert capsys.readouterr().out.count("all 2 runs were finished before; nothing was trained") == 1


@pytest.mark.slow
def test_a_file_of_wandbs_is_a_study(tmp_path: Path, text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "grid.yaml"
    file.write_text(SWEEP.format(text=text_file))
    assert main(["sweep", str(file), "--out", str(tmp_path / "runs"), "--wandb", "disabled"]) == 0
    said = capsys.readouterr().out
    assert "early_terminate" in said
    assert {r["run"]["cell"] for r in results(tmp_path / "runs" / "by_hand")} == {"rnn", "gru"}  # type: ignore[index]
    assert main(["sweep", str(file), "--out", str(tmp_path / "runs"), "--wandb", "disabled", "--dry_run"]) == 0
    assert capsys.readouterr().out.count(" finished\n") == 2


def test_a_study_is_a_file_of_wandbs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Written, or printed and nothing else; and the file is the study again."""
    assert main(["sweep", "initialisation", "--export-wandb"]) == 0
    printed = capsys.readouterr().out
    assert yaml.safe_load(printed)["method"] == "grid"
    assert main(["sweep", "initialisation", "--export_wandb", str(tmp_path / "sweep.yaml")]) == 0
    assert (tmp_path / "sweep.yaml").read_text() == printed
    capsys.readouterr()
    ids = []
    for name in ("initialisation", str(tmp_path / "sweep.yaml")):
        assert main(["sweep", name, "--dry_run", "--out", str(tmp_path)]) == 0
        ids.append(sorted(capsys.readouterr().out.splitlines()))
    assert ids[0] == ids[1]
    assert main(["sweep", "initialisation", "--export_wandb", str(tmp_path / "no" / "sweep.yaml")]) == 2


@pytest.mark.slow
def test_a_study_that_asks_for_rates_is_tuned_without_being_told(
    tmp_path: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It lists its trials until rates are known, then its own runs at these; it says beside them what it is."""
    study, runs = write_study(tmp_path, text_file, count=1, steps=30), tmp_path / "runs"
    text = study.read_text()
    asked = text.replace("ProbeConfig, Run, Study", "ProbeConfig, Run, Study, Tune")
    asked = asked.replace("range(1))})", "range(1))}, tune=Tune(grid=(1e-2, 1e-1), seeds=1))")
    assert asked.count("Tune") == 2
    study.write_text(asked)
    words = ["sweep", str(study), "--out", str(runs), "--wandb", "disabled"]
    assert main([*words, "--dry_run"]) == 0
    trials = capsys.readouterr().out.splitlines()
    assert len(trials) == 2
    assert all("-s1000-" in line and line.endswith(" to do") for line in trials)
    assert main([*words, "--export_wandb"]) == 2
    assert "chooses its learning rates before its runs" in capsys.readouterr().err
    assert main([*words, "--jobs", "2"]) == 0
    assert {r["run"]["seed"] for r in results(runs / "short")} == {0}  # type: ignore[index]
    assert {r["run"]["optim"]["lr"] for r in results(runs / "short")} == {1e-1}  # type: ignore[index]
    assert len(results(runs / "short-lr")) == 3, "a further rate, as the best was the largest"
    described = read_study(runs / "short")
    assert (described.question, described.search) == ("Is every run there, once?", False)
    assert [len(panel.runs) for panel in described.panels] == [1]
    capsys.readouterr()
    assert main([*words, "--dry_run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == {str(r["id"]) for r in results(runs / "short")}
    assert all(line.endswith(" finished") for line in lines)
    assert main([*words, "--dry_run", "--tune_lr", "1e-3,1e-2,1e-1", "--tune_seeds", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 * 2, "rates that are known are no answer to a wish for others"
    assert sum(line.endswith(" finished") for line in lines) == 2


def test_a_report_is_made_when_there_is_something_to_report(
    tmp_path: Path, text_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not a second time of the same results, whose table is shown again; anew once one of them is another."""
    study, runs = write_study(tmp_path, text_file, count=1, steps=5), tmp_path / "runs"
    words = ["sweep", str(study), "--out", str(runs), "--wandb", "disabled"]
    report = runs / "short" / "report" / "report.md"
    assert main(words) == 0
    first, made = capsys.readouterr().out, report.stat().st_mtime_ns
    assert main(words) == 0
    second = capsys.readouterr().out
    assert report.stat().st_mtime_ns == made
    table = first[first.index("cell") :].rstrip()
    assert table in second
    (result,) = (runs / "short").glob("*/result.json")
    result.unlink()
    outcome = printed_json(capsys, *words)
    assert report.stat().st_mtime_ns != made
    assert (outcome["study"], outcome["finished"]) == ("short", [result.parent.name])
    assert outcome["skipped"] == outcome["trouble"] == []
    assert all(Path(file).is_file() for file in outcome["files"])

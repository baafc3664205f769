"""The command line as people and scripts meet it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support.refusals import printed_json

from rnnbench.cli.main import VERBS, main
from rnnbench.cli.train import parse
from rnnbench.config import CellConfig, ModelConfig, Run
from rnnbench.runs import RunDirectory, Start

TINY = "--model.hidden_size 6 --data.seq_len 8 --data.batch_size 4 --budget.steps 4 --probes.gradient_flow false"


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "rnnbench", *words], capture_output=True, text=True, timeout=120)


def trained(text_file: Path, *more: str) -> list[str]:
    return ["train", "--data.path", str(text_file), *TINY.split(), "--out", "runs", *more]


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        done = command("--help")
        seconds.append(time.perf_counter() - begin)
        assert done.returncode == 0
        assert all(verb in done.stdout for verb in VERBS)
        assert done.stderr == ""
    assert min(seconds) < 0.5
    look = (
        "import sys; from rnnbench.cli.main import main; main(['--help'])\n"
        "print({'rnnbench.config', 'rich'} & sys.modules.keys()); from rnnbench import *\n"
        "print({'torch', 'lightning', 'wandb', 'pandas', 'matplotlib', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["set()", "set()"]


@pytest.mark.parametrize("verb", [*VERBS, "data info", "data check", "runs rm", "dashboard build"])
def test_each_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*verb.split(), "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr()
    assert f"rnnbench {verb}" in said.out
    assert "--json" in said.out or verb in ("data", "runs")  # whose list and others have it
    assert said.err == ""


@pytest.mark.parametrize("argv", [[], ["-h"], ["help"], ["--help"]])
def test_no_verb_is_help(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out.startswith("usage: rnnbench")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    name, number = capsys.readouterr().out.split()
    assert name == "rnnbench"
    assert number[0].isdigit()


def test_json_of_what_there_is(text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = {row["cell"]: row for row in printed_json(capsys, "cells")}
    assert cells["lstm"]["options"] == {"forget_bias": None}
    assert cells["lstm"]["parameters"] == 4 * 128 * (128 + 128 + 2)
    assert cells["lstm"]["backends"]["loop"] is None
    assert {"kjv", "text", "csv"} <= {row["name"] for row in printed_json(capsys, "data", "list")}
    facts = printed_json(capsys, "data", "info", "--path", str(text_file))
    assert facts["characters"] == 20_000
    assert facts["references"]["unigram_bpc"] > 0
    said = printed_json(capsys, "doctor", "--out", "runs")
    assert said["problems"] == []
    assert said["facts"]["peers to time against"].startswith("torchrecurrent")


def test_json_of_train_generate_and_report(text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = printed_json(capsys, *trained(text_file))
    assert result["status"] in ("done", "diverged")
    folder = Path("runs/single") / result["id"]
    assert json.loads((folder / "result.json").read_text()) == result
    again = printed_json(capsys, *trained(text_file))
    assert again == result, "a finished run was trained again"
    written = printed_json(capsys, "generate", str(folder), "--prompt", "the cell", "--length", "20")
    assert written["prompt"] == "the cell"
    assert len(written["text"]) == 20
    tables = printed_json(capsys, "report", "runs", "--format", "csv")
    assert tables["single"]["table"]
    assert all(Path(file).is_file() for file in tables["single"]["files"])


def test_print_config_comes_back_as_the_same_run(text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [
        "--cell", "lstm", "--cell.forget_bias", "3", "--data.path", str(text_file), "--optim.lr", "1e-3",
        "--optim.clip", "null", "--budget.steps", "7", "--seed", "11", "--model.hidden_size=24",
        "--probes.gradient_flow", "false",
    ]  # fmt: skip
    run, _ = parse(flags)
    assert (run.optim.lr, run.optim.clip, run.steps, run.seed, run.model.hidden_size) == (1e-3, None, 7, 11, 24)
    assert run.cell.options == {"forget_bias": 3}
    assert main(["train", *flags, "--print_config"]) == 0
    Path("run.yaml").write_text(capsys.readouterr().out)
    assert not Path("runs").exists()
    assert Run.from_dict(yaml.safe_load(Path("run.yaml").read_text())).id == run.id
    for words in (["--config", "run.yaml"], ["--config=run.yaml"]):
        again, _ = parse(words)
        assert again == run
        assert again.id == run.id
    assert parse([])[0].id == Run().id


def test_flags_lie_over_the_config(text_file: Path) -> None:
    Path("run.yaml").write_text("cell: {name: gru, update_bias: 1}\noptim: {lr: 2e-3, clip: 5}\nseed: 3\n")
    run, _ = parse(["--config", "run.yaml", "--optim.clip", "0.5", "--model", "{norm: rms}", "--model.hidden_size=7"])
    assert run.cell == CellConfig("gru", {"update_bias": 1})
    assert (run.optim.lr, run.optim.clip, run.seed, run.model) == (2e-3, 0.5, 3, ModelConfig(7, norm="rms"))
    for words, cell in (
        ("--config run.yaml --cell.update_bias 2e0", CellConfig("gru", {"update_bias": 2})),
        ("--config run.yaml --cell.update_bias -1e-3", CellConfig("gru", {"update_bias": -1e-3})),
        ("--config run.yaml --cell lstm", CellConfig("lstm")),
        ('--cell {"name":"lstm","forget_bias":1.5}', CellConfig("lstm", {"forget_bias": 1.5})),
    ):
        assert parse(words.split())[0].cell == cell
    assert parse(["--model.tie", "--data.path", "null"])[0] == Run(model=ModelConfig(tie=True))


def test_a_cell_option_reaches_the_model(text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The forget gates' biases, still where they were put: nothing is trained."""
    import torch

    argv = trained(text_file, "--cell", "lstm", "--cell.forget_bias", "3", "--budget.steps", "0")
    result = printed_json(capsys, *argv)
    assert result["run"]["cell"] == {"name": "lstm", "forget_bias": 3}
    saved = torch.load(Path("runs/single") / result["id"] / "model.pt", weights_only=True)["model"]
    bias = saved["stack.layers.0.bias_ih"] + saved["stack.layers.0.bias_hh"]
    assert torch.equal(bias[6:12], torch.full((6,), 3.0))
    assert not torch.equal(bias[:6], torch.full((6,), 3.0))


def test_a_run_that_has_failed_before_is_told_of(text_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sweep records failures; nothing is known of the machine then."""
    argv = trained(text_file)
    run, _ = parse(argv[1:])
    directory = RunDirectory(Path("runs"), "single", run.id)
    with directory.opened(run.to_dict()):
        directory.finish(run, "failed", Start(), {}, {}, error="it broke", traceback="")
    assert main(argv) == 1
    assert f"{run.id} failed: it broke; `rnnbench runs rm`" in capsys.readouterr().out


def test_the_reader_of_our_output_may_leave() -> None:
    """`rnnbench cells | head -0` ends quietly."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rnnbench", "data", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait() == 0

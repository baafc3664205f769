"""Every command in the README is run; the long ones at a size cut down."""

from __future__ import annotations

import glob
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from rnnbench.cli.main import main
from rnnbench.system.processes import forkserver

pytestmark = pytest.mark.first

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", README, re.DOTALL)
COMMANDS = [
    line.split("  #")[0].strip() for kind, text in BLOCKS if kind == "bash" for line in text.strip().splitlines()
]
SMALL = "--budget.tokens 3000 --probes.seq_len 16 --wandb offline"


def cut_down(command: str) -> str:
    """The same command at a size for a test."""
    verb = " ".join(command.split()[:2])
    if command.startswith("make "):
        return f"make -n -C {ROOT} {command.split()[1]} PYTHON={sys.executable}"
    if verb == "rnnbench train":
        size = "--model.parameters 10000" if "--model.parameters" in command else "--model.hidden_size 8"
        return f"{re.sub(r'--(budget.tokens|model.parameters) [0-9]+', '', command)} {size} {SMALL}"
    if verb == "rnnbench gradients":
        return command if "--run" in command else f"{command} --seq_len 16 --hidden_size 8 --seeds 2"
    if verb == "rnnbench throughput":
        small = "--seq_len 4 --hidden_size 8 --samples 3 --wandb disabled"
        return f"{re.sub(r'--(seq_len|hidden_size) [0-9,]+', '', command)} {small}"
    if verb == "rnnbench sweep" or command.startswith("python experiments/"):
        return f"{command} --dry_run"
    if verb == "wandb leet":  # needs a terminal; that it reads our runs is tested in tests/tracking
        return "wandb leet --help"
    if verb == "wandb sync":  # needs a server
        return "wandb sync --help"
    if verb == "rnnbench dashboard" and " push " in command:  # needs a server, too; see tests/dashboard
        return "rnnbench dashboard push --help"
    return command


def test_the_readme_shows_commands() -> None:
    """The parsing above finds them: a change of the README's form must not leave this file testing nothing."""
    assert len(COMMANDS) > 12
    assert sum(command.startswith("rnnbench") for command in COMMANDS) > 9


@pytest.fixture(scope="module")
def transcript(
    tmp_path_factory: pytest.TempPathFactory, small_text: str
) -> dict[str, subprocess.CompletedProcess[str]]:
    """All commands, in order, in one shell session's folder, as a reader would type them."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "experiments").symlink_to(ROOT / "experiments")
    (folder / "my_text.txt").write_text(small_text, encoding="utf-8")
    hours = pd.date_range("2024-01-01", periods=600, freq="h")
    loads = pd.DataFrame({"time": hours, "load": [10 + hour.hour % 7 + hour.day / 31 for hour in hours]})
    loads.to_csv(folder / "loads.csv", index=False)
    (folder / "leaky.py").write_text(next(text for kind, text in BLOCKS if kind == "python"), encoding="utf-8")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = {}
    for command in COMMANDS:
        if command.startswith("export "):
            name, value = command.removeprefix("export ").split("=")
            environment[name] = value
            continue
        words = expanded(cut_down(command), folder)
        if words[0] == "rnnbench" and " | " not in command:
            done[command] = forked(words, folder, environment)
        else:
            done[command] = subprocess.run(
                cut_down(command), shell=True, cwd=folder, env=environment, capture_output=True, text=True, timeout=240
            )
    return done


def expanded(command: str, folder: Path) -> list[str]:
    """The words of a command as a shell hands them over."""
    words: list[str] = []
    for word in shlex.split(command):
        words += sorted(glob.glob(word, root_dir=folder)) or [word] if "*" in word else [word]
    return words


def forked(words: list[str], folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """``rnnbench …`` from its entry point on, in a process with the imports done: they take a minute in all."""
    out, err = folder.with_suffix(".out"), folder.with_suffix(".err")
    context = forkserver(["rnnbench.training", "rnnbench.throughput.measure", "rnnbench.report"])
    process = context.Process(target=enter, args=(words, folder, environment, out, err))
    process.start()
    process.join(240)
    process.kill()
    return subprocess.CompletedProcess(words, process.exitcode or 0, out.read_text(), err.read_text())


def enter(words: list[str], folder: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    """What the command ``rnnbench`` does."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(handle, number)
    sys.argv = words
    sys.exit(main(words[1:]))


@pytest.mark.timeout(900)  # all of them, one after the other
def test_every_command_of_the_readme_works(transcript: dict[str, subprocess.CompletedProcess[str]]) -> None:
    bad = {command: done.stderr + done.stdout for command, done in transcript.items() if done.returncode}
    assert not bad


def test_what_they_print(transcript: dict[str, subprocess.CompletedProcess[str]]) -> None:
    said = {" ".join(command.split()[:3]): done.stdout for command, done in transcript.items()}
    assert "torchrecurrent" not in said["rnnbench cells"]
    assert "leaky.py:Leaky passes every check" in said["rnnbench check-cell leaky.py:Leaky"]
    assert "half-life" in said["rnnbench report runs"]
    decoded, generated = (out.stdout for command, out in transcript.items() if command.startswith("rnnbench generate"))
    assert decoded.startswith("source   Jesus saith")
    assert "\ndecoded " in decoded
    assert generated.startswith("And God said")
    assert len(generated) == len("And God said") + 200 + 1


def test_the_packages_are_as_drawn() -> None:
    """Packages named in the README exist, and every package is named."""
    packages = {path.name for path in (ROOT / "rnnbench").iterdir() if (path / "__init__.py").exists()}
    table = README[README.index("| package |") :]
    assert packages == {name for name in re.findall(r"`(\w+)/`", table) if (ROOT / "rnnbench" / name).is_dir()}


def test_links_and_pictures_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target

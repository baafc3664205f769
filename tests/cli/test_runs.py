"""`rnnbench runs`: what it lists, shows, removes and refuses, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.refusals import printed_json, refused_line

from rnnbench.cli.main import main
from rnnbench.cli.sweep import _fingerprint
from rnnbench.config import DataConfig, Run
from rnnbench.runs import CHECKPOINT, LOG, STATUSES, WEIGHTS, RunDirectory, Start


def finish(run: Run, status: str = "done", study: str = "one", **more: Any) -> Path:
    """A run's folder below runs/, finished."""
    directory = RunDirectory(Path("runs"), study, run.id)
    with directory.opened(run.to_dict()):
        directory.append({"step": 50, "train/bpc": 2.5})
        directory.path(WEIGHTS).write_bytes(b"weights" * 100)
        directory.finish(run, status, Start(), {"test/bpc": 2.25}, {"commit": "c0ffee", "device": "cpu"}, **more)
    return directory.folder


def begin(run: Run, study: str = "one") -> Path:
    """A run's folder below runs/, given up."""
    directory = RunDirectory(Path("runs"), study, run.id)
    with directory.opened(run.to_dict()):
        directory.append({"step": 50})
        directory.append({"step": 100})
        directory.path(CHECKPOINT).write_text("x")
    return directory.folder


@pytest.fixture(autouse=True)
def runs_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """runs/ with a run of each status, two studies, and one run that was given up."""
    monkeypatch.chdir(tmp_path)
    for seed, status in enumerate(STATUSES):
        more = {} if status in ("done", "diverged") else {"error": f"Broken: {status}", "traceback": "Traceback\n  x"}
        finish(Run(seed=seed), status, **more)
    finish(Run(seed=0), study="two")
    begin(Run(seed=9))
    return tmp_path / "runs"


def listed(capsys: pytest.CaptureFixture[str], *argv: str) -> list[dict[str, Any]]:
    """The rows of a list."""
    rows: list[dict[str, Any]] = printed_json(capsys, "runs", "list", *argv)
    return rows


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    return refused_line(capsys, "runs", *argv, silent=False)


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    rows = listed(capsys)
    assert [(row["study"], row["id"]) for row in rows] == sorted((row["study"], row["id"]) for row in rows)
    assert sorted(row["status"] for row in rows) == sorted([*STATUSES, "done", "unfinished"])
    (given_up,) = [row for row in rows if row["status"] == "unfinished"]
    assert (given_up["step"], given_up["checkpoint"], given_up["value"]) == (100, True, None)
    assert all((row["metric"], row["value"]) == ("test/bpc", 2.25) for row in rows if row is not given_up)
    assert main(["runs", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + len(rows), "a header, and a line a run"
    assert any("Broken: oom" in line for line in lines)
    assert any("step 100, resumes from its checkpoint" in line for line in lines)


def test_the_list_is_filtered(capsys: pytest.CaptureFixture[str]) -> None:
    assert {row["status"] for row in listed(capsys, "--status", "failed,oom")} == {"failed", "oom"}
    assert [row["study"] for row in listed(capsys, "--study", "two")] == ["two"]
    assert len(listed(capsys, "runs/two", "runs/two", "runs")) == 7
    assert listed(capsys, "--study", "three") == []
    assert main(["runs", "list", "--study", "three"]) == 0
    assert 'unknown status "fialed". Did you mean "failed"?' in refused(capsys, "list", "--status", "fialed")
    assert "nowhere is not a folder" in refused(capsys, "list", "nowhere")


def test_what_is_running_is_said_and_not_removed(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(seed=8)
    directory = RunDirectory(Path("runs"), "one", run.id)
    with directory.opened(run.to_dict()):
        (row,) = listed(capsys, "--status", "running")
        assert row["holder"].startswith("process ")
        for argv in (("rm", run.id, "--yes"), ("rm", "--status", "running", "--yes")):
            assert "is being run by process" in refused(capsys, *argv)
        assert main(["runs", "verify"]) == 0
        assert "1 running" in capsys.readouterr().out
    assert directory.folder.is_dir()


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(data=DataConfig(seq_len=32), seed=3)
    folder = finish(run, "failed", error="ValueError: it broke", traceback="Traceback (most recent call last)\n  why")
    (folder / LOG).write_text("".join(f"line {i}\n" for i in range(99)))
    for name in (str(folder), run.id, run.id[-8:]):
        assert main(["runs", "show", name]) == 0
        out = capsys.readouterr().out
        for words in ("ValueError: it broke", "  why", "c0ffee", "test/bpc", "line 98"):
            assert words in out
        assert "line 70" not in out
    facts = printed_json(capsys, "runs", "show", run.id)
    assert facts["differs from the defaults"] == {"data": {"seq_len": 32}, "seed": 3}
    assert facts["as by default"]["data"]["batch_size"] == 32
    assert "seq_len" not in facts["as by default"]["data"]
    assert main(["runs", "show", Run(seed=9).id]) == 0
    assert "unfinished" in capsys.readouterr().out


def test_show_what_is_damaged(runs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is there to be looked into, so it is shown as far as it goes."""
    folder = finish(Run(seed=7))
    for name, content in (("result.json", b"{"), ("run.yaml", b"\xff\x00["), ("history.jsonl", b"\xff{")):
        (folder / name).write_bytes(content)
        assert main(["runs", "show", str(folder)]) == 0
        assert main(["runs", "list"]) == 0
    capsys.readouterr()
    assert main(["runs", "verify"]) == 1
    out = capsys.readouterr().out
    assert "cut short" in out
    assert "1 faulty; 2 faults" in out


def test_names_that_mean_nothing_or_too_much(capsys: pytest.CaptureFixture[str]) -> None:
    assert "means 7 runs (runs/one/lstm-kjv" in refused(capsys, "show", "lstm")
    assert "means 2 runs" in refused(capsys, "show", Run(seed=0).id)
    assert 'unknown run "lstm-kjv-T64-s33". Did you mean "lstm-kjv-T64-s' in refused(capsys, "show", "lstm-kjv-T64-s33")
    assert "no folder elsewhere" in refused(capsys, "show", "x", "--out", "elsewhere")
    assert "name the runs to remove" in refused(capsys, "rm")
    assert "required" in refused(capsys)


def test_rm_asks_for_yes_and_removes_the_mirror_too(runs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(seed=9)
    mirror = runs_folder / "one" / "wandb" / f"offline-run-20261127_120000-{run.id}"
    other = runs_folder / "one" / "wandb" / f"offline-run-20261127_120000-{Run(seed=0).id}"
    for folder in (mirror, other):
        folder.mkdir(parents=True)
        (folder / "run.wandb").write_text("x")
    before = sorted(runs_folder.rglob("*"))
    assert "nothing was removed; the same command with --yes removes 1 run." in refused(capsys, "rm", run.id)
    assert sorted(runs_folder.rglob("*")) == before
    assert main(["runs", "rm", run.id, "--yes"]) == 0
    gone = [path for path in before if not path.exists()]
    assert gone
    assert all(run.id in str(path) for path in gone)
    assert not mirror.exists()
    assert other.exists()


def test_rm_spares_what_is_finished(runs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unless it is named, or its status is."""
    done = Run(seed=0).id
    assert "give the whole id" in refused(capsys, "rm", Run(seed=1).id[:-1], "--yes")
    assert main(["runs", "rm", "runs", "--yes"]) == 0
    assert len(listed(capsys)) == 6, "the unfinished one alone is gone"
    assert main(["runs", "rm", "--status", "failed,oom", "--yes"]) == 0
    assert {row["status"] for row in listed(capsys)} == {"done", "diverged", "timeout"}
    assert main(["runs", "rm", f"runs/one/{done}", "--yes"]) == 0
    assert [row["study"] for row in listed(capsys) if row["id"] == done] == ["two"]
    assert main(["runs", "rm", "--status", "oom", "--yes"]) == 0
    assert "nothing to remove" in capsys.readouterr().out


def test_verify(runs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "verify"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "7 runs: 6 unchanged, 1 unfinished; no fault"
    weights = runs_folder / "two" / Run(seed=0).id / "model.pt"
    weights.write_bytes(weights.read_bytes()[:-1] + b"S")
    assert main(["runs", "verify"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (edited,) = [line for line in lines if line.startswith("edited")]
    assert edited.startswith(f"edited      runs/two/{Run(seed=0).id}: model.pt is not the file")
    assert lines[-1] == "7 runs: 5 unchanged, 1 unfinished, 1 faulty; 1 fault"
    assert main(["runs", "verify", "--without_weights"]) == 0
    capsys.readouterr()
    assert main(["runs", "verify", "runs/two", "--json"]) == 1
    assert [one["kind"] for one in json.loads(capsys.readouterr().out)["findings"]] == ["edited"]


def test_pack_and_unpack(runs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A study that is done becomes three files and back; what would lose something is refused."""
    assert "is not done: 1 run without a result" in refused(capsys, "pack", "runs")
    assert main(["runs", "rm", "--status", "unfinished", "--yes"]) == 0
    assert "would lose model.pt" in refused(capsys, "pack", "runs")
    before = listed(capsys)
    assert main(["runs", "pack", "runs", "--out", "elsewhere"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"packed {len(STATUSES)} runs in elsewhere/one",
        "packed 1 run in elsewhere/two",
    ]
    assert main(["runs", "pack", "runs", "--without_weights"]) == 0
    for name in ("one", "two"):
        files = {path.name: path.read_bytes() for path in (runs_folder / name).iterdir()}
        assert files.keys() == {"runs.jsonl.xz", "curves.npz", "SHA256SUMS"}
        assert files == {path.name: path.read_bytes() for path in (Path("elsewhere") / name).iterdir()}
    capsys.readouterr()
    assert [(row["id"], row["status"], row["value"]) for row in listed(capsys)] == [
        (row["id"], row["status"], row["value"]) for row in before
    ]
    assert _fingerprint(runs_folder / "one"), "a sweep sees that there are results, and shows them"
    assert main(["runs", "show", f"runs/two/{Run(seed=0).id}"]) == 0
    assert "is packed; `rnnbench runs unpack runs/two` first" in refused(capsys, "rm", f"runs/two/{Run(seed=0).id}")
    assert main(["runs", "verify"]) == 0
    with (runs_folder / "two" / "runs.jsonl.xz").open("ab") as file:
        file.write(b" ")
    assert main(["runs", "verify"]) == 1
    assert "edited      runs/two/runs.jsonl.xz" in capsys.readouterr().out
    for argv in (["runs", "list"], ["report", "runs"], ["runs", "unpack", "runs/two"]):
        assert main(argv) == 2
        assert "runs/two/runs.jsonl.xz was edited" in capsys.readouterr().err
    assert main(["runs", "unpack", "runs/one", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["unpacked"][0]["runs"] == sum(row["study"] == "one" for row in before)
    assert "there is no pack below runs/one" in refused(capsys, "unpack", "runs/one")
    assert "nowhere is not a folder" in refused(capsys, "unpack", "nowhere")


def test_studies_of_one_name_are_not_mixed(runs_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Packs of several presets or machines have the same folder name; one --out is not for two."""
    assert main(["runs", "pack", "runs/two", "--out", "a"]) == main(["runs", "pack", "runs/two", "--out", "b"]) == 0
    both = "would both go to c/two"
    assert both in refused(capsys, "unpack", "a", "b", "--out", "c")
    assert main(["runs", "unpack", "a", "b"]) == 0
    assert both in refused(capsys, "pack", "a", "b", "--out", "c")
    assert main(["runs", "pack", "runs/two", "--out", "c"]) == 0
    before = {path: path.read_bytes() for path in Path("c").rglob("*") if path.is_file()}
    assert "c/two has a pack already" in refused(capsys, "pack", "a", "--out", "c")
    assert before == {path: path.read_bytes() for path in Path("c").rglob("*") if path.is_file()}


def test_a_thousand_runs_are_listed_without_torch(runs_folder: Path) -> None:
    for seed in range(10, 1010):
        folder = runs_folder / "many" / f"lstm-kjv-T64-s{seed}-00000000"
        folder.mkdir(parents=True)
        values = {"id": folder.name, "kind": "train", "status": "done", "run": Run(seed=seed).to_dict()}
        (folder / "result.json").write_text(json.dumps(values | {"metrics": {"test/bpc": 2.0}, "seconds": 3.0}))
    code = "import sys, rnnbench.cli.main as m; s = m.main(['runs', 'list']); sys.exit(s or 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1008

"""Whatever is changed, cut, removed, renamed or left behind in a run directory is found."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rnnbench.config import PROTOCOL, CellConfig, DataConfig, ModelConfig, Run
from rnnbench.config.timing import Timing
from rnnbench.runs import (
    CHECKPOINT,
    CONFIG,
    CURVES,
    HISTORY,
    LOG,
    RESULT,
    SAMPLE,
    SAMPLES,
    WEIGHTS,
    RunDirectory,
    Start,
)
from rnnbench.runs.files import CHECKSUMMED, facts_sha256
from rnnbench.runs.scan import packs_below, scan
from rnnbench.runs.verify import Problem, verify, verify_pack

METRICS = {"test/bpc": 2.25, "init/half_life": float("inf"), "model/parameters": 123_456, "tiny": 1e-300, "no": -0.0}


def make(root: Path, run: Run | Timing, status: str = "done", **more: Any) -> Path:
    """A finished run with every file that there is, without training."""
    directory = RunDirectory(root, "study", run.id)
    with directory.opened(run.to_dict()):
        for step in (50, 100):
            directory.append({"step": step, "train/bpc": 1 / step, "by_number": {10: 1, 9: 2}})
        directory.write_curves({"init/gradient_flow": [0.0, -0.5, -1.0]})
        directory.path(WEIGHTS).write_bytes(bytes(range(256)) * 8)
        directory.path(SAMPLES).write_text("[]")
        directory.path(SAMPLE).write_text("a▌b\n")
        directory.path(LOG).write_text("some words\n")
        directory.finish(run, status, Start(), {**METRICS, "by_number": {10: 1, 9: 2}}, {"commit": "ä"}, **more)
    return directory.folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that no test changes."""
    run = Run(CellConfig("lstm", {"forget_bias": 3.0}), data=DataConfig(path="ünï.txt"), seed=5)
    return make(tmp_path_factory.mktemp("finished"), run)


@pytest.fixture
def folder(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "study" / finished.name))


def found(folder: Path, weights: bool = True) -> list[Problem]:
    """What verify says of the runs below a folder."""
    return [one for run in scan([folder]) for one in verify(run, weights)]


def kinds(folder: Path) -> set[str]:
    return {one.kind for one in found(folder)}


def test_what_nobody_touched_has_no_fault(folder: Path, tmp_path: Path) -> None:
    make(tmp_path / "runs", Timing(), more={1: 2})
    make(tmp_path / "runs", Run(seed=9), "diverged")
    assert found(tmp_path) == []


@pytest.mark.parametrize("name", CHECKSUMMED)
def test_a_checksummed_file_edited_cut_and_deleted(folder: Path, name: str) -> None:
    path, whole = folder / name, (folder / name).read_bytes()
    path.write_bytes(whole[:-1])
    assert "cut short" in kinds(folder)
    path.write_bytes(whole + b"\n")
    assert "edited" in kinds(folder)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "edited" in kinds(folder)
    path.unlink()
    assert "missing" in kinds(folder)
    path.write_bytes(whole)
    assert found(folder) == []


@settings(max_examples=300, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_byte_of_any_file(finished: Path, data: st.DataObject) -> None:
    """One byte anywhere, to any other value: found, and named for what file it is in."""
    path = finished / data.draw(st.sampled_from((RESULT, *CHECKSUMMED)))
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    try:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :])
        assert any(one.fault and path.name in one.what for one in found(finished))
        path.write_bytes(whole[:place])
        assert any(one.fault and path.name in one.what for one in found(finished))
    finally:
        path.write_bytes(whole)


def numbers(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the numbers are in nested plain values."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(item, (*at, key))
    elif isinstance(value, int | float):
        yield at


def test_any_number_of_a_result(folder: Path) -> None:
    """Written as the program itself would have written it."""
    path = folder / RESULT
    places = list(numbers(json.loads(path.read_text())))
    assert len(places) > 30
    whole = path.read_bytes()
    for *above, last in places:
        result = inner = json.loads(whole)
        for key in above:
            inner = inner[key]
        inner[last] = not inner[last] if isinstance(inner[last], bool) else inner[last] + 1
        path.write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
        assert "edited" in kinds(folder), (above, last)


@pytest.mark.parametrize(
    ("was", "now"), [(b" ", b"\t"), (b"\n", b" "), (b"1e-300", b"1E-300"), (b'"id"', b'"\\u0069d"')]
)
def test_what_changes_no_fact_of_a_result(folder: Path, was: bytes, now: bytes) -> None:
    """A reader would see no difference; the file is not the one that was written all the same."""
    whole = (folder / RESULT).read_bytes()
    (folder / RESULT).write_bytes(whole.replace(was, now, 1))
    assert json.loads((folder / RESULT).read_bytes()) == json.loads(whole)
    assert kinds(folder) == {"edited"}


@pytest.mark.parametrize("keys", [("seal",), ("files",), ("seal", "files")])
def test_checksums_that_were_removed(folder: Path, keys: tuple[str, ...]) -> None:
    """Half of it is a fault; without any it is a result of old, which is not as it was finished either."""
    result = json.loads((folder / RESULT).read_text())
    (folder / RESULT).write_text(json.dumps({k: v for k, v in result.items() if k not in keys}, indent=1))
    assert ("edited" if len(keys) == 1 else "without checksums") in kinds(folder)


def test_a_renamed_folder(folder: Path) -> None:
    moved = folder.rename(folder.with_name("gru-kjv-T64-s0-12345678"))
    assert kinds(moved) == {"renamed"}


def test_another_runs_files(folder: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "other", Run(seed=1))
    shutil.copy(other / CONFIG, folder / CONFIG)
    assert kinds(folder) == {"edited", "renamed"} or kinds(folder) == {"cut short", "renamed"}
    shutil.rmtree(folder)
    shutil.copytree(other, folder)
    assert kinds(folder) == {"renamed"}, "its checksums are right, but it is not the run that its name says"


def left_part(folder: Path) -> None:
    (folder / "result.jsonabc.part").write_text("{")


def left_checkpoint(folder: Path) -> None:
    (folder / CHECKPOINT).write_text("x")


def left_lock(folder: Path) -> None:
    from rnnbench.runs.lock import this_machine

    holder = {"host": "here", "pid": 2**22 + 1, "born": "1", "machine": this_machine(), "id": "x"}
    (folder / ".lock-000001").write_text(json.dumps(holder))


def left_file(folder: Path) -> None:
    (folder / "notes.txt").write_text("x")


@pytest.mark.parametrize("leave", [left_part, left_checkpoint, left_lock, left_file])
def test_what_lies_beside_a_result(folder: Path, leave: Callable[[Path], None]) -> None:
    leave(folder)
    assert kinds(folder) == {"orphaned"}


def test_a_run_that_took_too_long_keeps_its_checkpoint(tmp_path: Path) -> None:
    folder = make(tmp_path, Run(), "timeout", error="too long")
    left_checkpoint(folder)
    assert found(folder) == []


def of_protocol_one(folder: Path, job: Run | Timing) -> Path:
    """The folder as the first protocol left it: its name, and in its result no word of a protocol."""
    result = json.loads((folder / RESULT).read_text())
    assert result.pop("protocol") == PROTOCOL == 2
    result["id"] = job.id_under(1)
    result["seal"] = facts_sha256({key: value for key, value in result.items() if key != "seal"})
    (folder / RESULT).write_text(json.dumps(result, indent=1, ensure_ascii=False), encoding="utf-8")
    return folder.rename(folder.with_name(job.id_under(1)))


@pytest.mark.parametrize("job", [Run(seed=3), Timing(seq_len=3)], ids=["run", "timing"])
def test_results_of_the_first_protocol_have_no_fault(job: Run | Timing, tmp_path: Path) -> None:
    """They bear the name that they had; under the new one they would pass for new."""
    folder = of_protocol_one(make(tmp_path, job), job)
    assert job.id_under(1) != job.id == job.id_under(2)
    assert found(folder) == []
    assert kinds(folder.rename(folder.with_name(job.id))) == {"renamed"}


def test_a_result_that_claims_another_protocol(folder: Path) -> None:
    result = json.loads((folder / RESULT).read_text())
    (folder / RESULT).write_text(json.dumps({**result, "protocol": 1}, indent=1, ensure_ascii=False), encoding="utf-8")
    assert kinds(folder) == {"edited", "renamed"}


def test_a_run_that_was_begun_under_the_first_protocol_is_no_fault(tmp_path: Path) -> None:
    """It does not say under which: its name does."""
    run = Run(model=ModelConfig(hidden_size=3))
    for name in (run.id_under(1), run.id):
        with RunDirectory(tmp_path, "study", name).opened(run.to_dict()):
            pass
    assert [(one.kind, one.fault) for one in found(tmp_path)] == [("unfinished", False)] * 2


def test_leftovers_of_no_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "study" / "run"
    folder.mkdir(parents=True)
    (folder / HISTORY).write_text("")
    assert kinds(tmp_path) == {"orphaned"}


def test_runs_under_way_are_no_fault(tmp_path: Path) -> None:
    run = Run(model=ModelConfig(hidden_size=3))
    directory = RunDirectory(tmp_path, "study", run.id)
    with directory.opened(run.to_dict()):
        (one,) = found(tmp_path)
        assert (one.kind, one.fault) == ("running", False)
        assert str(os.getpid()) in one.what
    (one,) = found(tmp_path)
    assert (one.kind, one.fault) == ("unfinished", False)
    assert "without a checkpoint" in one.what
    left_checkpoint(directory.folder)
    left_lock(directory.folder)
    (one,) = found(tmp_path)
    assert "with a checkpoint" in one.what
    assert "is dead" in one.what
    directory.folder.rename(directory.folder.with_name("renamed"))
    assert kinds(tmp_path) == {"unfinished", "renamed"}


def test_a_result_that_was_deleted(folder: Path) -> None:
    """Nobody who was killed leaves weights, and neither a lock nor a checkpoint."""
    (folder / RESULT).unlink()
    assert kinds(folder) == {"missing"}


def test_without_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    assert found(folder, weights=False) == []
    (folder / WEIGHTS).write_text("x")
    assert found(folder, weights=False) == []
    assert kinds(folder) == {"cut short"}


def without_checksums(folder: Path) -> None:
    result = json.loads((folder / RESULT).read_text())
    result["run"]["budget"] = {"steps": 100}
    run = Run.from_dict(result["run"])
    (folder / CONFIG).write_text(json.dumps(run.to_dict()))
    plain = {**result, "id": run.id, "run": run.to_dict()}
    (folder / RESULT).write_text(json.dumps({k: v for k, v in plain.items() if k not in ("seal", "files")}))
    folder.rename(folder.with_name(run.id))


def test_a_result_without_checksums(folder: Path) -> None:
    without_checksums(folder)
    top = folder.parent
    (folder,) = top.iterdir()
    assert kinds(top) == {"without checksums"}
    history = (folder / HISTORY).read_text()
    for damaged, kind in (
        (history[:-3], "cut short"),
        (history.splitlines(keepends=True)[0], "cut short"),
        (history + '{"step": 150}\n', "edited"),
    ):
        (folder / HISTORY).write_text(damaged)
        assert kinds(top) == {"without checksums", kind}
    (folder / HISTORY).write_text(history)
    (folder / CURVES).write_bytes((folder / CURVES).read_bytes()[:-5])
    assert kinds(top) == {"without checksums", "cut short"}
    (folder / CURVES).unlink()
    assert kinds(top) == {"without checksums", "missing"}


def test_the_committed_results_have_no_fault() -> None:
    results = Path(__file__).resolve().parents[2] / "experiments" / "results"
    packs = packs_below([results])
    assert len(packs) >= 16
    assert not [fault for pack in packs for fault in verify_pack(pack)]
    runs = scan([results])
    assert len(runs) > 1000
    assert not [one for run in runs for one in verify(run, weights=False)]

"""A pack gives back what the run directories held, and one that was edited or cut short is refused by name."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rnnbench.config import CellConfig, DataConfig, Run
from rnnbench.errors import UserError
from rnnbench.report.results import read
from rnnbench.runs import (
    CURVES,
    RESULT,
    SAMPLE,
    SAMPLES,
    RunDirectory,
    Start,
    StudyFile,
    read_study,
    write_study,
)
from rnnbench.runs.packs import PACK, SUMS, fault_of, pack_of, read_text, remove_packed, unpack, write_pack
from rnnbench.runs.run_directory import read_history, read_result
from rnnbench.runs.scan import packs_below, run_at, scan
from rnnbench.runs.verify import verify, verify_pack

RUNS = [Run(CellConfig("lstm", {"forget_bias": 3.0}), data=DataConfig(path="ünï.txt"), seed=seed) for seed in range(3)]
CURVE = np.linspace(0, -700, 7)


def finish(root: Path, run: Run, **metrics: Any) -> Path:
    """A finished run directory with every file that is packed, without training."""
    directory = RunDirectory(root, "study", run.id)
    with directory.opened(run.to_dict()):
        for step in (1, 2):
            directory.append({"step": step, "train/bpc": 1 / step, "lost": float("inf")})
        curves = {"init/gradient_flow": CURVE + run.seed, "sizes": np.arange(run.seed + 1), "grad_norm": np.ones(9)}
        directory.write_curves(curves)
        directory.path(SAMPLES).write_text('[{"read": "ä"}]')
        directory.path(SAMPLE).write_text("a▌b\n")
        directory.finish(
            run, "done", Start(), {"test/bpc": 2.25, "half_life": float("inf"), **metrics}, {"commit": "ä"}
        )
    return directory.folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A study's folder with three runs."""
    for run in RUNS:
        finish(tmp_path, run)
    write_study(tmp_path / "study", StudyFile("why?"))
    return tmp_path / "study"


def pack(study: Path) -> list[Path]:
    """Pack a study in its own folder; returns the run directories that there were."""
    folders = [run.folder for run in scan([study]) if not run.packed]
    write_pack(study, study, folders)
    remove_packed(study, folders)
    return folders


def facts(folder: Path) -> dict[str, Any]:
    """What a reader learns of a run, but for its checksums."""
    result = read_result(folder)
    assert result is not None
    texts = {name: read_text(folder, name) for name in (SAMPLES, SAMPLE)}
    return {
        "result": {k: v for k, v in result.items() if k not in ("files", "seal")},
        "history": read_history(folder),
    } | texts


def test_a_pack_holds_what_the_run_directories_held(study: Path) -> None:
    before = {path: facts(path) for path in study.iterdir() if path.is_dir()}
    described, figures = read_study(study), [(one.id, one.metrics, list(one.history())) for one in read([study])]
    pack(study)
    assert sorted(path.name for path in study.iterdir()) == sorted([PACK, CURVES, SUMS])
    assert {path: facts(path) for path in before} == before
    assert read_study(study) == described
    after = read([study])
    assert [(one.id, one.metrics, list(one.history())) for one in after] == figures
    for one, run in zip(after, sorted(RUNS, key=lambda run: run.id), strict=True):
        flow = one.curve("init/gradient_flow")
        assert flow is not None
        np.testing.assert_allclose(flow, CURVE + run.seed, rtol=2**-24)
        assert one.curve_names == {"init/gradient_flow", "sizes"}, "the norm of every step's gradient is left out"
    assert [(run.id, run.status, run.packed) for run in scan([study])] == [(one.id, "done", True) for one in after]
    assert [one for run in scan([study]) for one in verify(run)] == verify_pack(study) == []


def test_checksums_are_as_sha256sum_reads_them(study: Path) -> None:
    pack(study)
    subprocess.run(["sha256sum", "--check", "--strict", SUMS], cwd=study, check=True, capture_output=True)


def test_the_same_runs_give_the_same_bytes(study: Path, tmp_path: Path) -> None:
    folders = [run.folder for run in scan([study])]
    for name in ("one", "two"):
        write_pack(study, tmp_path / name, folders)
    assert [(tmp_path / "one" / name).read_bytes() for name in (PACK, CURVES, SUMS)] == [
        (tmp_path / "two" / name).read_bytes() for name in (PACK, CURVES, SUMS)
    ]


def test_unpacked_run_directories_are_whole(study: Path, tmp_path: Path) -> None:
    before = {path.name: facts(path) for path in study.iterdir() if path.is_dir()}
    pack(study)
    assert unpack(study, tmp_path / "elsewhere") == len(RUNS)
    assert pack_of(study) is not None
    assert unpack(study, study) == len(RUNS)
    assert pack_of(study) is None
    for top in (study, tmp_path / "elsewhere"):
        assert {run.id: facts(run.folder) for run in scan([top])} == before
        assert not [one for run in scan([top]) for one in verify(run)]
        assert read_study(top).question == "why?"


def test_unpacking_goes_on_where_it_was_killed(study: Path) -> None:
    pack(study)
    first = pack_of(study)
    assert first is not None
    (study / next(iter(first.runs))).mkdir()  # killed before its result
    assert unpack(study, study) == len(RUNS)


def test_a_run_directory_takes_the_place_of_a_packed_run(study: Path, tmp_path: Path) -> None:
    pack(study)
    finish(tmp_path, RUNS[0], **{"test/bpc": 1.0})
    finish(tmp_path, Run(seed=9))
    assert {one.id: one.metrics["test/bpc"] for one in read([study])}[RUNS[0].id] == 1.0
    assert len(scan([study])) == len(RUNS) + 1
    pack(study)
    assert {one.id: one.metrics["test/bpc"] for one in read([study])}[RUNS[0].id] == 1.0
    assert len(scan([study])) == len(RUNS) + 1
    assert sorted(path.name for path in study.iterdir()) == sorted([PACK, CURVES, SUMS])


def test_a_packed_run_that_is_tried_again_is_unfinished(study: Path) -> None:
    pack(study)
    directory = RunDirectory(study.parent, "study", RUNS[0].id)
    known = directory.result()
    assert known is not None
    directory.withdraw(known)
    assert directory.result() is None
    assert run_at(directory.folder) is not None
    assert [run.status for run in scan([study])].count("unfinished") == 1


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_byte_of_a_pack(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Changed or cut off: the report refuses it by name, and `verify` says what it is."""
    top = tmp_path_factory.getbasetemp() / "any_byte"
    if not top.exists():
        for run in RUNS:
            finish(top, run)
        pack(top / "study")
    path = top / "study" / data.draw(st.sampled_from((PACK, CURVES, SUMS)))
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 2))
    try:
        changed = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
        for content in (changed, whole[:at]):
            path.write_bytes(content)
            with pytest.raises(UserError, match=f"the pack .*({path.name}|{PACK}|{CURVES})"):
                read([top])
            assert [one.fault for one in verify_pack(top / "study")] == [True]
            assert packs_below([top]) == [top / "study"]
    finally:
        path.write_bytes(whole)
    assert fault_of(top / "study") is None


@pytest.mark.parametrize("name", [PACK, CURVES, SUMS])
def test_a_missing_file(study: Path, name: str) -> None:
    pack(study)
    (study / name).unlink()
    with pytest.raises(UserError, match=name):
        scan([study])
    assert [one.kind for one in verify_pack(study)] == ["missing"]


def test_a_cut_file_is_said_to_be_cut_short(study: Path) -> None:
    pack(study)
    for name in (PACK, CURVES):
        whole = (study / name).read_bytes()
        (study / name).write_bytes(whole[: len(whole) // 2])
        assert [(one.kind, one.folder.name) for one in verify_pack(study)] == [("cut short", name)]
        (study / name).write_bytes(whole)


def test_another_format_is_refused(study: Path) -> None:
    import lzma

    pack(study)
    head, *rest = lzma.decompress((study / PACK).read_bytes()).splitlines(keepends=True)
    data = lzma.compress(json.dumps({**json.loads(head), "format": 2}).encode() + b"\n" + b"".join(rest))
    (study / PACK).write_bytes(data)
    lines = (study / SUMS).read_text().splitlines()
    (study / SUMS).write_text(f"{hashlib.sha256(data).hexdigest()}  {PACK}\n{lines[1]}\n")
    with pytest.raises(UserError, match="format 2"):
        read([study])


@pytest.mark.parametrize("done", range(3))
def test_killed_between_the_files_of_a_new_pack(study: Path, tmp_path: Path, done: int) -> None:
    """The next `pack` puts the rest in place; before it, what is mixed is refused."""
    folders = [run.folder for run in scan([study])]
    write_pack(study, study, folders[:1])
    write_pack(study, tmp_path / "new", folders)
    for at, name in enumerate((PACK, CURVES, SUMS)):
        shutil.copy(tmp_path / "new" / name, study / (name if at < done else f"{name}.new"))
    assert (fault_of(study) is None) is (done == 0)
    assert write_pack(study, study, folders) == len(RUNS)
    assert not list(study.glob("*.new"))
    assert (study / RESULT).exists() is False


def test_a_write_that_was_cut_off_in_a_studys_folder_hides_no_run(study: Path) -> None:
    (study / f"{PACK}.newabc.part").write_bytes(b"x")
    assert len(scan([study])) == len(RUNS)

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.wandb_runs import REFUSED, inspected, own_environment

from rnnbench.errors import UserError
from rnnbench.tracking import WandbMirror, has_key, log_summary, mode_from_environment, server, session
from rnnbench.tracking.mirror import flat_keys

CONFIG: dict[str, Any] = {
    "cell": {"name": "lstm", "forget_bias": 3.0},
    "data": {"name": "kjv", "seq_len": 64},
    "seed": 0,
}
RUN_ID = "lstm-kjv-T64-s0-1f2e3d4c"
CURVES = {"init/gradient_flow": -0.5 * np.arange(65.0), "final/gradient_flow": -0.1 * np.arange(65.0)}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No key, no server, no home folder of the developer's, and no leftovers of another test."""
    monkeypatch.setattr(session, "_out_of_reach", False)
    with own_environment(tmp_path / "home"):
        yield


def rows(steps: int) -> list[dict[str, Any]]:
    return [{"step": 50 * i, "tokens": 102_400 * i, "train/bpc": 5.0 - 0.1 * i} for i in range(steps)]


def mirrored(
    folder: Path, history: list[dict[str, Any]], metrics: dict[str, Any], curves: dict[str, Any], mode: str = "offline"
) -> WandbMirror:
    """A whole run in a folder of its own."""
    folder.mkdir(exist_ok=True)
    mirror = WandbMirror()
    mirror.open(folder, "seqlen", RUN_ID, CONFIG, mode)
    mirror.rows(history)
    mirror.finish(metrics, curves)
    return mirror


def inspect(folder: Path) -> list[dict[str, Any]]:
    """The records of the one offline run below a folder."""
    (run,) = (folder / "wandb").glob("offline-run-*")
    return inspected(run)


def history(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    items = [record["history"]["item"] for record in records if record["type"] == "history"]
    return [item for item in items if "train/bpc" in item or "val/bpc" in item]


def test_a_run_is_mirrored_offline_and_read_back(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    metrics = {"test/bpc": 2.2, "init/hundredth_lag": "inf", "absent": None}
    mirror = mirrored(tmp_path, [*rows(3), {"step": 150, "val/bpc": 2.5}], metrics, CURVES)
    mirror.row({"step": 200})  # after the end: nothing
    records = inspect(tmp_path)
    about = next(record["run"] for record in records if record["type"] == "run")
    assert about["run_id"] == about["display_name"] == RUN_ID
    assert about["run_group"] == "seqlen"
    assert about["job_type"] == "lstm(forget_bias=3)"
    assert about["project"] == "rnnbench"
    assert about["config"]["update"]["data"] == {"name": "kjv", "seq_len": 64}
    flat = {"study": "seqlen", "cell_label": "lstm(forget_bias=3)", "dataset": "kjv", "seq_len": 64}
    assert {key: about["config"]["update"][key] for key in flat} == flat
    assert [item["step"] for item in history(records)] == [0, 50, 100, 150]
    assert history(records)[3]["val/bpc"] == 2.5
    assert any(r["type"] == "metric" and r["metric"].get("step_metric") == "step" for r in records)
    updates = [record["summary"].get("update", {}) for record in records if record["type"] == "summary"]
    found = {key: value for update in updates for key, value in update.items()}
    assert (found["test/bpc"], found["init/hundredth_lag"]) == (2.2, "inf")
    (table,) = (tmp_path / "wandb").glob("offline-run-*/files/media/table/*.json")
    values = json.loads(table.read_text())
    assert len(values["data"]) == 2 * 65
    assert {row[1] for row in values["data"]} == {"init", "end"}
    out = capfd.readouterr()
    assert out.out + out.err == ""
    assert not list((tmp_path / "home").rglob("*.json"))  # nothing staged in the home folder


def test_gradient_flow_along_the_training_is_a_picture(tmp_path: Path) -> None:
    """Which is there in full: its upper left, long lags before training, is dark, its lower right is not."""
    from PIL import Image

    rates = np.linspace(-2.0, -0.001, 6)[:, None]
    along = {"along/step": np.arange(0, 60, 10), "along/gradient_flow": rates * np.arange(64.0)}
    mirrored(tmp_path, [], {}, CURVES | along)
    (path,) = (tmp_path / "wandb").glob("offline-run-*/files/media/images/*.png")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), float)
    height, width = pixels.shape[:2]
    before, after = pixels[height // 8, width // 4], pixels[height // 2, width * 5 // 8]
    assert before.sum() < 0.5 * after.sum()
    mirrored(tmp_path / "single", [], {}, {name: values[:1] for name, values in along.items()})
    assert not list((tmp_path / "single").rglob("*.png"))


def test_a_resumed_run_leaves_one_folder_with_the_whole_history(tmp_path: Path) -> None:
    mirrored(tmp_path, rows(2), {}, {})  # as if killed here
    mirrored(tmp_path, rows(5), {"test/bpc": 2.0}, {})
    assert [item["step"] for item in history(inspect(tmp_path))] == [0, 50, 100, 150, 200]


def test_disabled_does_not_even_import_wandb(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from rnnbench.tracking import WandbMirror, log_summary; m = WandbMirror()\n"
        "m.open(pathlib.Path(sys.argv[1]), 's', 'r', {'cell': 'lstm'}, 'disabled'); m.rows([{'step': 1}])\n"
        "m.finish({}, {}); log_summary(pathlib.Path(sys.argv[1]), 's', [], [], 'disabled')\n"
        "assert 'wandb' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []


def test_online_without_a_key_falls_back_to_offline_and_says_so_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        mirrored(tmp_path / name, rows(2), {"test/bpc": 2.0}, {}, "online")
        assert len(history(inspect(tmp_path / name))) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "wandb login" in line
    assert "wandb sync" in line


def test_online_without_a_server_falls_back_to_offline_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    monkeypatch.setattr(session, "INIT_SECONDS", 2.0)
    start = time.monotonic()
    mirrored(tmp_path, rows(4), {"test/bpc": 2.0}, CURVES, "online")
    assert time.monotonic() - start < 20
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert f"wandb sync {tmp_path}" in line
    assert len(history(inspect(tmp_path))) == 4


def test_a_failure_inside_wandb_says_one_line_and_falls_silent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("no space\nleft on device")

    monkeypatch.setattr(session, "_init", broken)
    mirrored(tmp_path, rows(3), {}, CURVES)
    log_summary(tmp_path, "seqlen", [], [], "offline")
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2  # one from the mirror, one from the summary
    assert all("no space left on device" in line for line in lines)


def test_a_summary_has_tables_and_figures_and_replaces_the_last(tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    picture = tmp_path / "overview.png"
    Figure(figsize=(1, 1)).savefig(picture)
    table = ("table", ["cell", "T", "bpc"], [["lstm", 64, 2.1], ["gru", None, "–"]])
    for _ in range(2):
        log_summary(tmp_path, "seqlen", [table], [picture, tmp_path / "overview.svg"], "offline")
    records = inspect(tmp_path)
    about = next(record["run"] for record in records if record["type"] == "run")
    assert (about["run_id"], about["job_type"]) == ("seqlen-summary", "summary")
    (stored,) = (tmp_path / "wandb").glob("offline-run-*/files/media/table/*.json")
    assert json.loads(stored.read_text())["data"] == [["lstm", 64, 2.1], ["gru", None, "–"]]
    assert len(list((tmp_path / "wandb").glob("offline-run-*/files/media/images/*.png"))) == 1


@pytest.mark.parametrize(
    ("asked", "found", "mode"),
    [(None, None, "offline"), (None, "online", "online"), (None, "disabled", "disabled"), (None, "dryrun", "offline"),
     ("offline", "online", "offline"), ("disabled", None, "disabled")],
)  # fmt: skip
def test_the_flag_wins_over_the_environment(
    asked: str | None, found: str | None, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if found is not None:
        monkeypatch.setenv("WANDB_MODE", found)
    assert mode_from_environment(asked) == mode
    with pytest.raises(UserError, match='offline, online, disabled, got "on"'):
        mode_from_environment("on")


@pytest.mark.parametrize(
    ("config", "keys"),
    [
        ({"cell": "gru", "data": {"name": "kjv", "path": None, "seq_len": 16}},
         {"cell_label": "gru", "dataset": "kjv", "seq_len": 16}),
        ({"cell": {"name": "lstm", "forget_bias": 3.0}, "data": {"name": "text", "path": "/a/b.txt", "seq_len": 8}},
         {"cell_label": "lstm(forget_bias=3)", "dataset": "b", "seq_len": 8}),
        ({"cells": ["gru", "lstm"], "seq_len": 64}, {}),
    ],
)  # fmt: skip
def test_what_dashboards_group_by_has_keys_of_one_word(config: dict[str, Any], keys: dict[str, Any]) -> None:
    assert flat_keys("s", config) == {"study": "s", **keys}


def test_a_key_for_the_server_that_is_asked_for_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (server(), has_key()) == (REFUSED, False)
    netrc = tmp_path / "home" / ".netrc"
    netrc.parent.mkdir(exist_ok=True)
    netrc.write_text(f"machine 127.0.0.1:9 login user password {'0123456789' * 4}\n")
    netrc.chmod(0o600)
    assert has_key()
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:10")
    assert not has_key()
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)
    assert has_key()

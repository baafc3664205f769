from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnbench.config import PROTOCOL
from rnnbench.errors import UserError
from rnnbench.report.results import read
from rnnbench.report.tables.training import tables


def test_a_runs_folder_a_study_and_a_run_are_all_read(text_study: Path) -> None:
    everything = read([text_study.parent])
    assert len(everything) == 45
    assert read([text_study]) == everything
    assert read([text_study, text_study.parent]) == everything  # each run once
    one = everything[0]
    assert read([one.folder]) == [one]
    assert one.study == "seqlen"


def test_infinity_and_missing_values(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    odd = {"init/log10_gain_at_last_lag": "-inf", "a": None, "b": "nan", "c": "word", "d": 3}
    text_run(tmp_path / "s", "gru", 64, 0, metrics=odd)
    (result,) = read([tmp_path])
    assert result.number("final/hundredth_lag") == math.inf
    assert result.number("init/log10_gain_at_last_lag") == -math.inf
    assert [result.number(name) for name in ("a", "b", "c", "absent")] == [None] * 4
    assert result.number("d") == 3.0
    assert (result.cell, result.data, result.seq_len) == ("gru", "kjv", 64)


@pytest.mark.parametrize(
    "broken",
    ["", "{", "[]", "null", '{"id": "x"}', '{"id": "x", "kind": "train", "status": "done", "run": {}, "metrics": {}}'],
)
def test_an_unreadable_result_is_skipped_with_one_line(
    text_study: Path, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    victim = read([text_study])[7]
    (victim.folder / "result.json").write_text(broken)
    left = read([text_study])
    assert len(left) == 44
    assert victim.id not in {result.id for result in left}
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert str(victim.folder) in lines[0]


def test_an_unknown_status_is_not_taken_for_done(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    folder = text_run(tmp_path / "s", "gru", 64, 0)
    text_run(tmp_path / "s", "gru", 64, 1)
    values = json.loads((folder / "result.json").read_text())
    (folder / "result.json").write_text(json.dumps(values | {"status": "running"}))
    assert len(read([tmp_path])) == 1


def test_a_run_knows_how_its_rate_was_chosen_its_seeds_and_its_protocol(
    tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    """By its setting: a seed more has the same choice, another length has none."""
    text_run(tmp_path / "s", "gru", 64, 0, lr=4e-3)
    text_run(tmp_path / "s", "gru", 64, 1, lr=4e-3, tuned=False)
    folder = text_run(tmp_path / "s", "gru", 32, 2, lr=4e-3, tuned=False)
    values = json.loads((folder / "result.json").read_text())
    values["run"]["data_seed"] = 7
    del values["protocol"]
    (folder / "result.json").write_text(json.dumps(values))
    other, *same = sorted(read([tmp_path]), key=lambda result: result.seq_len)
    assert [result.choice["lr"] for result in same if result.choice is not None] == [4e-3, 4e-3]
    assert sorted(result.seeds for result in same) == [(0, 0), (1, 1)]
    assert [result.protocol for result in same] == [PROTOCOL] * 2
    assert (other.choice, other.seeds, other.protocol) == (None, (2, 7), 1)


def test_nothing_to_read_is_a_users_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(UserError) as caught:
            read([path])
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)


def test_a_cut_off_history_line_is_left_out(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    text_run(tmp_path / "s", "lstm", 64, 0)
    (result,) = read([tmp_path])
    rows = list(result.history())
    assert rows
    assert all("step" in row and len(row) > 1 for row in rows)


def test_a_thousand_runs_are_read_and_tabled_quickly(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for seed in range(100):
        for cell in ("rnn", "gru"):
            for length in (8, 16, 32, 64, 128):
                text_run(tmp_path / "s", cell, length, seed, full=False, tuned=seed == 0)
    start = time.process_time()
    table, *_ = tables(read([tmp_path]))
    assert time.process_time() - start < 5.0
    assert [row.raw["all"] for row in table.rows] == [100] * 10


FLOW = "init/gradient_flow"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Every file that is read from disk."""
    found: list[Path] = []
    load = np.load

    def telling(path: Path, **options: Any) -> Any:
        found.append(path)
        return load(path, **options)

    monkeypatch.setattr(np, "load", telling)
    return found


def test_a_file_is_opened_once(tmp_path: Path, text_run: Callable[..., Path], opened: list[Path]) -> None:
    text_run(tmp_path / "s", "gru", 16, 0)
    (result,) = read([tmp_path])
    first, again = result.curve(FLOW), result.curve(FLOW)
    assert again is first
    assert first.dtype == np.float64
    assert result.curve("nothing") is None
    assert FLOW in result.curve_names
    assert len(opened) == 1
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1.0  # it is everybody's


def test_a_file_that_was_replaced_is_read_anew(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    folder = text_run(tmp_path / "s", "gru", 16, 0)
    (result,) = read([tmp_path])
    before = result.curve(FLOW)
    np.savez(folder / "other.npz", **{FLOW: np.arange(3)})  # type: ignore[arg-type]
    os.replace(folder / "other.npz", folder / "curves.npz")
    after = result.curve(FLOW)
    assert (len(before), after.tolist()) == (257, [0, 1, 2])


@pytest.mark.parametrize("damage", ["gone", "cut", "no archive", "pickle"])
def test_a_damaged_file_is_told_of_once(
    tmp_path: Path, text_run: Callable[..., Path], capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    path = text_run(tmp_path / "s", "gru", 16, 0) / "curves.npz"
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    elif damage == "pickle":
        np.savez(path, x=np.array([{}], dtype=object))
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "cut" else b"no archive")
    (result,) = read([tmp_path])
    assert result.curve(FLOW) is None
    assert result.curve_names == frozenset()
    assert result.curve(FLOW) is None
    assert capsys.readouterr().err.count("skipped") == 1

"""A run's arrays: each file is opened once, read anew where it was replaced, and no more is kept than there is room."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnnbench.report import results as curves
from rnnbench.report.results import arrays, read

FLOW = "init/gradient_flow"


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_kept", type(curves._kept)())
    monkeypatch.setattr(curves, "_bytes", 0)


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
    assert first is not None
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
    assert before is not None
    assert after is not None
    assert (len(before), after.tolist()) == (257, [0, 1, 2])


def test_what_was_read_longest_ago_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opened: list[Path]
) -> None:
    paths = [tmp_path / f"{index}.npz" for index in range(4)]
    for path in paths:
        np.savez(path, x=np.zeros(1000))
    monkeypatch.setattr(curves, "LIMIT", 3 * 8000)
    for index in (0, 1, 2, 0, 3, 0, 1):  # 3 takes the place of 1, and 1 then that of 2
        assert len(arrays(paths[index])["x"]) == 1000
    assert opened == [paths[index] for index in (0, 1, 2, 3, 1)]
    assert curves._bytes == 3 * 8000


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

"""What lies beside a study's runs: read as it was written, added to, and never an error where it is damaged."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.runs import (
    PanelFile,
    StudyFile,
    read_rates,
    read_speeds,
    read_study,
    setting_of,
    write_rates,
    write_speeds,
    write_study,
)
from rnnbench.runs.study_files import RATES, SPEEDS, STUDY
from rnnbench.sweep.tuning import TunedRate

TRUNCATION = PanelFile("truncation", "Only K varies – ∂.", "optim.truncate", frozenset({"a", "b"}))
PRACTICE = PanelFile("practice", "What people do.", "data.seq_len", frozenset({"b", "c"}))


def speed(run: Run, step_ms: float) -> dict[str, Any]:
    return {"config": run.to_dict(), "step_ms": step_ms, "environment": {"workers": 1}}


def choice(run: Run, lr: float) -> dict[str, Any]:
    rates = [{"lr": lr, "score": 1.5, "lost": 0, "trials": 1}]
    return {"config": run.to_dict(), "about": {"cell": "gru"}, "metric": "val/bpc", "lr": lr, "at_edge": False,
            "rates": rates}  # fmt: skip


# --- the study ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "study",
    [
        StudyFile("How far?", True, (TRUNCATION, PRACTICE)),
        StudyFile("«Wie weit?»", False, (PanelFile("", "", "seq_len", frozenset({"x"})),)),
        StudyFile("Nothing?", False, ()),
    ],
)
def test_a_study_is_read_as_it_was_written(study: StudyFile, tmp_path: Path) -> None:
    write_study(tmp_path, study)
    assert read_study(tmp_path) == study


def test_runs_of_another_preset_stay_in_their_panel(tmp_path: Path) -> None:
    """And so does a panel that this preset has not; what it says of itself is what was said last."""
    write_study(tmp_path, StudyFile("How far?", False, (TRUNCATION, PRACTICE)))
    later = PanelFile("truncation", "Only K.", "data.seq_len", frozenset({"b", "d"}))
    new = PanelFile("width", "Widths.", "model.hidden_size", frozenset({"e"}))
    write_study(tmp_path, StudyFile("How far, now?", True, (new, later)))
    together = dataclasses.replace(later, runs=frozenset({"a", "b", "d"}))
    assert read_study(tmp_path) == StudyFile("How far, now?", True, (new, together, PRACTICE))


def test_what_says_the_same_is_not_written_again(tmp_path: Path) -> None:
    """A report that is up to date would be made anew."""
    study = StudyFile("How far?", False, (TRUNCATION, PRACTICE))
    write_study(tmp_path, study)
    before = (tmp_path / STUDY).stat().st_mtime_ns, (tmp_path / STUDY).stat().st_ino
    write_study(tmp_path, study)
    write_study(
        tmp_path, dataclasses.replace(study, panels=(dataclasses.replace(TRUNCATION, runs=frozenset()), PRACTICE))
    )
    assert ((tmp_path / STUDY).stat().st_mtime_ns, (tmp_path / STUDY).stat().st_ino) == before


# --- rates and speeds -----------------------------------------------------------------------------------------------


def test_rates_are_read_by_their_setting(tmp_path: Path) -> None:
    runs = [Run(CellConfig(cell), data=DataConfig(path="ünï.txt")) for cell in ("rnn", "gru")]
    choices = [choice(run, lr) for run, lr in zip(runs, (1e-3, 4e-3), strict=True)]
    write_rates(tmp_path, choices)
    assert read_rates(tmp_path) == {setting_of(run.to_dict()): one for run, one in zip(runs, choices, strict=True)}
    write_rates(tmp_path, choices[1:])
    assert list(read_rates(tmp_path).values()) == choices[1:]


def test_speeds_of_other_settings_stay(tmp_path: Path) -> None:
    rnn, gru, lstm = (Run(CellConfig(cell)) for cell in ("rnn", "gru", "lstm"))
    write_speeds(tmp_path, [speed(rnn, 1.0), speed(gru, 2.0)])
    write_speeds(tmp_path, iter([speed(dataclasses.replace(gru, seed=7), 3.0), speed(lstm, 4.0)]))
    found = read_speeds(tmp_path)
    assert {key: one["step_ms"] for key, one in found.items()} == {
        setting_of(rnn.to_dict()): 1.0, setting_of(gru.to_dict()): 3.0, setting_of(lstm.to_dict()): 4.0
    }  # fmt: skip


@pytest.mark.parametrize("protocol", [1, 3, None, "2"])
def test_another_protocols_are_none(protocol: object, tmp_path: Path) -> None:
    write_rates(tmp_path, [choice(Run(), 1e-3)])
    write_speeds(tmp_path, [speed(Run(), 1.0)])
    assert read_rates(tmp_path)
    assert read_speeds(tmp_path)
    for name in (RATES, SPEEDS):
        content = json.loads((tmp_path / name).read_text())
        assert content["protocol"] == 2
        (tmp_path / name).write_text(json.dumps({**content, "protocol": protocol}))
    assert read_rates(tmp_path) == read_speeds(tmp_path) == {}
    write_speeds(tmp_path, [speed(Run(), 5.0)])
    assert [one["step_ms"] for one in read_speeds(tmp_path).values()] == [5.0], "nothing of theirs is taken over"


READERS: dict[str, Callable[[Path], object]] = {STUDY: read_study, RATES: read_rates, SPEEDS: read_speeds}
#: Cut, of another kind, or JSON in which something is not what it should be.
DAMAGED = (
    b"", b"{", b"[]", b"3", b"null", b'"x"', b"\xff\xfe\x00", b"\0" * 500, b'{"protocol": 2}',
    b'{"protocol": 2, "choices": 3, "speeds": null, "panels": 3, "question": "?", "search": 0}',
    b'{"protocol": 2, "choices": [1, {}, {"config": 3}], "speeds": [null, {}], "panels": [{}]}',
    b'{"protocol": 2, "choices": [{"config": 3, "lr": 1}], "speeds": [{"config": 3}], "panels": null}',
    b'{"protocol": 2, "choices": [{"config": {"optim": 3}, "lr": 1}], "speeds": [{"config": {"optim": 3}}]}',
)  # fmt: skip


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [None, *DAMAGED])
def test_a_damaged_file_is_an_empty_one(name: str, content: bytes | None, tmp_path: Path) -> None:
    empty = StudyFile() if name == STUDY else {}
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert READERS[name](tmp_path) == empty
    assert READERS[name](tmp_path / "no folder") == empty


@pytest.mark.parametrize("part", ["rates", "lr", "about", "metric", "at_edge"])
@pytest.mark.parametrize("value", [None, "x", [], [{}], [3], 7.5])
def test_a_choice_that_is_not_whole_is_none(part: str, value: object, tmp_path: Path) -> None:
    """What is left of a damaged file is fit to be compared by, and to be run at; a missing part is damage too."""
    other = dataclasses.replace(Run(), data=DataConfig(seq_len=16))
    damaged = {**choice(Run(), 1e-3), part: value}
    if value is None:
        del damaged[part]
    write_rates(tmp_path, [damaged, choice(other, 2e-3)])
    found = read_rates(tmp_path)
    if part in ("rates", "lr"):
        assert [one["lr"] for one in found.values()] == [2e-3]
    for group, one in found.items():
        assert TunedRate.from_dict(group, one).lr in (1e-3, 2e-3)


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_was_cut_short_is_an_empty_one(name: str, tmp_path: Path) -> None:
    """And writing goes on from there."""
    study, rates, speeds = StudyFile("?", False, (PRACTICE,)), [choice(Run(), 1e-3)], [speed(Run(), 1.0)]
    write_study(tmp_path, study)
    write_rates(tmp_path, rates)
    write_speeds(tmp_path, speeds)
    whole = (tmp_path / name).read_bytes()
    for end in range(0, len(whole), 7):
        (tmp_path / name).write_bytes(whole[:end])
        assert READERS[name](tmp_path) == (StudyFile() if name == STUDY else {})
    write_study(tmp_path, study)
    write_rates(tmp_path, rates)
    write_speeds(tmp_path, speeds)
    assert (tmp_path / name).read_bytes() == whole


# --- what is one setting --------------------------------------------------------------------------------------------

BASE = Run(CellConfig("lstm", {"forget_bias": 3.0}), seed=4)


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(BASE, seed=5),
        dataclasses.replace(BASE, data_seed=5),
        dataclasses.replace(BASE, optim=OptimConfig(lr=1.0)),
        dataclasses.replace(BASE, probes=ProbeConfig(seq_len=3, lyapunov=2)),
        dataclasses.replace(BASE, cell=CellConfig("lstm", {"forget_bias": 3})),
    ],
)
def test_seeds_the_rate_and_probes_are_no_part_of_a_setting(other: Run) -> None:
    assert other != BASE or other.to_dict() == BASE.to_dict()
    assert setting_of(other.to_dict()) == setting_of(BASE.to_dict())


@pytest.mark.parametrize(
    "other",
    [
        dataclasses.replace(BASE, cell=CellConfig("lstm", {"forget_bias": 2.0})),
        dataclasses.replace(BASE, cell=CellConfig("gru")),
        dataclasses.replace(BASE, model=ModelConfig(hidden_size=127)),
        dataclasses.replace(BASE, data=DataConfig(seq_len=65)),
        dataclasses.replace(BASE, data=DataConfig(final=True)),
        dataclasses.replace(BASE, budget=BudgetConfig(steps=3)),
        dataclasses.replace(BASE, optim=OptimConfig(truncate=8)),
        dataclasses.replace(BASE, optim=OptimConfig(clip=None)),
        dataclasses.replace(BASE, optim=OptimConfig(weight_decay=0.1)),
        dataclasses.replace(BASE, device="cpu"),
    ],
)
def test_everything_else_is(other: Run) -> None:
    assert setting_of(other.to_dict()) != setting_of(BASE.to_dict())


def test_every_field_of_a_run_is_a_part_but_four() -> None:
    """Whatever fields are added: of each, another value is another setting, or it is one of the four by name."""
    plain, same = BASE.to_dict(), []
    places = [(key,) for key, value in plain.items() if not isinstance(value, dict)]
    places += [(key, inner) for key, value in plain.items() if isinstance(value, dict) for inner in value]
    for place in places:
        changed = json.loads(json.dumps(plain))
        changed[place[0]] = "other" if len(place) == 1 else {**changed[place[0]], place[1]: "other"}
        if setting_of(changed) == setting_of(plain):
            same.append(place)
    assert {place for place in same if place[0] != "probes"} == {("seed",), ("data_seed",), ("optim", "lr")}
    assert {place[1] for place in same if place[0] == "probes"} == set(plain["probes"])


@given(st.dictionaries(st.sampled_from(["batch_size", "clip", "x"]), st.integers(-1000, 1000)))
def test_a_whole_number_is_the_same_in_both_kinds(values: dict[str, int]) -> None:
    """As a file has 3, and another 3.0: in any depth, and in any order of the keys."""
    floats = {key: float(value) for key, value in reversed(values.items())}
    assert setting_of({"data": values, "list": [3, values]}) == setting_of({"list": [3.0, floats], "data": floats})
    assert setting_of({"data": {"x": 3.5}}) != setting_of({"data": {"x": 3}})
    assert setting_of({"data": {"x": True}}) != setting_of({"data": {"x": 1}})


def test_a_setting_written_before_a_field_was_added_is_the_same() -> None:
    values = BASE.to_dict()
    wanted = setting_of(values)
    for part, default in Run().to_dict().items():
        for name, value in default.items() if isinstance(default, dict) else ():
            if values[part][name] == value:
                older = {**values, part: {key: item for key, item in values[part].items() if key != name}}
                assert setting_of(older) == wanted, f"{part}.{name}"

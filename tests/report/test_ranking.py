"""Many cells at one length: ranked, in the table and in one picture, instead of a tangle of lines."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.report.comparisons import unranked
from rnnbench.report.compose import report
from rnnbench.report.results import read
from rnnbench.report.statistics import CROWD, cell_rank, group

CELLS = ["rnn", "lstm", "gru", "mgu", "janet", "ugrnn", "mingru", "lru", "s4d", "gla", "tcn"]
SCORE = {name: 2.0 + 0.05 * ((7 * i) % len(CELLS)) for i, name in enumerate(CELLS)}


@pytest.fixture
def crowd(tmp_path: Path, text_run: Callable[..., Path]) -> Path:
    """Eleven cells; gru, the best but one, has lost a seed, and gla both."""
    for seed in range(2):
        for name in CELLS:
            lost = name == "gla" or (name == "gru" and seed == 1)
            text_run(tmp_path / "many", name, 64, seed, "failed" if lost else "done", {"test/bpc": SCORE[name]})
    return tmp_path / "many"


def expected() -> list[str]:
    whole = sorted(set(CELLS) - {"gru", "gla"}, key=lambda name: SCORE[name])
    return [*whole, "gru", "gla"]


def test_the_table_is_ranked_and_lost_runs_come_last(crowd: Path) -> None:
    assert len(CELLS) >= CROWD
    rows = report([crowd], set(), None, None)["many"]["table"]
    assert [row["cell"] for row in rows] == expected()


@pytest.mark.parametrize("status", ["diverged", "failed"])
def test_a_cell_that_lost_all_runs_leaves_the_others_ranked(
    status: str, tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    """A diverged run's weights are known; of a failed one nothing is, and nothing is compared."""
    for seed in range(5):
        for name in ("rnn", "lstm", "gru"):
            metrics = {"test/bpc": SCORE[name] + 0.001 * seed} if name != "gru" else None
            text_run(tmp_path / "s", name, 64, seed, "done" if name != "gru" else status, metrics, full=False)
    assert unranked(group(read([tmp_path / "s"]))) is None
    for name, seed in itertools.product(("rnn", "lstm"), range(2)):  # one run a cell is left by errors
        text_run(tmp_path / "few", name, 64, seed, "failed" if seed else "done", full=False)
    assert unranked(group(read([tmp_path / "few"]))) == "one seed: no ranking"


def test_a_length_at_which_cells_may_not_be_ranked_keeps_their_usual_order(
    tmp_path: Path, text_run: Callable[..., Path]
) -> None:
    """At T = 16 one of them has half the weights; at T = 64 all have as many, and there the best comes first."""
    cells = CELLS[:CROWD]
    for length, seed in itertools.product((16, 64), range(2)):
        for name in cells:
            weights = 20_000 if (name, length) == ("gru", 16) else 40_000
            metrics = {"test/bpc": SCORE[name], "model/matched_parameters": weights}
            text_run(tmp_path / "s", name, length, seed, metrics=metrics, full=False)
    rows = report([tmp_path / "s"], set(), None, None)["s"]["table"]
    order = {length: [row["cell"] for row in rows if row["length"] == length] for length in (16, 64)}
    assert order[64] == sorted(cells, key=lambda name: SCORE[name])
    assert order[16] == sorted(cells, key=cell_rank)


def test_one_picture_in_the_tables_order(crowd: Path, text_run: Callable[..., Path]) -> None:
    files = [Path(name) for name in report([crowd], {"svg"}, None, None)["many"]["files"]]
    assert [file.name for file in files] == ["overview.svg", "pareto.svg"]
    words = re.findall(r"<!-- +(\w+) -->", files[0].read_text())
    assert [word for word in words if word in CELLS] == expected()
    assert "off the scale: unigram" in files[0].read_text()
    assert words.count("lost") == 1
    text_run(crowd, "rnn", 16, 0)  # of several lengths a picture each
    names = {Path(name).name for name in report([crowd], {"png"}, None, None)["many"]["files"]}
    assert names == {"overview-T16.png", "overview-T64.png", "reach_map.png", "pareto.png"}


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("workers", [1, 2])
def test_without_speeds_there_is_no_panel_for_them(workers: int, tmp_path: Path, text_run: Callable[..., Path]) -> None:
    """What two workers measured of themselves is no speed."""
    for name in CELLS:
        text_run(tmp_path / "s", name, 64, 0, environment={"workers": workers})
    files = [Path(name) for name in report([tmp_path / "s"], {"svg"}, None, None)["s"]["files"]]
    (picture,) = (file.read_text() for file in files if file.stem == "overview")
    assert ("How fast does it train?" in picture) == (workers == 1)


def test_matched_weights_are_told(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    """Of runs whose width was solved for; of others there is nothing to say."""
    for name, weights in (("rnn", 990), ("gru", 1010)):
        folder = text_run(tmp_path / "s", name, 64, 0, metrics={"model/matched_parameters": weights})
        result = json.loads((folder / "result.json").read_text())
        result["run"]["model"]["parameters"] = 1000
        (folder / "result.json").write_text(json.dumps(result))
    report([tmp_path / "s"], {"md"}, tmp_path / "after", None)
    said = "Matched are the weights of recurrent layers and readout: 990 to 1\u202f010; all has the embedding's as well"
    assert f"- {said}.\n" in (tmp_path / "after" / "s" / "table.md").read_text()
    text_run(tmp_path / "chosen", "rnn", 64, 0, metrics={"model/matched_parameters": 990})
    report([tmp_path / "chosen"], {"md"}, tmp_path / "after", None)
    assert "Matched are" not in (tmp_path / "after" / "chosen" / "table.md").read_text()

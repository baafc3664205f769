"""The figures of throughput studies, and quality against speed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.timings import ENVIRONMENT, job, write_job, write_study

from rnnbench.report import report
from rnnbench.report.figures.contestants import Marks, direct_labels
from rnnbench.report.figures.pareto import choices, frontier
from rnnbench.report.figures.style import canvas
from rnnbench.report.figures.timing import Roof, point
from rnnbench.report.results import read
from rnnbench.report.statistics import group
from rnnbench.report.timings import timings

pytestmark = pytest.mark.usefixtures("saved")

#: More than go into one figure as lines.
MANY = ("rnn", "lstm", "gru", "mingru", "minlstm", "lru", "sru", "qrnn", "hgrn", "indrnn", "janet", "mgu")


def figures_of(study: Path) -> set[str]:
    files = [Path(name) for name in report([study], {"svg"}, None, None)[study.name]["files"]]
    assert all(path.is_file() for path in files)
    return {path.stem for path in files}


def test_lines_along_what_is_swept(tmp_path: Path) -> None:
    assert figures_of(write_study(tmp_path / "long")) == {"timing_against_length", "timing_roofline"}
    page = (tmp_path / "long" / "report" / "timing_against_length.svg").read_text()
    assert all(f"<!-- {name} -->" in page for name in ("rnn", "lstm", "gru", "torch", "plain", "out of memory"))
    for size in (1, 16, 64):
        write_job(tmp_path / "batch", job(("gru",), batch_size=size), ("loop",))
    assert figures_of(tmp_path / "batch") == {"timing_against_batch", "timing_roofline"}


def test_rows_for_many_cells_and_for_many_shapes(tmp_path: Path) -> None:
    for length in (64, 256):
        write_job(tmp_path / "many", job(MANY, seq_len=length), ("loop", "scan"))
    assert figures_of(tmp_path / "many") == {"timing_ranked", "timing_roofline"}
    for length, batch, width in ((25, 16, 512), (100, 64, 1024)):
        write_job(tmp_path / "shapes", job(seq_len=length, batch_size=batch, hidden_size=width), ("loop", "torch"))
    assert figures_of(tmp_path / "shapes") == {"timing_ranked"}
    page = (tmp_path / "shapes" / "report" / "timing_ranked.svg").read_text()
    assert "<!-- lstm, T 100, B 64, H 1024 -->" in page


def test_decoding_and_number_formats(tmp_path: Path) -> None:
    for width in (64, 1024):
        write_job(tmp_path / "decode", job(batch_size=1, hidden_size=width, what="decoding"), ("loop", "torch"))
    assert figures_of(tmp_path / "decode") == {"decoding_against_width", "decoding_roofline"}
    for width in (64, 1024):
        cells = ("rnn", "lstm", "gru", "mamba", "mlstm", "transformer")
        write_job(tmp_path / "many", job(cells, batch_size=1, hidden_size=width, what="decoding"), ("loop", "plain"))
    assert figures_of(tmp_path / "many") == {"decoding_against_width", "decoding_roofline"}
    assert "replayed as a CUDA graph" in (tmp_path / "many" / "report" / "decoding_against_width.svg").read_text()
    for dtype in ("float32", "bfloat16"):
        for length in (64, 256):
            write_job(tmp_path / "formats", job(seq_len=length, dtype=dtype), ("loop", "torch"))
    assert figures_of(tmp_path / "formats") == {
        f"timing_{what}-{dtype}" for what in ("against_length", "roofline") for dtype in ("float32", "bfloat16")
    }


def test_the_height_under_the_roof_is_the_share_of_the_floor(tmp_path: Path) -> None:
    """FLOP/s reached over what the roof allows is floor time over time taken: one number, from two sides."""
    write_job(tmp_path / "s", job(hidden_size=8), ("loop", "torch"))
    for one in timings(read([tmp_path / "s"])):
        at = point(one)
        assert at is not None
        assert at.replayed is not None
        assert at.reached / Roof(4e13, 4e12).at(at.intensity) == pytest.approx(one.numbers["step_share"])
        assert at.replayed > at.reached


def test_a_backend_looks_the_same_in_every_company() -> None:
    alone = Marks.of([("gru", "torch")])
    company = Marks.of([("gru", "torch"), ("gru", "fla"), ("rnn", "loop"), ("lstm", "flashrnn"), ("rnn", "plain")])
    assert company.styles["torch"] == alone.styles["torch"]
    assert company.colors["gru"] == alone.colors["gru"]
    assert len(set(company.styles.values())) == 5
    assert list(company.styles)[:2] == ["plain", "loop"]
    several = Marks.of([("gru", f"{name}, B={B}") for name in ("torch", "nn", "loop", "scan", "plain") for B in (2, 8)])
    assert len(set(several.styles.values())) == 10, "each line can be told from the others"
    assert several.styles["torch, B=2"] == alone.styles["torch"]
    assert several.styles["torch, B=8"][1] == alone.styles["torch"][1], "the same kind of line"


def test_names_stand_apart() -> None:
    """Ten points in a heap and one alone: names that are there overlap neither each other nor the axes' edge."""
    with canvas() as (_, (axes,)):
        points = [(0.5 + 0.01 * i, 0.5, f"name {i}", "black") for i in range(10)] + [(0.9, 0.1, "alone", "black")]
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        direct_labels(axes, points)
        boxes = {text.get_text(): text.get_window_extent() for text in axes.texts}
        assert {"name 0", "alone"} <= set(boxes)
        assert 4 < len(boxes) < 11
        ordered = list(boxes.values())
        assert not any(a.overlaps(b) for i, a in enumerate(ordered) for b in ordered[:i])
        assert all(axes.get_window_extent().x0 <= box.x0 and box.x1 <= axes.get_window_extent().x1 for box in ordered)


def test_the_frontier_is_what_no_other_beats() -> None:
    random = np.random.default_rng(0)
    for count in (1, 2, 30, 200):
        points = [(float(s), float(e)) for s, e in random.integers(0, 12, (count, 2))]  # with ties
        beaten = [
            any(s >= speed and e <= error and (s, e) != (speed, error) for s, e in points) for speed, error in points
        ]
        found = frontier(points)
        assert set(found) == {i for i in range(count) if not beaten[i]}
        assert [points[i] for i in found] == sorted((points[i] for i in found), reverse=True)
    assert frontier([]) == []


def test_where_the_speed_of_quality_against_speed_is_from(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    """One study at one width on one device: that which knows most of the runs, then the nearest width; the fastest
    contestant. Without any, what the runs measured.
    """
    for cell in ("rnn", "lstm", "gru"):
        for length in (16, 64):
            text_run(tmp_path / "train", cell, length, 0, full=False)
    groups = group(read([tmp_path / "train"]))

    def speeds() -> dict[tuple[str, int], float]:
        timed = timings(read([tmp_path / "timed"])) if (tmp_path / "timed").exists() else []
        found = choices(groups, timed, "test/bpc")
        return {(one.group.cell, one.group.length): one.speed for one in found}

    own = {(g.cell, g.length): g.values("throughput/tokens_per_second")[0] for g in groups}
    assert speeds() == own
    write_job(tmp_path / "timed" / "other", job(("gru",), seq_len=16, batch_size=128), ("torch",))
    assert speeds() == own, "one point has no frontier"
    for width in (128, 1024):
        for length in (16, 64):
            shape = {"seq_len": length, "batch_size": 2048 // length}  # the runs'
            write_job(tmp_path / "timed" / "a", job(**shape, hidden_size=width), ("loop", "torch"))
    found = speeds()
    assert set(found) == set(own)
    (at_64,) = read([next((tmp_path / "timed" / "a").glob("timing-T64-B32-H128-*"))])
    assert found["gru", 64] == at_64.metrics["gru/torch/tokens_per_second"]
    slow = ENVIRONMENT | {"device_name": "an old one"}
    write_job(tmp_path / "timed" / "b", job(seq_len=16, batch_size=128), ("torch",), lambda *_: 1e-9, environment=slow)
    assert speeds() == found, "it knows half of the runs"
    for length in (16, 64):
        write_job(tmp_path / "timed" / "c", job(seq_len=length, batch_size=512), ("torch",), lambda *_: 1e-9)
    assert speeds() == found, "a larger batch is another speed"
    text_run(tmp_path / "train", "gru", 64, 1, "diverged", full=False)
    groups = group(read([tmp_path / "train"]))
    assert set(speeds()) == set(own) - {("gru", 64)}, "survivors speak for a cell"


def test_quality_against_speed_of_a_text_study(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    for cell in ("rnn", "lstm", "gru"):
        for length in (16, 64):
            for seed in range(5):
                text_run(tmp_path / "runs" / "train", cell, length, seed, full=False)
            if cell == "rnn":
                timed = job(seq_len=length, batch_size=2048 // length)
                write_job(tmp_path / "runs" / "speed", timed, ("loop", "torch"))
    answer = report([tmp_path / "runs"], {"svg"}, None, None)
    (path,) = (Path(name) for name in answer["train"]["files"] if Path(name).stem == "pareto")
    text = path.read_text()
    assert "the fastest certified backend in speed, H 128," in text
    assert "beaten by none in both" in text


def test_what_may_not_be_ranked_has_no_frontier(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    """One seed: the points are shown, and why no more; in the figure and on the page."""
    for cell in ("rnn", "lstm", "gru"):
        text_run(tmp_path / "s", cell, 64, 0, full=False)
    files = report([tmp_path / "s"], {"svg", "html"}, None, None)["s"]["files"]
    picture, page = (next(Path(f) for f in files if f.endswith(end)).read_text() for end in ("pareto.svg", ".html"))
    for text in (picture, page):
        assert "beaten by none in both" not in text
        assert "Score and speed: no ranking" in text
    assert "one seed: no ranking" in picture


def test_failed_timings_and_a_study_of_rates_have_no_speed(tmp_path: Path, text_run: Callable[..., Path]) -> None:
    write_job(tmp_path / "s", job(), ("loop",), status="failed")
    assert report([tmp_path / "s"], {"svg"}, None, None)["s"]["files"] == []
    for rate in (1e-3, 2e-3):
        for cell in ("rnn", "lstm", "gru"):
            text_run(tmp_path / "rates", cell, 16, 0, full=False, lr=rate, tuned=False)
    files = report([tmp_path / "rates"], {"svg"}, None, None)["rates"]["files"]
    assert not any("pareto" in name for name in files)

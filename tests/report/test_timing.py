"""The table of a throughput study: what was measured, and what is said of it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.timings import BACKENDS, CELLS, LENGTHS, OUT, WRONG, job, rows, tables_of, write_job, write_study

from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.report.results import read
from rnnbench.report.tables import writers
from rnnbench.report.timings import timings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return write_study(tmp_path / "speed")


def test_all_that_was_measured(study: Path) -> None:
    table = tables_of(study)["timing"]
    shown = rows(table)
    assert [(row["cell"], row["backend"], row["T"], row["B"]) for row in shown[:3]] == [
        ("rnn", "plain", "64", "256"), ("rnn", "loop", "64", "256"), ("rnn", "graph", "64", "256"),
    ]  # fmt: skip
    assert len(shown) == len(CELLS) * len(BACKENDS) * len(LENGTHS), "one that cannot has no line"
    (result,) = read([next(study.glob("timing-T256-*"))])
    (line,) = (
        row for row in table.rows if (row.raw["cell"], row.raw["backend"], row.raw["seq_len"]) == ("gru", "torch", 256)
    )
    for name in (
        "forward_ms",
        "update_iqr_ms",
        "replay_step_ms",
        "peak_mib",
        "step_share",
        "speedup",
        "tokens_per_second",
    ):
        assert line.raw[name] == result.metrics[f"gru/torch/{name}"]
    assert (line.raw["kernels"], line.raw["refused"]) == ("a_kernel", None)
    for what in ("forward", "step"):
        assert line.raw[f"{what}_a_sequence"] == pytest.approx(1e3 * line.raw[f"{what}_ms"] / 64)
    assert line.text["joules_per_token"] == "400"
    assert line.text["share"] == f"{100 * line.raw['step_share']:.0f} %"
    assert {"update (ms)", "µJ a token"} <= set(shown[0])
    notes = " ".join(sentence for _, sentence in table.notes)
    assert "measured here: 40.0 TFLOP/s, 4.00 TB/s" in notes
    assert "of 30 turns" in notes
    for part in (
        "T 64, 128, 256",
        "driver 570.1",
        "sm clock 1755–1980 of 1980 MHz",
        "memory clock 3201 of 3201 MHz",
        "NVIDIA H200",
    ):
        assert part in table.caption


def test_a_whole_option_of_an_older_ledger_is_read(tmp_path: Path) -> None:
    """There the names of metrics and of samples begin with ``lstm(forget_bias=3.0)``: a line of the cell, with both."""
    config = CellConfig("lstm", {"forget_bias": 3.0, "x": 2.5})
    folder = write_job(tmp_path / "speed", Timing(cells=(config,)), ("plain", "loop"))
    before, now = "lstm(forget_bias=3.0, x=2.5)", "lstm(forget_bias=3, x=2.5)"
    text = (folder / "result.json").read_text()
    assert f"{now}/loop" in text
    (folder / "result.json").write_text(text.replace(now, before).replace('"forget_bias": 3,', '"forget_bias": 3.0,'))
    with np.load(folder / "curves.npz") as curves:
        samples = {name.replace(now, before): curves[name] for name in curves}
    assert f"{before}/loop/step" in samples
    np.savez(folder / "curves.npz", **samples)
    found = timings(read([tmp_path]))
    assert [(one.cell, one.backend) for one in found] == [(now, "plain"), (now, "loop")]
    for one in found:
        taken = one.samples()
        assert taken is not None
        assert one.ms == pytest.approx(1e3 * np.median(taken))


def test_who_tried_in_vain_has_a_line_that_says_so(study: Path) -> None:
    shown = rows(tables_of(study)["timing"])
    told = {(row["cell"], row["backend"], row["T"]): row for row in shown if row["not timed"]}
    assert set(told) == {("lstm", "plain", "1024"), *(("rnn", "torch", str(length)) for length in LENGTHS)}
    assert told["lstm", "plain", "1024"]["not timed"] == OUT
    assert told["lstm", "plain", "1024"]["step (ms)"] == "out of memory"
    assert told["rnn", "torch", "64"]["not timed"] == WRONG
    (wrong,) = (row for row in rows(tables_of(study)["speedup"]) if (row["cell"], row["backend"]) == ("rnn", "torch"))
    assert {wrong[f"T = {length}"] for length in LENGTHS} == {"wrong result"}


def test_a_failed_job_keeps_its_place(study: Path) -> None:
    write_job(study, job(seq_len=2048, batch_size=8), BACKENDS, status="failed")
    table = tables_of(study)["timing"]
    assert [row["backend"] for row in rows(table)[-3:]] == ["–"] * 3
    assert table.rows[-1].text["refused"] == "the job failed: RuntimeError: no"
    assert "1 of 6 timing jobs failed" in " ".join(sentence for _, sentence in table.notes)


def test_decoding(tmp_path: Path) -> None:
    for width in (64, 256, 1024):
        write_job(tmp_path / "s", job(batch_size=1, hidden_size=width, what="decoding"), ("loop", "torch"))
    made = tables_of(tmp_path / "s")
    assert list(made) == ["decoding", "decoding_speedup", "decoding_scaling"]
    (loop, *_), raw = rows(made["decoding"]), made["decoding"].rows[0].raw
    assert (loop["H"], "T" in loop, "step (ms)" in loop, "step (µs a sequence)" in loop) == ("64", False, False, False)
    assert float(loop["latency (µs a token)"].split()[0]) == pytest.approx(1e3 * raw["decode_ms"], rel=0.01)
    assert float(loop["replayed (µs a token)"].split()[0]) == pytest.approx(1e3 * raw["replay_decode_ms"], rel=0.01)
    assert "latency of a token" in made["decoding_speedup"].notes[0][1]
    assert 7 < made["decoding_speedup"].rows[0].raw["hidden_size=64"] < 9


def test_the_processors_time_and_the_floor_of_a_loop(tmp_path: Path) -> None:
    """Where they were measured: on a GPU, and in an older ledger, neither is, and there is no such column."""
    training = write_job(tmp_path / "s", job(), ("loop", "torch"))
    decoding = write_job(tmp_path / "s", job(batch_size=1, what="decoding"), ("loop", "torch"))
    absent = {column.title for table in tables_of(tmp_path / "s").values() for column in table.columns}
    assert not {"step, CPU (ms)", "CPU (µs a token)", "floor of a loop"} & absent
    for folder, more in (
        (training, {"gru/torch/step_cpu_ms": 1.234, "gru/torch/step_loop_share": 0.125, "step_flops_per_second": 3e11}),
        (decoding, {"gru/torch/decode_cpu_ms": 0.05678}),
    ):
        values = json.loads((folder / "result.json").read_text())
        values["metrics"] |= more
        (folder / "result.json").write_text(json.dumps(values))
    made = tables_of(tmp_path / "s")
    (train,) = (row for row in rows(made["timing"]) if (row["cell"], row["backend"]) == ("gru", "torch"))
    assert (train["step, CPU (ms)"], train["floor of a loop"]) == ("1.23", "12 %")
    (raw,) = (row.raw for row in made["timing"].rows if (row.raw["cell"], row.raw["backend"]) == ("gru", "torch"))
    assert (raw["step_cpu_ms"], raw["step_loop_share"]) == (1.234, 0.125)
    assert all(row["step, CPU (ms)"] == "–" for row in rows(made["timing"]) if row["backend"] == "loop")
    assert "(measured here: 300 GFLOP/s)" in dict(made["timing"].notes)["loop_share"]
    (decode,) = (row for row in rows(made["decoding"]) if (row["cell"], row["backend"]) == ("gru", "torch"))
    assert decode["CPU (µs a token)"] == "56.8"


def test_the_terminal_has_room_for_what_matters(study: Path) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(writers.rich_table(tables_of(study)["timing"], 100))
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    head = " ".join(text.split("─")[0].split())
    for word in ("cell", "backend", "T", "step (ms)", "tokens/s", "speed-up", "floor", "replayed"):
        assert word in head
    assert "out of memory" in text


def test_an_older_ledger_is_still_reported() -> None:
    """Without peak memory, FLOPs, replays and ceilings, and its settings fewer."""
    made = tables_of(ROOT / "experiments" / "results" / "h200" / "seqlen_throughput")
    assert {"timing", "speedup"} <= set(made)
    by_name = {(row["cell"], row["backend"], row["T"]): row for row in rows(made["timing"])}
    assert by_name["lstm", "torch", "256"]["step (ms)"]
    assert all("T = 256" in row for row in rows(made["speedup"]))

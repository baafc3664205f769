"""The tables of a throughput study: all that was measured, and what follows along a swept setting."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from support.timings import (
    BACKENDS,
    CELLS,
    LENGTHS,
    OUT,
    WRONG,
    job,
    launch_bound,
    rows,
    tables_of,
    write_job,
    write_study,
)

from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.report.results import read
from rnnbench.report.tables import writers
from rnnbench.report.tables.sweeps import exponent
from rnnbench.report.timings import sweep, timings

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


def test_a_whole_option_of_older_results_is_read(tmp_path: Path) -> None:
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
        assert one.ms == pytest.approx(1e3 * np.median(taken))


def test_who_tried_in_vain_has_a_line_that_says_so(study: Path) -> None:
    shown = rows(tables_of(study)["timing"])
    refused = {(row["cell"], row["backend"], row["T"]): row for row in shown if row["not timed"]}
    assert set(refused) == {("lstm", "plain", "1024"), *(("rnn", "torch", str(length)) for length in LENGTHS)}
    assert refused["lstm", "plain", "1024"]["not timed"] == OUT
    assert refused["lstm", "plain", "1024"]["step (ms)"] == "out of memory"
    assert refused["rnn", "torch", "64"]["not timed"] == WRONG
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
    """Where they were measured: on a GPU, and in older results, neither is, and there is no such column."""
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


def test_the_terminal_shows_what_matters(study: Path) -> None:
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(writers.rich_table(tables_of(study)["timing"], 100))
    text = console.export_text()
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    head = " ".join(text.split("─")[0].split())
    for word in ("cell", "backend", "T", "step (ms)", "tokens/s", "speed-up", "floor", "replayed"):
        assert word in head
    assert "out of memory" in text


def test_older_results_are_still_reported() -> None:
    """Without peak memory, FLOPs, replays and ceilings, and its settings fewer."""
    made = tables_of(ROOT / "experiments" / "results" / "h200" / "seqlen_throughput")
    assert {"timing", "speedup"} <= set(made)
    by_name = {(row["cell"], row["backend"], row["T"]): row for row in rows(made["timing"])}
    assert by_name["lstm", "torch", "256"]["step (ms)"]
    assert all("T = 256" in row for row in rows(made["speedup"]))


def test_speed_up_is_the_ratio_of_medians_over_the_naive_code(study: Path) -> None:
    """Its interval holds the true ratio though the machine shakes by 30 %: rounds are drawn in pairs."""
    table = tables_of(study)["speedup"]
    assert {(row.raw["backend"], row.raw["against"]) for row in table.rows} == {
        ("loop", "plain"), ("graph", "plain"), ("torch", "plain"),
    }  # fmt: skip
    assert "against" not in rows(table)[0]
    assert "the loop that everyone writes" in table.notes[0][1]
    hits, count = 0, 0
    for row in table.rows:
        cell, backend = row.raw["cell"], row.raw["backend"]
        for length in LENGTHS:
            middle, low, high = (row.raw[f"seq_len={length}{end}"] for end in ("", "_low", "_high"))
            if middle is None:
                assert (cell, backend) == ("rnn", "torch") or (cell, length) == ("lstm", 1024)
                continue
            (result,) = read([next(study.glob(f"timing-T{length}-*"))])
            median = {name: result.metrics[f"{cell}/{name}/step_ms"] for name in ("plain", backend)}
            assert middle == pytest.approx(median["plain"] / median[backend])
            assert low <= middle <= high < 1.2 * low
            truth = [launch_bound(cell, name, job(seq_len=length, batch_size=16384 // length)) for name in median]
            hits, count = hits + (low <= truth[0] / truth[1] <= high), count + 1
    assert hits / count > 0.85


def test_cells_with_naive_code_of_their_own_say_which(tmp_path: Path) -> None:
    for length in (64, 128):
        refused = {"mingru/plain": "no plain loop of this cell"}
        write_job(tmp_path / "s", job(("gru", "mingru"), seq_len=length), ("plain", "loop", "scan"), refused=refused)
    found = {(row["cell"], row["backend"], row["against"]) for row in rows(tables_of(tmp_path / "s")["speedup"])}
    assert found == {("gru", "loop", "plain"), ("gru", "scan", "plain"), ("mingru", "scan", "loop")}


def test_without_curves_there_is_a_ratio_and_no_interval(tmp_path: Path) -> None:
    for length in (64, 128):
        write_job(tmp_path / "s", job(("gru",), seq_len=length), ("loop", "torch"), curves=False)
    (row,) = tables_of(tmp_path / "s")["speedup"].rows
    assert row.raw["against"] == "loop"
    loop, torch = (launch_bound("gru", name, job(seq_len=64)) for name in ("loop", "torch"))
    assert row.raw["seq_len=64"] == pytest.approx(loop / torch, rel=0.1)
    assert (row.raw["seq_len=64_low"], "(" in row.text["64"]) == (None, False)


def test_contestants_that_took_no_turns_together_have_a_ratio_and_no_interval(tmp_path: Path) -> None:
    """The naive code in one job and the other in another, on as many rounds: these are no pairs."""
    for length in (64, 128):
        for backend in ("loop", "torch"):
            write_job(tmp_path / "s", job(("gru",), seq_len=length, backends=(backend,)), (backend,), shake=0.01)
    (row,) = tables_of(tmp_path / "s")["speedup"].rows
    one = job(("gru",), seq_len=64)
    assert row.raw["seq_len=64"] == pytest.approx(
        launch_bound("gru", "loop", one) / launch_bound("gru", "torch", one), rel=0.05
    )
    assert (row.raw["seq_len=64_low"], row.raw["seq_len=64_high"]) == (None, None)


@pytest.mark.parametrize("setting", ["seq_len", "batch_size", "hidden_size"])
def test_exponents_of_a_known_power(setting: str, tmp_path: Path) -> None:
    powers = {"rnn": 1.0, "lstm": 0.4, "gru": 2.2}

    def milliseconds(cell: str, backend: str, one: Timing) -> float:
        return float(1e-3 * getattr(one, setting) ** powers[cell])

    for value in (4, 16, 64, 256):
        write_job(tmp_path / "s", job(**{setting: value}), ("loop", "torch"), milliseconds, shake=0.01)
    table = tables_of(tmp_path / "s")["scaling"]
    assert len(table.rows) == 6
    for row in table.rows:
        assert row.raw["setting"] == setting
        assert row.raw["time_exponent"] == pytest.approx(powers[row.raw["cell"]], abs=0.01)
        assert 0 < row.raw["time_error"] < 0.01
        assert row.raw["memory_exponent"] == pytest.approx(1.0)
    assert "constant" not in " ".join(sentence for _, sentence in table.notes)


def test_exponents_at_constant_tokens(study: Path) -> None:
    """Memory stays what it is; the loop's overhead shows, and more so at the end than in the middle."""
    table = tables_of(study)["scaling"]
    assert "exponent 0 is perfectly linear in T" in " ".join(sentence for _, sentence in table.notes)
    by_name = {(row.raw["cell"], row.raw["backend"]): row for row in table.rows}
    assert len(by_name) == 11, "the wrong one has no line"
    assert {(row.raw["memory_exponent"], row.raw["memory_error"]) for row in table.rows} == {(0.0, 0.0)}
    assert by_name["lstm", "plain"].raw["last"] == 512
    torch, loop = by_name["gru", "torch"], by_name["gru", "loop"]
    assert torch.raw["time_exponent"] < loop.raw["time_exponent"] < 1
    assert torch.text["time_last"].endswith("†")
    assert torch.raw["time_last"] > torch.raw["time_exponent"]


def test_an_exponent_and_its_error() -> None:
    assert exponent([(1, 2), (2, 4)]) is None
    exact = exponent([(x, 5 * x**1.5) for x in (1, 2, 4, 8)])
    assert (exact.exponent, exact.last, exact.bent) == (pytest.approx(1.5), pytest.approx(1.5), False)
    assert exact.error == pytest.approx(0, abs=1e-7)
    x, y = np.log([1, 2, 4]), np.array([0.0, 1.0, 1.5])
    found = exponent(list(zip(np.exp(x), np.exp(y), strict=True)))
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
    residual = y - y.mean() - slope * (x - x.mean())
    assert (found.exponent, found.last) == (pytest.approx(slope), pytest.approx(0.5 / math.log(2)))
    assert found.error == pytest.approx(math.sqrt((residual**2).sum() / ((x - x.mean()) ** 2).sum()))
    assert found.bent


def test_what_is_swept(tmp_path: Path) -> None:
    def found(name: str, *jobs: Timing) -> tuple[str, bool, tuple[str, ...]] | None:
        for one in jobs:
            write_job(tmp_path / name, one, ("loop",), curves=False)
        swept = sweep(timings(read([tmp_path / name])))
        return None if swept is None else (swept.name, swept.constant_tokens, swept.extras)

    constant = [job(seq_len=n, batch_size=4096 // n) for n in (16, 64, 256)]
    assert found("constant", *constant) == ("seq_len", True, ())
    assert found("length", *(job(seq_len=n) for n in (16, 64))) == ("seq_len", False, ())
    assert found("layers", *(job(num_layers=n) for n in (1, 2, 4))) == ("num_layers", False, ())
    presets = [job(seq_len=n, batch_size=16384 // n, hidden_size=256) for n in (64, 256, 1024)]
    assert found("presets", *constant, *presets) == ("seq_len", True, ("hidden_size", "tokens"))
    formats = [job(batch_size=n, dtype=dtype) for n in (1, 8) for dtype in ("float32", "bfloat16")]
    assert found("formats", *formats) == ("batch_size", False, ("dtype",))
    assert found("one", job()) is None
    for lengths, batches, longest in (((16, 64, 256, 1024), (1, 8), "seq_len"), ((16, 64), (1, 2, 4, 8), "batch_size")):
        grid = [job(seq_len=n, batch_size=b) for n in lengths for b in batches]
        other = "batch_size" if longest == "seq_len" else "seq_len"
        assert found(longest, *grid) == (longest, False, (other,)), "the longest sweeps"
    sizes = ((512, 16, 25), (1024, 64, 100), (256, 16, 150))
    shapes = [job(hidden_size=h, batch_size=b, seq_len=t) for h, b, t in sizes]
    assert found("shapes", *shapes) is None
    (table,) = tables_of(tmp_path / "shapes").values()
    assert [(row["T"], row["B"], row["H"]) for row in rows(table)[::3]] == [
        ("25", "16", "512"), ("100", "64", "1024"), ("150", "16", "256"),
    ]  # fmt: skip
    assert {"forward (µs a sequence)", "step (µs a sequence)"} <= set(rows(table)[0])
    both = [job(("lstm",), input_size=123, num_layers=n, bidirectional=n > 1) for n in (1, 4)]
    assert found("braun", *both, job(("lstm",), hidden_size=512, seq_len=30)) is None
    (table,) = tables_of(tmp_path / "braun").values()
    assert [(row["I"], row["layers"], row["bidirectional"]) for row in rows(table)] == [
        ("H", "1", "no"), ("123", "1", "no"), ("123", "4", "yes"),
    ]  # fmt: skip
    lines = rows(tables_of(tmp_path / "formats")["timing"])
    assert [row["B"] + row["dtype"] for row in lines[::3]] == ["1bfloat16", "1float32", "8bfloat16", "8float32"]


def test_what_only_the_smallest_size_has_memory_for_hides_no_sweep(tmp_path: Path) -> None:
    """Three lengths in two number formats, one of which could be timed at the first alone: its other jobs were refused,
    or failed, and then do not say where.
    """
    for dtype in ("float32", "bfloat16"):
        for length in (64, 256, 1024):
            one = job(("gru",), seq_len=length, dtype=dtype)
            lost = dtype == "bfloat16" and length > 64
            refused = {f"gru/{name}": OUT for name in ("loop", "torch")} if lost else {}
            write_job(
                tmp_path / "s",
                one,
                ("loop", "torch"),
                refused=refused,
                status="failed" if lost and length > 256 else "done",
            )
    swept = sweep(timings(read([tmp_path / "s"])))
    assert (swept.name, swept.values, swept.extras) == ("seq_len", (64, 256, 1024), ("dtype",))
    by_name = tables_of(tmp_path / "s")
    assert {"speedup", "scaling"} <= set(by_name)
    lines = {(row["backend"], row["dtype"]): row for row in rows(by_name["speedup"])}
    assert lines["torch", "bfloat16"]["T = 256"] == "out of memory"
    assert lines["torch", "bfloat16"]["T = 1024"] == "–"
    assert all(lines["torch", "float32"][f"T = {length}"][0].isdigit() for length in (64, 256, 1024))
    nothing = [job(("gru",), seq_len=length) for length in (64, 256)]
    for one in nothing:
        write_job(tmp_path / "t", one, ("loop",), refused={"gru/loop": OUT} if one.seq_len > 64 else {})
    assert sweep(timings(read([tmp_path / "t"]))) is None, "at a single size nothing grows"


def test_of_two_jobs_of_one_size_the_longer_one_counts(tmp_path: Path) -> None:
    for length in (64, 128, 256):
        write_job(tmp_path / "s", job(("gru",), seq_len=length), ("loop",), lambda *_: 1.0)
    for samples in (10, 50):
        again = job(("gru",), seq_len=128, samples=samples)
        write_job(tmp_path / "s", again, ("loop",), lambda *_, samples=samples: float(samples))  # type: ignore[misc]
    found = timings(read([tmp_path / "s"]))
    swept = sweep(found)
    (line,) = swept.lines(found).values()
    assert [one.result.run["samples"] for one in line] == [30, 50, 30]

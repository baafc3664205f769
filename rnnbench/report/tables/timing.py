"""The table of all that a throughput study measured, contestant by contestant; nothing is averaged over jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rnnbench.report.results import Result
from rnnbench.report.tables.notes import caption, exemptions, outcomes
from rnnbench.report.tables.sweeps import scaling_table, speedup_table
from rnnbench.report.tables.table import MISSING, Column, Row, Table, number, with_ends
from rnnbench.report.timings import SETTINGS, SweptSetting, Timed, differing, in_words, is_decoding, sweep, timings

#: Milliseconds a call: what, its column's title and importance.
TIMES = (
    ("forward", "forward (ms)", 4),
    ("train_forward", "train forward (ms)", 8),
    ("backward", "backward (ms)", 7),
    ("update", "update (ms)", 9),
    ("step", "step (ms)", 0),
    ("step_cpu", "step, CPU (ms)", 5),
    ("replay_forward", "forward, replayed (ms)", 6),
    ("replay_step", "step, replayed (ms)", 3),
)
#: The same a token, in microseconds.
LATENCIES = (
    ("decode", "latency (µs a token)", 0),
    ("decode_cpu", "CPU (µs a token)", 5),
    ("replay_decode", "replayed (µs a token)", 1),
)
#: Beside these stands the interquartile range; of the others the csv has it.
WITH_SPREAD = ("forward", "step", "decode", "replay_decode")
#: The study whose table is laid beside others' in microseconds a sequence.
PUBLISHED = "published_shapes"
#: Numbers of a contestant that the csv has as they are.
RAW = (
    "tokens_per_second", "speedup", "speedup_low", "speedup_high", "peak_mib", "joules_per_token", "certificate",
    *(f"{what}_{end}" for what in ("forward", "step", "decode")
      for end in ("flops", "bytes", "floor_ms", "share", "loop_floor_ms", "loop_share")),
)  # fmt: skip


def timing_tables(results: Sequence[Result]) -> list[Table]:
    """For training and for decoding: all that was measured, and along a swept setting the speed-ups and exponents."""
    out: list[Table] = []
    for decoding in (False, True):
        if jobs := [result for result in results if is_decoding(result) == decoding]:
            timed = timings(jobs)
            swept = sweep(timed)
            out.append(_timing_table(timed, jobs, swept))
            if swept is not None:
                out += [speedup_table(timed, jobs, swept), scaling_table(timed, jobs, swept)]
    return [table for table in out if table.rows]


def _timing_table(timed: Sequence[Timed], jobs: Sequence[Result], swept: SweptSetting | None) -> Table:
    decoding = is_decoding(jobs[0])
    settings = differing(timed) or ["hidden_size" if decoding else "seq_len"]
    energies = [one.numbers["joules_per_token"] for one in timed if "joules_per_token" in one.numbers]
    micro = bool(energies) and max(energies) < 0.01
    follower = "batch_size" if swept is not None and swept.constant_tokens else None
    batches = "batch_size" in settings and follower is None
    by_sequence = not decoding and (batches or jobs[0].study == PUBLISHED)
    columns = (
        Column("cell", "cell", 0, left=True),
        Column("backend", "backend", 0, left=True),
        *(Column(n, SETTINGS[n], 9 if n == follower else 0, left=n in ("dtype", "device")) for n in settings),
        *(Column(what, title, importance) for what, title, importance in (*LATENCIES, *TIMES)),
        Column("tokens_per_second", "tokens/s", 2),
        *(Column(f"{what}_a_sequence", f"{what} (µs a sequence)", 8) for what in ("forward", "step") if by_sequence),
        Column("speedup", "speed-up over loop", 1),
        Column("share", "floor", 3),
        Column("loop_share", "floor of a loop", 3),
        Column("peak_mib", "peak (MiB)", 4),
        Column("joules_per_token", f"{'µ' if micro else 'm'}J a token", 5),
        Column("certificate", "correctness", 5),
        Column("refused", "not timed", 10, left=True),
    )
    rows = tuple(_row(one, settings, micro) for one in timed)
    name = "decoding" if decoding else "timing"
    return Table(name, columns, rows, notes=_notes(jobs), caption=caption(jobs)).without_empty_columns()


def _row(one: Timed, settings: Sequence[str], micro: bool) -> Row:
    numbers = one.numbers
    raw: dict[str, Any] = {"cell": one.cell, "backend": one.backend} | one.settings | {"status": one.result.status}
    text = {"cell": one.cell, "backend": one.backend or MISSING, "refused": one.refused or ""}
    text |= {name: in_words(name, one.settings[name]) for name in settings}
    for what, _, _ in (*LATENCIES, *TIMES):
        median, spread = numbers.get(f"{what}_ms"), numbers.get(f"{what}_iqr_ms")
        raw |= {f"{what}_ms": median, f"{what}_iqr_ms": spread}
        unit = 1e3 if "decode" in what else 1.0
        beside = f" ({number(unit * spread, 2)})" if spread is not None and what in WITH_SPREAD else ""
        text[what] = number(_times(median, unit), 3) + beside
    raw |= {name: numbers.get(name) for name in RAW}
    if one.refused is not None:  # said in short where the time would stand, for that column is always there
        text[one.main] = one.refused.split(":")[0]
    for what in ("forward", "step"):
        raw[f"{what}_a_sequence"] = _times(raw[f"{what}_ms"], 1e3 / one.settings["batch_size"])
        text[f"{what}_a_sequence"] = number(raw[f"{what}_a_sequence"], 3)
    middle, low, high = raw["speedup"], raw["speedup_low"], raw["speedup_high"]
    text["speedup"] = MISSING if middle is None or low == high == 1.0 else with_ends(middle, low, high)
    for name in ("share", "loop_share"):
        share = _times(raw[f"{one.main}_{name}"], 100)
        text[name] = MISSING if share is None else f"{number(share, 2)} %"
    text |= {name: number(raw[name], 3) for name in ("tokens_per_second", "peak_mib")}
    text["joules_per_token"] = number(_times(raw["joules_per_token"], 1e6 if micro else 1e3), 3)
    text["certificate"] = number(raw["certificate"], 2)
    raw |= {"kernels": one.result.metrics.get(f"{one.label}/{one.backend}/kernels"), "refused": one.refused}
    return Row(raw, text)


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else factor * value


def _notes(jobs: Sequence[Result]) -> tuple[tuple[str, str], ...]:
    decoding = is_decoding(jobs[0])
    samples = _range([job.run.get("samples") for job in jobs], "{:g}".format)
    turns = f" of {samples} turns" if samples else ""
    replayed = "Replayed: the same work as one CUDA graph, so that Python hands over nothing in between."

    def measured(name: str, unit: str) -> str:
        return _range([job.number(f"{name}_per_second") for job in jobs], lambda value: rate(value, unit))

    gemm, copy, step = measured("gemm_flops", "FLOP/s"), measured("copy_bytes", "B/s"), measured("step_flops", "FLOP/s")
    ceilings = f" (measured here: {gemm}, {copy})" if gemm and copy else ""
    step_rate = f" (measured here: {step})" if step else ""
    lost = [job for job in jobs if not job.done]
    return (
        ("decode", f"Latency: the median{turns} of one stream, the interquartile range in parentheses."),
        ("step", f"Times are medians{turns}, the interquartile range in parentheses; a step is train forward, backward "
         "and the optimiser's update."),
        ("replay_step", replayed),
        ("replay_decode", replayed),
        ("speedup", f"Speed-up: our loop's {'latency' if decoding else 'training step'} over this one, with its 95 % "
         "interval."),
        ("share", "Floor: the time that this device takes at the least for the matrix products, or for moving "
         f"what must be moved, as fast as a copy of that size{ceilings}, as a share of the time taken."),
        ("loop_share", "Floor of a loop over time: the state's products go at the rate of one time step's, "
         f"(B × H)(H × 4H){step_rate}, all else as above."),
        ("step_cpu", "CPU: the processor's time, which others on the machine disturb less; the process stays on one "
         "core."),
        ("peak_mib", f"Peak: the most memory in use during {'decoding' if decoding else 'a training step'}, beyond "
         "weights and inputs."),
        ("certificate", "Correctness: largest error against the float64 loop, in units of this dtype's own loop's."),
        ("cell", f"{len(lost)} of {len(jobs)} timing jobs {outcomes(lost)}; what they did not measure is left open."
         if lost else ""),
        *(("cell", sentence) for sentence in exemptions(jobs)),
    )  # fmt: skip


def _range(values: Sequence[float | None], show: Callable[[float], str]) -> str:
    """``12 to 31 GFLOP/s``; nothing where none is known."""
    known = [value for value in values if value is not None]
    return " to ".join(dict.fromkeys((show(min(known)), show(max(known))))) if known else ""


def rate(value: float, unit: str) -> str:
    """Three digits and a prefix: 41.3 TFLOP/s."""
    power = min(max(int(math.log10(value)) // 3, 0), 5)
    return f"{number(value / 1000**power, 3)} {['', 'k', 'M', 'G', 'T', 'P'][power]}{unit}"

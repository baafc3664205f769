"""Synthetic results of timings: the files of `measure`, with times from a formula and rounds that shake all alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnbench.config import CellConfig
from rnnbench.config.timing import Timing
from rnnbench.report.results import read
from rnnbench.report.tables.table import Table
from rnnbench.report.tables.training import tables

ENVIRONMENT = {
    "commit": "0123456789abcdef",
    "torch": "2.13.0",
    "device": "cuda",
    "device_name": "NVIDIA H200",
    "driver": "570.1",
    "clocks_mhz": {"sm": [1755, 1980], "memory": [3201, 3201]},
    "threads": 1,
}
GATES = {"rnn": 1.0, "gru": 3.0, "lstm": 4.0}
SPEED = {"plain": 0.5, "loop": 1.0, "torch": 8.0, "graph": 4.0, "scan": 6.0}
#: A study's cells, contestants and lengths; the plain LSTM runs out of memory, cuDNN's RNN is wrong, two others cannot.
CELLS = ("rnn", "lstm", "gru")
BACKENDS = ("plain", "loop", "torch", "graph")
LENGTHS = (64, 128, 256, 512, 1024)
OUT = "out of memory: B 16 × T 1024 × H 128, float32, did not fit into 21.3 GiB"
WRONG = "wrong result: the error of grad bias_ih is 19.9 times the loop's"
CANNOT = {"fla": "fla is not installed; pip install flash-linear-attention", "scan": "its next state is not linear"}


def job(cells: Sequence[str] = CELLS, **parts: object) -> Timing:
    """A `Timing` of cells by name."""
    return Timing(cells=tuple(map(CellConfig, cells)), **parts)  # type: ignore[arg-type]


def tables_of(path: Path) -> dict[str, Table]:
    """A study's tables by name."""
    return {table.name: table for table in tables(read([path]))}


def rows(table: Table) -> list[dict[str, str]]:
    """As a reader of the Markdown sees them."""
    titles = {column.key: column.title for column in table.columns}
    return [{title: row.text.get(key, "") for key, title in titles.items()} for row in table.rows]


def write_study(folder: Path) -> Path:
    """`CELLS` × `BACKENDS` × `LENGTHS` at constant tokens."""
    for length in LENGTHS:
        refused = {f"{cell}/{name}": reason for cell in CELLS for name, reason in CANNOT.items()} | {"rnn/torch": WRONG}
        refused |= {"lstm/plain": OUT} if length == 1024 else {}
        now = ENVIRONMENT | {"clocks_mhz": {"sm": [1980 if length > 64 else 1755, 1980], "memory": [3201, 3201]}}
        one = job(seq_len=length, batch_size=16384 // length)
        write_job(folder, one, (*BACKENDS, *CANNOT), refused=refused, environment=now)
    return folder


def launch_bound(cell: str, backend: str, job: Timing) -> float:
    """Seconds of a training step, or of a symbol: a time step's kernel costs 10 µs a gate, arithmetic 10 TFLOP/s."""
    gates = GATES.get(cell, 2.0)
    arithmetic = 6 * gates * 2 * job.hidden_size**2 * (1 if job.what == "decoding" else job.tokens) / 1e13
    return 1e-5 * gates * (1 if job.what == "decoding" else job.seq_len) / SPEED.get(backend, 3.0) + arithmetic


def write_job(
    study: Path,
    job: Timing,
    backends: Iterable[str],
    time_of: Callable[[str, str, Timing], float] = launch_bound,
    refused: Mapping[str, str] | None = None,
    curves: bool = True,
    status: str = "done",
    environment: Mapping[str, Any] = ENVIRONMENT,
    shake: float = 0.3,
) -> Path:
    """One job's folder.

    time_of: Seconds of a step, or of a symbol.
    refused: CELL/BACKEND to the sentence; these have no times. status: done or failed; a failed one has no metrics.
    shake: Standard deviation of the logarithm of a round's effect on all its times.
    """
    random = np.random.default_rng([job.seq_len, job.batch_size, job.hidden_size])
    rounds = np.exp(random.normal(0, shake, job.samples))
    metrics: dict[str, Any] = {"work": "layer", "gemm_flops_per_second": 4e13, "copy_bytes_per_second": 4e12}
    samples: dict[str, Any] = {}
    for cell in (CellConfig.parse(cell).label for cell in job.cells):
        for name in (f"{cell}/{backend}" for backend in backends):
            if refused and name in refused:
                metrics[f"{name}/refused"] = refused[name]
                continue
            seconds = time_of(*name.split("/"), job) * rounds * np.exp(random.normal(0, 0.02, job.samples))
            shares = {"decode": 1.0, "replay_decode": 0.4}
            if job.what == "training":
                shares = {"forward": 0.25, "train_forward": 0.3, "backward": 0.6, "update": 0.1, "step": 1.0}
                shares |= {"replay_forward": 0.1, "replay_step": 0.4}
            for part, share in shares.items():
                samples[f"{name}/{part}"] = share * seconds
                low, middle, high = np.percentile(1e3 * share * seconds, [25, 50, 75])
                metrics |= {f"{name}/{part}_ms": middle, f"{name}/{part}_iqr_ms": high - low}
            main = "decode" if job.what == "decoding" else "step"
            tokens = 1 if job.what == "decoding" else job.tokens
            flops, traffic = 12 * GATES.get(cell, 2.0) * job.hidden_size**2, 20.0 * job.hidden_size
            floor = 1e3 * tokens * max(flops / 4e13, traffic / 4e12)
            metrics |= {
                f"{name}/tokens_per_second": 1e3 * tokens / metrics[f"{name}/{main}_ms"],
                f"{name}/peak_mib": 2.0**-18 * job.tokens * job.hidden_size * GATES.get(cell, 2.0),
                f"{name}/joules_per_token": 4e-4,
                f"{name}/{main}_flops": flops,
                f"{name}/{main}_bytes": traffic,
                f"{name}/{main}_floor_ms": floor,
                f"{name}/{main}_share": floor / metrics[f"{name}/{main}_ms"],
                f"{name}/certificate": 1.0,
                f"{name}/speedup": time_of(cell, "loop", job) / time_of(*name.split("/"), job),
                f"{name}/kernels": "a_kernel",
            }
    folder = study / job.id
    folder.mkdir(parents=True)
    result = {
        "id": job.id,
        "kind": "timing",
        "status": status,
        "run": job.to_dict(),
        "metrics": metrics if status == "done" else {},
        "environment": environment if status == "done" else {},
        "started": "2026-11-23T22:00:00",
        "seconds": 3.0,
    }
    if status == "failed":
        result["error"] = "RuntimeError: no"
    elif curves:
        np.savez(folder / "curves.npz", **samples)
        result["curves"] = "curves.npz"
    (folder / "result.json").write_text(json.dumps(result))
    return folder

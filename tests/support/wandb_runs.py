"""Runs that are mirrored offline, and what wandb's own reader finds in their files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, ProbeConfig, Run

REFUSED = "http://127.0.0.1:9"  # the discard port: nothing listens there


@contextmanager
def own_environment(home: Path) -> Iterator[pytest.MonkeyPatch]:
    """No key, no server, no home folder of the developer's; what wandb and the mirror set is undone at the end."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("WANDB_BASE_URL", REFUSED)
        patch.setenv("HOME", str(home))
        for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR", "WANDB_SILENT", "WANDB_HTTP_TIMEOUT"):
            patch.setenv(name, "")
            patch.delenv(name)
        yield patch


def small_run(text: Path, cell: str | Mapping[str, Any] = "gru", seed: int = 0, seq_len: int = 16) -> Run:
    """A run of a few steps that probes along the way."""
    return Run(
        cell=CellConfig.parse(cell),
        model=ModelConfig(hidden_size=16),
        data=DataConfig(path=str(text), seq_len=seq_len, batch_size=8),
        budget=BudgetConfig(steps=60, evals=2),
        probes=ProbeConfig(seq_len=16, batch_size=2, every=20, lyapunov=1),
        seed=seed,
    )


def inspected(run: Path) -> list[dict[str, Any]]:
    """The records of an offline run's folder, read by wandb's own reader."""
    out = subprocess.run(
        [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(run)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout
    return [json.loads(line) for line in out.splitlines()]

"""A study's summary as a run of W&B of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnnbench.tracking.session import one_line, open_run, say

Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]


def log_summary(folder: Path, study: str, tables: Sequence[Table], figures: Sequence[Path], mode: str) -> None:
    """A study's summary as a W&B run of its own, ``<study>-summary``, which replaces an earlier one.

    Args:
        folder: The study's folder; W&B's files go to ``folder/wandb``.
        study: The study's name.
        tables: (name, columns, rows) each.
        figures: PNG files; others are left out, W&B shows none of them.
        mode: As for `WandbMirror.open`.
    """
    about = {"group": study, "job_type": "summary", "name": f"{study}-summary", "tags": ["summary"]}
    try:
        run = open_run(folder, f"{study}-summary", {"study": study}, mode, "rnnbench", about)
        if run is None:
            return
        import wandb

        with run:
            for name, columns, rows in tables:
                data: list[Any] = [[_cell_value(value) for value in row] for row in rows]
                run.log({name: wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)})
            for path in figures:
                if path.suffix == ".png":
                    run.log({path.stem: wandb.Image(str(path))})
    except Exception as error:
        say(f"wandb has no summary of {study} ({one_line(error)}); the report is on disk.")


def _cell_value(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)

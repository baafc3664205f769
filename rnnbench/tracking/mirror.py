"""A run of ours as a run of W&B, row by row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.tracking.charts import FLOW_CHART, HEAT_MAP, flow_chart, heat_map
from rnnbench.tracking.session import one_line, open_run, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class WandbMirror:
    """One run of ours as one run of W&B; inert when disabled or after a failure.

    >>> mirror = WandbMirror()
    >>> mirror.open(folder, study="seqlen", run_id="lstm-kjv-T64-s0-1f2e3d4c", config={"seed": 0}, mode="offline")
    >>> mirror.rows([{"step": 100, "tokens": 204_800, "train/bpc": 2.5}])
    >>> mirror.finish({"test/bpc": 2.2}, {})
    """

    def __init__(self) -> None:
        self._run: Any = None

    def open(
        self, folder: Path, study: str, run_id: str, config: dict[str, Any], mode: str, project: str = "rnnbench"
    ) -> None:
        """Begin; what an earlier, unfinished attempt left offline is deleted, so that the caller replays its rows.

        Args:
            folder: The study's folder; the W&B files of all its runs go to ``folder/wandb``, to be seen side by side.
            study: W&B's group.
            run_id: The run's name, and, made safe, its id.
            config: The Run as nested plain values; `flat_keys` are added.
            mode: offline, online (falls back to offline without a key or a server) or disabled.
            project: W&B's project.
        """
        cell = config.get("cell")
        job_type = cell_label(cell) if cell is not None else str(config.get("kind", "run"))
        data = config.get("data") or {}
        tags = [str(tag) for tag in (job_type, data.get("name"), data.get("seq_len") and f"T={data['seq_len']}") if tag]
        about = {"group": study, "job_type": job_type[:64], "name": run_id, "tags": [tag[:64] for tag in tags]}
        config = config | flat_keys(study, config)
        with self._guard():
            self._run = open_run(folder, run_id, config, mode, project, about)

    def row(self, row: Mapping[str, Any]) -> None:
        """One line of the history: ``step``, and whatever was measured at it."""
        with self._guard():
            if self._run is not None:
                self._run.log(dict(row))

    def rows(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Several lines of the history, in order."""
        for row in rows:
            self.row(row)

    def finish(self, metrics: Mapping[str, Any], curves: Mapping[str, NDArray[np.float64]]) -> None:
        """The summary, the pictures of gradient flow, and the end; later calls do nothing.

        Args:
            metrics: The ledger's flat metrics.
            curves: Natural logs of G: init/gradient_flow and final/gradient_flow, (K+1,), make a chart;
                along/gradient_flow, (P, K+1), at the steps along/step, (P,), a heat map. Others are left out.
        """
        with self._guard():
            if self._run is not None:
                self._run.summary.update({key: value for key, value in metrics.items() if value is not None})
                if chart := flow_chart(curves):
                    self._run.log({FLOW_CHART: chart})
                if picture := heat_map(curves):
                    self._run.log({HEAT_MAP: picture})
        run, self._run = self._run, None
        with self._guard():
            if run is not None:
                run.finish()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """A failure inside wandb ends the mirroring, not the run."""
        try:
            yield
        except Exception as error:
            self._run = None
            say(f"wandb is off for this run ({one_line(error)}); its results are in the ledger.")


def flat_keys(study: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What dashboards group, filter and order by, under keys of one word.

    A cell is a name or a mapping, and its label is neither; a timing has its length at the top, a run below data.
    """
    found: dict[str, Any] = {"study": study}
    data = config.get("data") or {}
    if config.get("cell") is not None:
        found["cell_label"] = cell_label(config["cell"])
    if data:
        found["dataset"] = Path(data["path"]).stem if data.get("path") else data.get("name")
        found["seq_len"] = data.get("seq_len")
    return found


def cell_label(cell: str | Mapping[str, Any]) -> str:
    """The label of a cell as a run's configuration has it."""
    from rnnbench.config import CellConfig

    return CellConfig.parse(cell).label

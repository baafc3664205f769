"""A run, or a study's summary, as a run of W&B."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnbench.tracking.session import one_line, open_run, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Curves = Mapping[str, NDArray[np.float64]]

#: The keys of the gradient flow's pictures; of the chart's rows W&B makes a table under the first and "_table".
FLOW_CHART, HEAT_MAP = "gradient flow", "gradient flow along training"
Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]


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

    def finish(self, metrics: Mapping[str, Any], curves: Curves) -> None:
        """The summary, the pictures of gradient flow, and the end; later calls do nothing.

        curves: natural logs of G: init/gradient_flow and final/gradient_flow, (K+1,), make a chart;
        along/gradient_flow, (P, K+1), at the steps along/step, (P,), a heat map. Others are left out.
        """
        with self._guard():
            if self._run is not None:
                self._run.summary.update({key: value for key, value in metrics.items() if value is not None})
                if chart := _flow_chart(curves):
                    self._run.log({FLOW_CHART: chart})
                if picture := _heat_map(curves):
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
            say(f"wandb is off for this run ({one_line(error)}); its results are in the run directory.")


def flat_keys(study: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """What dashboards group, filter and order by, under keys of one word.

    A cell is a name or a mapping, and its label is neither; a timing has its length at the top, a run below data.
    """
    keys: dict[str, Any] = {"study": study}
    if config.get("cell") is not None:
        keys["cell_label"] = cell_label(config["cell"])
    if data := config.get("data"):
        keys["dataset"] = Path(data["path"]).stem if data.get("path") else data.get("name")
        keys["seq_len"] = data.get("seq_len")
    return keys


def cell_label(cell: str | Mapping[str, Any]) -> str:
    """The label of a cell as a run's configuration has it."""
    from rnnbench.config import CellConfig

    return CellConfig.parse(cell).label


def _flow_chart(curves: Curves) -> Any:
    """A W&B line chart of log₁₀ G(k)/G(0), init and final; None without curves."""
    labels = {"init/gradient_flow": "init", "final/gradient_flow": "end"}
    chosen = {label: curves[name] for name, label in labels.items() if name in curves}
    if not chosen:
        return None
    import wandb

    ys = [[(float(value) - float(curve[0])) / math.log(10) for value in curve] for curve in chosen.values()]
    xs = [list(range(len(y))) for y in ys]
    title = "gradient flow, init and end: log10 G(k)/G(0)"
    return wandb.plot.line_series(xs=xs, ys=ys, keys=list(chosen), title=title, xname="lag")


def _heat_map(curves: Curves) -> Any:
    """A W&B image of log₁₀ G(k)/G(0), lag × training step; None of fewer than two steps."""
    steps, flow = curves.get("along/step"), curves.get("along/gradient_flow")
    if steps is None or flow is None or len(steps) < 2:
        return None
    import numpy as np
    import wandb
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from rnnbench.probes.heat_map import LABEL, flow_heat_map

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    mesh = flow_heat_map(figure.subplots(), np.asarray(steps, float), (flow - flow[:, :1]) / math.log(10))
    figure.colorbar(mesh, label=LABEL)
    pixels = FigureCanvasAgg(figure)
    pixels.draw()
    return wandb.Image(np.asarray(pixels.buffer_rgba())[..., :3])


def log_summary(folder: Path, study: str, tables: Sequence[Table], figures: Sequence[Path], mode: str) -> None:
    """A study's summary as a W&B run of its own, ``<study>-summary``, which replaces an earlier one.

    folder: the study's; W&B's files go to ``folder/wandb``. tables: (name, columns, rows) each. figures: the PNG
    files among them are shown. mode: as for `WandbMirror.open`.
    """
    about = {"group": study, "job_type": "summary", "name": f"{study}-summary", "tags": ["summary"]}
    try:
        run = open_run(folder, f"{study}-summary", {"study": study}, mode, "rnnbench", about)
        if run is None:
            return
        import wandb

        plain = (str, int, float, type(None))
        with run:
            for name, columns, rows in tables:
                data: list[Any] = [[value if isinstance(value, plain) else str(value) for value in row] for row in rows]
                run.log({name: wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)})
            for path in figures:
                if path.suffix == ".png":
                    run.log({path.stem: wandb.Image(str(path))})
    except Exception as error:
        say(f"wandb has no summary of {study} ({one_line(error)}); the report is on disk.")

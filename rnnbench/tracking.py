"""The projection of the ledger into Weights & Biases.

Offline unless asked otherwise: the files lie beside the run, ``wandb sync`` uploads them. Nothing here prompts, waits
without bound, or lets a failure of wandb reach the run: it says so in one line on stderr and falls silent. What a user
has set through WANDB_* variables (entity, base URL, key) keeps its meaning.
"""

from __future__ import annotations

import math
import netrc
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from rnnbench.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODES = ("offline", "online", "disabled")
#: Seconds that wandb may take to reach its server, and to hand over what is left at the end.
INIT_SECONDS, FINISH_SECONDS = 10.0, 30.0

#: Set by the first attempt that fails: the process's later runs do not wait for the server again.
_out_of_reach = False

Table = tuple[str, Sequence[str], Sequence[Sequence[Any]]]


def mode_from_environment(asked: str | None) -> str:
    """offline, online or disabled: what was asked for, else WANDB_MODE, else offline.

    Raises:
        UserError: Something else was asked for.
    """
    if asked is not None:
        if asked not in MODES:
            raise UserError(f'the wandb mode must be one of {", ".join(MODES)}, got "{asked}".')
        return asked
    found = os.environ.get("WANDB_MODE", "")
    return found if found in MODES else "offline"


def out_of_reach() -> bool:
    """Has this process found the server out of reach?"""
    return _out_of_reach


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
            config: The Run as nested plain values.
            mode: offline, online (falls back to offline without a key or a server) or disabled.
            project: W&B's project.
        """
        cell = config.get("cell")
        job_type = cell_label(cell) if cell is not None else str(config.get("kind", "run"))
        data = config.get("data") or {}
        tags = [str(tag) for tag in (job_type, data.get("name"), data.get("seq_len") and f"T={data['seq_len']}") if tag]
        about = {"group": study, "job_type": job_type[:64], "name": run_id, "tags": [tag[:64] for tag in tags]}
        with self._guard():
            self._run = _open(folder, run_id, config, mode, project, about)

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
                if chart := _flow_chart(curves):
                    self._run.log({"gradient flow": chart})
                if picture := _heat_map(curves):
                    self._run.log({"gradient flow along training": picture})
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
            _say(f"wandb is off for this run ({_one_line(error)}); its results are in the ledger.")


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
        run = _open(folder, f"{study}-summary", {"study": study}, mode, "rnnbench", about)
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
        _say(f"wandb has no summary of {study} ({_one_line(error)}); the report is on disk.")


def cell_label(cell: str | Mapping[str, Any]) -> str:
    """The label of a cell as a run's configuration has it."""
    from rnnbench.config import CellConfig

    return CellConfig.parse(cell).label


def _open(folder: Path, run_id: str, config: dict[str, Any], mode: str, project: str, about: dict[str, Any]) -> Any:
    """A live W&B run, or None when disabled."""
    global _out_of_reach
    if mode == "disabled":
        return None
    os.environ.setdefault("WANDB_SILENT", "true")  # Settings(silent=True) comes too late for the log-in's words
    remove_earlier(folder, run_id)
    if mode == "online" and not _out_of_reach:
        try:
            if _has_key():
                return _init(folder, run_id, config, "online", project, about)
            reason = "finds no API key, see `wandb login`"
        except Exception as error:
            reason = f"is out of reach, {_one_line(error)}"
            _forget_failed_start()
            remove_earlier(folder, run_id)
        _out_of_reach = True
        _say(f"wandb {reason}; going on offline, later `wandb sync {folder / 'wandb'}/offline-run-*` uploads it.")
    return _init(folder, run_id, config, "offline", project, about)


def _safe(run_id: str) -> str:
    """The id in W&B's alphabet and length; the hash that makes it unique stands at the end."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", run_id)[-64:]


def remove_earlier(folder: Path, run_id: str) -> None:
    """Delete what an unfinished attempt at the same run, or the run itself, has left in its study's folder."""
    for earlier in (folder / "wandb").glob(f"*run-*-{_safe(run_id)}"):
        shutil.rmtree(earlier, ignore_errors=True)


def _forget_failed_start() -> None:
    """End wandb's service: it goes on trying, and holds the run's id, which the offline run needs."""
    import wandb

    wandb.teardown(exit_code=1)


def _init(
    folder: Path,
    run_id: str,
    config: dict[str, Any],
    mode: Literal["online", "offline"],
    project: str,
    about: dict[str, Any],
) -> Any:
    import wandb

    if mode == "offline":
        _no_telemetry()
    settings = wandb.Settings(
        silent=True,
        console="off",
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        x_transaction_log_flush_interval=0.2,  # a killed run loses a fifth of a second, not 15 s
        init_timeout=INIT_SECONDS,
        login_timeout=INIT_SECONDS,
        finish_timeout=FINISH_SECONDS,
    )
    os.environ.update({name: str(folder / "wandb" / name.lower()) for name in ("WANDB_DATA_DIR", "WANDB_CACHE_DIR")})
    run = wandb.init(
        dir=folder,
        id=_safe(run_id),
        config=config,
        mode=mode,
        project=project,
        reinit="create_new",
        settings=settings,
        **about,
    )
    run.define_metric("*", step_metric="step")
    return run


def _no_telemetry() -> None:
    """What wandb reports of its own use is sent, and waited for, where WANDB_MODE says online and we do not."""
    with suppress(Exception):  # not in every version of wandb, and not in the same place
        from wandb.analytics.opentelemetry import opentelemetry_proxy

        opentelemetry_proxy.disable()


def _has_key() -> bool:
    """Whether wandb would find an API key without asking for one: in the environment, or in the netrc file."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    import wandb

    host = urlsplit(wandb.Settings().base_url).netloc
    for path in (os.environ.get("NETRC"), Path.home() / ".netrc", Path.home() / "_netrc"):
        try:
            if path and netrc.netrc(path).authenticators(host):
                return True
        except (OSError, netrc.NetrcParseError):
            continue
    return False


def _flow_chart(curves: Mapping[str, NDArray[np.float64]]) -> Any:
    """A W&B line chart of log₁₀ G(k)/G(0), init and final; None without curves."""
    chosen = {name: curves[f"{name}/gradient_flow"] for name in ("init", "final") if f"{name}/gradient_flow" in curves}
    if not chosen:
        return None
    import wandb

    ys = [[(float(value) - float(curve[0])) / math.log(10) for value in curve] for curve in chosen.values()]
    return wandb.plot.line_series(
        xs=[list(range(len(y))) for y in ys],
        ys=ys,
        keys=["end" if name == "final" else name for name in chosen],
        title="gradient flow, init and end: log10 G(k)/G(0)",
        xname="lag",
    )


def _heat_map(curves: Mapping[str, NDArray[np.float64]]) -> Any:
    """A W&B image of log₁₀ G(k)/G(0), lag × training step; None of fewer than two steps."""
    steps, flow = curves.get("along/step"), curves.get("along/gradient_flow")
    if steps is None or flow is None or len(steps) < 2:
        return None
    import numpy as np
    import wandb
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from rnnbench.heatmap import LABEL, flow_heat_map

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    mesh = flow_heat_map(figure.subplots(), np.asarray(steps, float), (flow - flow[:, :1]) / math.log(10))
    figure.colorbar(mesh, label=LABEL)
    pixels = FigureCanvasAgg(figure)
    pixels.draw()
    return wandb.Image(np.asarray(pixels.buffer_rgba())[..., :3])


def _cell_value(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _one_line(error: Exception) -> str:
    return textwrap.shorten(f"{type(error).__name__}: {error}", 140, placeholder=" …")


def _say(text: str) -> None:
    print(f"rnnbench: {text}", file=sys.stderr)

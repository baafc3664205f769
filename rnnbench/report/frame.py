"""Results as a pandas DataFrame, a row a run: for questions that no table here asks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rnnbench.report.results import Result
from rnnbench.report.statistics import cell_rank, flat

if TYPE_CHECKING:
    import pandas as pd

#: The columns that every row has, in this order, before its settings and metrics.
ABOUT = ("study", "id", "kind", "protocol", "status", "cell", "data", "seq_len", "seed", "device", "backend", "seconds",
         "error")  # fmt: skip


def frame(results: Iterable[Result]) -> pd.DataFrame:
    """Finished jobs as a table: what each is, every setting under its dotted name, every metric under its own.

    >>> runs = frame(read([Path("experiments/results/quick/seqlen_perplexity")]))
    >>> runs.pivot_table(index="seq_len", columns="cell", values="test/bpc", sort=False)

    Rows are sorted as in the tables: by study, data and T, the plain cells first. ``study`` and ``id`` name a run's
    folder; ``cell`` is the cell's label, and its options are under ``cell.NAME`` as well; a timing has neither cell nor
    data. Then come the settings (``data.batch_size``, ``optim.lr``, …) and the metrics (``test/bpc``,
    ``init/hundredth_lag``, …) that some row has.

    A column is float64 (NaN where a number is missing), int64 (Int64 where some rows lack it), bool (boolean), str, or
    object where it holds nothing, or values of several kinds.

    results: As `rnnbench.report.results.read` gives them: runs that were lost too, ``status`` says which.
    """
    import pandas as pd

    rows = [_row(result) for result in results]
    rows.sort(key=lambda r: (r["study"], r["data"] or "", r["seq_len"], cell_rank(r["cell"] or ""), r["id"]))
    settings_first = sorted({name for row in rows for name in row} - set(ABOUT), key=lambda name: ("/" in name, name))
    names = [*ABOUT, *settings_first]
    return pd.DataFrame({name: _column([row.get(name) for row in rows]) for name in names}, columns=names)


def _row(result: Result) -> dict[str, Any]:
    """Flat, with None for what is missing."""
    run, training = dict(result.run), result.kind == "train"
    cell = run.pop("cell", None)
    options = {f"cell.{key}": v for key, v in cell.items() if key != "name"} if isinstance(cell, Mapping) else {}
    settings = {name: value for name, value in flat(run).items() if name not in ABOUT}
    # `Result.number` leaves words and NaN out.
    metrics = {name: v if isinstance(v, str | int) else result.number(name) for name, v in result.metrics.items()}
    return (
        settings
        | options
        | metrics
        | {
            "study": result.study,
            "id": result.id,
            "kind": result.kind,
            "protocol": result.protocol,
            "status": result.status,
            "cell": result.cell if training else None,
            "data": result.data if training else None,
            "seq_len": result.seq_len,
            "seed": run.get("seed"),
            "device": result.environment.get("device", run.get("device")),
            "backend": result.environment.get("backend"),
            "seconds": result.seconds,
            "error": result.error,
        }
    )


def _column(values: list[Any]) -> pd.Series:
    """One column, of the dtype that `frame` promises."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    complete = None not in values
    if kinds == {bool}:
        return pd.Series(values, dtype="bool" if complete else "boolean")
    if kinds == {int}:
        return pd.Series(values, dtype="int64" if complete else "Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    return pd.Series(values, dtype="str" if kinds == {str} else "object")

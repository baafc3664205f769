"""What the runs of a study log to W&B, told from the ledger: the mirror sends just that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rnnbench.report.results import Result
from rnnbench.report.statistics import flat
from rnnbench.tracking.charts import FLOW_CHART, HEAT_MAP
from rnnbench.tracking.mirror import flat_keys

#: history: logged at a step. summary: the last or final value. config: dotted. media: pictures. table: a chart's rows.
Place = Literal["run", "history", "summary", "config", "media", "table"]
#: What W&B knows of every run by itself.
BUILT_IN = frozenset({"group", "jobType", "name", "displayName", "state", "createdAt", "_step", "_runtime", "tags"})


class Key(NamedTuple):
    """Something that a panel, a filter or a group can refer to."""

    place: Place
    name: str


@dataclass(frozen=True)
class Logged:
    """All keys that at least one run of a study logs."""

    keys: frozenset[Key]

    def has(self, place: Place, *names: str) -> bool:
        """Are all of them logged?"""
        return all(Key(place, name) in self.keys for name in names)

    def names(self, place: Place, prefix: str = "") -> list[str]:
        """What is logged there and begins so, sorted."""
        return sorted(key.name for key in self.keys if key.place == place and key.name.startswith(prefix))


def logged(results: Sequence[Result]) -> Logged:
    """The keys that these runs log; those of a run that was cut off are what it got to."""
    keys = {Key("run", name) for name in BUILT_IN}
    for result in results:
        steps = {name for row in result.history() for name in row}
        final = {name for name, value in result.metrics.items() if value is not None}
        keys |= {Key("history", name) for name in steps}
        keys |= {Key("summary", name) for name in steps | final | ({"status"} if result.kind == "train" else set())}
        keys |= {Key("config", name) for name in flat({**result.run, **flat_keys(result.study, result.run)})}
        curves = result.curve_names if result.kind == "train" else frozenset()
        if curves & {"init/gradient_flow", "final/gradient_flow"}:
            keys.add(Key("table", f"{FLOW_CHART}_table"))
        along = result.curve("along/step") if "along/gradient_flow" in curves else None
        if along is not None and len(along) > 1:
            keys.add(Key("media", HEAT_MAP))
    return Logged(frozenset(keys))


def config_value(result: Result, name: str) -> Any:
    """What a run's W&B config has under a dotted key; None where it has nothing."""
    return flat({**result.run, **flat_keys(result.study, result.run)}).get(name)


def study_name(results: Sequence[Result], folder: Path) -> str:
    """The study that all of these runs are of, which is W&B's group.

    Raises:
        UserError: They are of several.
    """
    from rnnbench.errors import UserError

    names = sorted({result.study for result in results})
    if len(names) > 1:
        some = ", ".join(names[:4]) + (" …" if len(names) > 4 else "")
        raise UserError(f"{folder} holds {len(names)} studies ({some}); give the folder of one of them.")
    return names[0]

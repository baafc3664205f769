"""Every kind of task that the catalogue knows can be reported."""

from __future__ import annotations

from typing import get_args

from rnnbench.catalog import DATA_SETS, Kind
from rnnbench.report.task_families import TASK_FAMILIES
from rnnbench.training.metrics import PRIMARY_METRIC


def test_every_kind_has_its_scores() -> None:
    assert set(TASK_FAMILIES) == set(get_args(Kind)) >= {item.kind for item in DATA_SETS.values()}
    for kind in TASK_FAMILIES.values():
        assert kind.primary.metric in PRIMARY_METRIC.values()
        assert not kind.primary.more_is_better
        assert set(kind.baselines) <= set(kind.references)
        assert set(kind.notes) <= {score.key for score in kind.scores} | set(kind.references)

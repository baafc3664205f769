"""Every kind of task that the catalogue knows can be reported."""

from __future__ import annotations

from typing import get_args

from rnnbench.data.catalog import DATASETS
from rnnbench.data.entry import Kind
from rnnbench.modules.metrics import HEADLINE
from rnnbench.report.kinds import KINDS, split_reference


def test_every_kind_has_its_scores() -> None:
    assert set(KINDS) == set(get_args(Kind)) >= {item.kind for item in DATASETS.values()}
    for kind in KINDS.values():
        assert kind.headline.metric in HEADLINE.values()
        assert not kind.headline.more_is_better
        assert set(kind.fools) <= set(kind.references)
        assert set(kind.notes) <= {score.key for score in kind.scores} | set(kind.references)


def test_references_by_name_and_metric() -> None:
    assert split_reference("reference/seasonal_naive_mse") == ("seasonal_naive", "mse")
    assert split_reference("reference/guess_error_x16") == ("guess", "error_x16")
    assert split_reference("reference/xz_bpc") == ("xz", "bpc")
    assert split_reference("test/bpc") is None

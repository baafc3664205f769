"""A cluster for the tests that need a real one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from slurm.cluster import Cluster, running, why_not


@pytest.fixture
def real_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two simulated nodes with a processor each."""
    if reason := why_not():
        pytest.skip(reason)
    pytest.importorskip("submitit")
    yield from running(tmp_path / "cluster")

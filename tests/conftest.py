"""What all tests share: one thread, no network, a small text."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "disabled"

from pathlib import Path

import pytest

from rnnbench.system import machine

machine.prepare()

#: A text with structure to learn and a few thousand characters.
SENTENCES = (
    "the cell keeps a state and reads one symbol at a time. "
    "what it forgets it cannot use; what it keeps it must pay for. "
    "gradients flow back through every step, and vanish on the way! "
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deal the tests marked ``first`` to the beginnings of the shares that pytest-xdist gives its workers.

    A module that is marked as a whole stays together: its tests share what is expensive.
    """
    workers = getattr(config, "workerinput", {}).get("workercount", 1)
    groups: dict[object, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("first"):
            module = item.getparent(pytest.Module)
            whole = module is not None and any(marker.name == "first" for marker in module.own_markers)
            groups.setdefault(module if whole else item, []).append(item)
    rest = [item for item in items if not item.get_closest_marker("first")]
    size = -(-len(items) // workers)
    order: list[pytest.Item] = []
    for worker in range(workers):
        dealt = [item for group in list(groups.values())[worker::workers] for item in group]
        order += dealt + rest[: size - len(dealt)]
        rest = rest[size - len(dealt) :]
    items[:] = order + rest


@pytest.fixture(scope="session")
def small_text() -> str:
    """20,000 characters."""
    return (SENTENCES * 200)[:20_000]


@pytest.fixture
def text_file(tmp_path: Path, small_text: str) -> Path:
    """The small text as a UTF-8 file."""
    path = tmp_path / "small.txt"
    path.write_text(small_text, encoding="utf-8")
    return path

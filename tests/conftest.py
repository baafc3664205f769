"""What all tests share: one thread, no network, a small text."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "disabled"

from pathlib import Path

import pytest

from rnnbench import machine

machine.prepare()

#: A text with structure to learn and a few thousand characters.
SENTENCES = (
    "the cell keeps a state and reads one symbol at a time. "
    "what it forgets it cannot use; what it keeps it must pay for. "
    "gradients flow back through every step, and vanish on the way! "
)


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


#: Files whose tests share a slow preparation: each is one worker's. And those with the longest tests: begun first.
SHARED = (
    "test_readme",
    "test_fair_comparisons",
    "test_generate",
    "test_build",
    "test_push",
    "test_logged_keys",
    "test_verify",
)
LONG = (
    "test_notebooks",
    "test_follow_up",
    "test_compiled",
    "test_plugin",
    "test_hard_times",
    "test_sweep",
    "test_interrupts",
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest comes first, so that no worker ends alone with it; see `--dist loadgroup` in the Makefile."""
    order = {name: rank for rank, name in enumerate((*SHARED, *LONG))}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))
    for item in items:
        if item.path.stem in SHARED:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))

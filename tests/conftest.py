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

"""What a result says of where it was made."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from rnnbench.system import machine

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_the_commit_is_that_of_the_checkout() -> None:
    asked = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    commit = machine.commit()
    assert commit is not None, "a result whose code nobody can find again"
    assert commit.removesuffix("+") == asked.stdout.strip()

"""`machine.pinned`: a process stays on one core, and is let go afterwards."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rnnbench.system import machine

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no such thing on this system")


def allowed() -> set[int]:
    return os.sched_getaffinity(0)


def test_a_process_stays_on_the_last_core_and_is_let_go_after_an_exception() -> None:
    before = allowed()

    def interrupted() -> None:
        with machine.pinned() as cores:
            assert cores == [max(before)]
            assert allowed() == {max(before)}
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert allowed() == before


def test_more_cores_than_there_are_is_all_of_them() -> None:
    before = allowed()
    with machine.pinned(10_000) as cores:
        assert cores == sorted(before) == sorted(allowed())
    with machine.pinned(2) as cores:
        assert cores == sorted(before)[-2:]
    assert allowed() == before


def test_a_process_that_may_use_one_core_only_keeps_to_it() -> None:
    """As a cluster's job may: the core is that one, and it gets no other back."""
    code = (
        "import os; from rnnbench.system import machine\n"
        "first = min(os.sched_getaffinity(0)); os.sched_setaffinity(0, {first})\n"
        "with machine.pinned() as cores: assert cores == [first]\n"
        "assert os.sched_getaffinity(0) == {first}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_system_without_such_a_thing_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = allowed()
    monkeypatch.delattr(os, "sched_setaffinity")
    with machine.pinned() as cores:
        assert cores == []
        assert allowed() == before

"""The loop reads large states one by one, and the numbers are the same."""

from __future__ import annotations

import pytest
from support.cells import SMALL, everything, randn, shaken
from torch import testing

from rnnbench.backends import loop
from rnnbench.backends.loop import Loop


@pytest.mark.parametrize("name", ["mlstm", "deltanet", "transformer", "tcn", "mamba", "lstm"])
def test_a_state_that_is_read_at_once_gives_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = shaken(name, 8, 8, **SMALL.get(name, {}))
    x, state, read, lengths = randn(3, 11, 8), cell.initial_state(3), cell.read, []
    monkeypatch.setattr(cell, "read", lambda s, u: lengths.append(s.shape[1]) or read(s, u))
    stacked = everything(Loop(), cell, x, state)
    monkeypatch.setattr(loop, "TIMES", 0)
    monkeypatch.setattr(loop, "BYTES", 0)
    for key, value in everything(Loop(), cell, x, state).items():
        testing.assert_close(value, stacked[key], rtol=1e-11, atol=1e-12, msg=key)
    assert lengths == [11] + 11 * [1]

"""What bad input is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rnnbench.errors import UserError


def refused(job: Callable[[], object]) -> str:
    """The one sentence of the `UserError` that a call ends in."""
    with pytest.raises(UserError) as caught:
        job()
    message = str(caught.value)
    assert "\n" not in message
    return message

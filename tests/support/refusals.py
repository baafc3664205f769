"""What a verb prints: its JSON, or the one line with which bad input is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from rnnbench.cli.main import main
from rnnbench.errors import UserError


def refused(job: Callable[[], object]) -> str:
    """The one sentence of the `UserError` that a call ends in."""
    with pytest.raises(UserError) as caught:
        job()
    message = str(caught.value)
    assert "\n" not in message
    return message


def refused_line(capsys: pytest.CaptureFixture[str], *argv: str, silent: bool = True) -> str:
    """The one line on stderr, and (where silent) nothing on stdout, with which a command line is refused."""
    capsys.readouterr()
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert out == "" or not silent
    assert err.startswith("rnnbench: error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def printed_json(capsys: pytest.CaptureFixture[str], *argv: str, status: int = 0) -> Any:
    """What a verb prints with --json, which must be one JSON value and nothing else."""
    capsys.readouterr()
    assert main([*argv, "--json"]) == status
    return json.loads(capsys.readouterr().out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))

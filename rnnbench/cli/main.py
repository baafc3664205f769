"""The command line: one verb a job. Nothing heavy is imported before the verb is known."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from rnnbench.errors import UserError, told, unknown
from rnnbench.system.signals import interruptible
from rnnbench.system.terminal import streams

#: Each verb is a module of `rnnbench.cli` with ``main(argv) -> exit status``.
VERBS = {
    "train": "train one run and measure it",
    "sweep": "do all runs of a study, those that are not done yet",
    "gradients": "how far gradients reach, and whether they vanish",
    "throughput": "how fast cells run, on which implementation, and how far from the device's ceilings",
    "runs": "the runs on disk: list, show, rm, verify",
    "report": "tables and figures of finished runs",
    "dashboard": "a study's W&B workspace and report: build, push",
    "generate": "let a trained run write text",
    "cells": "the recurrent cells and the backends that can run them",
    "new-cell": "write a cell to begin with, and its test",
    "check-cell": "check a cell, yours say, against what every cell must do",
    "certify": "check whatever runs over time here, torch's layers or yours, against float64",
    "data": "the data sets: list, info, fetch",
    "doctor": "what this machine has, and what it lacks",
}


def usage() -> str:
    """What ``rnnbench --help`` prints."""
    verbs = "\n".join(f"  {verb:<10} {what}" for verb, what in VERBS.items())
    return (
        "usage: rnnbench VERB …\n\nWhich recurrent cell, at which sequence length, and why?\n\n"
        f"{verbs}\n\nrnnbench VERB --help tells more."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run a verb; returns the exit status: 0, 1 for runs that failed, 2 for bad input, 130 for Ctrl-C.

    A reader of the output that leaves, ``head`` say, is no error: the verb ends its work all the same.
    """
    with streams() as output, interruptible():
        try:
            status = _run(list(sys.argv[1:] if argv is None else argv))
            output.flush()
            if output.failures and not isinstance(output.failures[0], BrokenPipeError):
                raise UserError(f"cannot write to the standard output: {output.failures[0].strerror}.")
            return status
        except UserError as error:
            text = " ".join(str(error).split())  # and nothing in it that would steer a terminal
            text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
            print(f"rnnbench: error: {text}", file=sys.stderr)
            return 2
        except Exception as error:
            if not _out_of_memory(error):
                raise
            print(f"rnnbench: error: not enough memory ({told(error)}); ask for less at once.", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("rnnbench: interrupted; the same command resumes it.", file=sys.stderr)
            return 130


def run_script() -> None:
    """``python experiments/THIS.py --preset quick`` is ``rnnbench sweep experiments/THIS.py --preset quick``."""
    sys.exit(main(["sweep", sys.argv[0], *sys.argv[1:]]))


def _out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return isinstance(error, MemoryError)
    from rnnbench.throughput.memory import out_of_memory

    return out_of_memory(error)


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] == "--version":
        from importlib.metadata import version

        print(f"rnnbench {version('rnnbench')}")
        return 0
    if arguments[0] not in VERBS:
        raise unknown("verb", arguments[0], VERBS)
    command = importlib.import_module(f"rnnbench.cli.{arguments[0].replace('-', '_')}")
    status: int = command.main(arguments[1:])
    return status

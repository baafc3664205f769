"""Python files of the user's: studies, and cells named in RNNBENCH_CELLS. Nothing here imports torch."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType

from rnnbench.errors import UserError

#: Files with cells of yours, separated as in PATH. As part of the environment it reaches a sweep's workers too.
VARIABLE = "RNNBENCH_CELLS"


def named_files() -> list[Path]:
    """The files that the environment names."""
    return [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def name_file(path: Path) -> None:
    """Add a file to those that the environment names, so that workers started from now on load it too."""
    files = dict.fromkeys([*map(str, named_files()), str(path.resolve())])
    os.environ[VARIABLE] = os.pathsep.join(files)


def load_file(path: Path) -> ModuleType:
    """Import a Python file by its path.

    Raises:
        UserError: it is not there or fails to load.
    """
    if not path.is_file():
        raise UserError(f"the Python file {path} does not exist.")
    spec = importlib.util.spec_from_file_location(f"rnnbench_file_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{path} failed to load: {type(error).__name__}: {error}.") from error
    return module

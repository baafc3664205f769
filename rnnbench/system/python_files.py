"""Python files of the user's: studies, cells, and files named in RNNBENCH_CELLS. Nothing here imports torch."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

from rnnbench.errors import UserError

#: Files with cells of yours, separated as in PATH. As part of the environment it reaches a sweep's workers too.
VARIABLE = "RNNBENCH_CELLS"
#: The folders of the files that were loaded.
_folders: set[Path] = set()


def named_files() -> list[Path]:
    """The files that the environment names."""
    return [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]


def name_file(path: Path) -> None:
    """Add a file to those that the environment names, so that workers started from now on load it too."""
    files = dict.fromkeys([*map(str, named_files()), str(path.resolve())])
    os.environ[VARIABLE] = os.pathsep.join(files)


def module_name(path: Path) -> str:
    """Under which a file's module is in `sys.modules`: another one for each path."""
    return f"rnnbench_file_{path.stem}_{hashlib.sha256(os.fsencode(path.resolve())).hexdigest()[:8]}"


def loaded_file(path: Path) -> ModuleType:
    """The module of a Python file, imported at its first use; raises as `load_file`."""
    return sys.modules.get(module_name(path)) or load_file(path)


def load_file(path: Path) -> ModuleType:
    """Import a Python file by its path, anew each time; what lies beside it can be imported in it.

    Raises:
        UserError: it is not there or fails to load.
    """
    if not path.is_file():
        raise UserError(f"the Python file {path} does not exist.")
    name, folder = module_name(path), path.resolve().parent
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # where dataclasses look up the names in their annotations
    _forget_namesakes(folder)
    _folders.add(folder)
    sys.path.insert(0, str(folder))
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
        if isinstance(error, UserError) or not isinstance(error, Exception):
            raise
        raise UserError(f"{path} failed to load: {type(error).__name__}: {error}.") from error
    finally:
        sys.path.remove(str(folder))
    return module


def _forget_namesakes(folder: Path) -> None:
    """Have what lies in a folder imported from there, though another file's folder had a module of that name."""
    importlib.invalidate_caches()
    for path in folder.iterdir():
        file = getattr(sys.modules.get(path.stem), "__file__", None)
        if file and {Path(file).parent, Path(file).parent.parent} & (_folders - {folder}):
            for name in [name for name in sys.modules if name.partition(".")[0] == path.stem]:
                del sys.modules[name]

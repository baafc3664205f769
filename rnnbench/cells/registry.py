"""Cells by name: every `register_cell` below ``rnnbench/cells/``, in an installed package or in the user's files.

A new file in one of the folders here is found by itself: there is no list to add it to.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar, get_type_hints

from rnnbench.cells.cell import Cell
from rnnbench.cells.options import read_option
from rnnbench.cells.side_inputs import needed
from rnnbench.config import CellConfig, Option
from rnnbench.errors import UserError, told, unknown
from rnnbench.system.python_files import load_file, named_files

_CELLS: dict[str, type[Cell]] = {}
C = TypeVar("C", bound=type[Cell])
#: What finds a cell whose name has a colon: `rnnbench.cells.modules`, which imports this module, sets it.
_external: list[Callable[[str], type[Cell]]] = []


def finds_external(find: Callable[[str], type[Cell]]) -> Callable[[str], type[Cell]]:
    """Decorator: names with a colon are looked up by this function; it raises `UserError` for an unknown one."""
    _external[:] = [find]
    return find


def register_cell(name: str) -> Callable[[C], C]:
    """Class decorator: from now on the cell is known by this name everywhere.

    The same class of the same module may be defined again, as a notebook does when a cell of it is run twice.

    Raises:
        UserError: another class has the name already.
    """

    def register(cls: C) -> C:
        known = _CELLS.get(name, cls)
        if (known.__module__, known.__qualname__) != (cls.__module__, cls.__qualname__):
            where = f"{known.__module__}.{known.__qualname__}"
            raise UserError(f'the cell name "{name}" is taken by {where}; choose another.')
        _CELLS[name] = cls
        return cls

    return register


@contextmanager
def known_as(name: str, cls: type[Cell] | None) -> Iterator[None]:
    """While it lasts a class goes by a name, whatever that is the name of; of None nothing changes."""
    _load_cells()
    before = _CELLS.get(name)
    if cls is not None:
        _CELLS[name] = cls
    try:
        yield
    finally:
        if cls is not None:
            _CELLS.pop(name)
            _CELLS.update({} if before is None else {name: before})


@cache
def _load_cells() -> None:
    """Import every module of `rnnbench.cells`, once, then the plugins; each registers its cells.

    Plugins are the entry points of the group ``rnnbench.cells``, of which a broken one is left out with a line on
    stderr, and the files named in RNNBENCH_CELLS. An entry point that is a cell class is registered under its name.

    Raises:
        UserError: a file that is not there, fails to load or registers no cell.
    """
    package = importlib.import_module("rnnbench.cells")
    for module in pkgutil.walk_packages(package.__path__, "rnnbench.cells."):
        importlib.import_module(module.name)
    for point in entry_points(group="rnnbench.cells"):
        try:
            loaded = point.load()
        except Exception as error:  # one broken package must not take every other cell with it
            print(f"rnnbench: the cell {point.name} of {point.value} is left out: {told(error)}.", file=sys.stderr)
            continue
        if inspect.isclass(loaded) and issubclass(loaded, Cell):
            register_cell(point.name)(loaded)
    for path in named_files():
        before = dict(_CELLS)
        loaded = load_file(path)
        if before == _CELLS and not hasattr(loaded, "STUDY"):  # a study's file may hold cells, and need not
            raise UserError(f'{path} registers no cell; write @register_cell("NAME") above its class.')


def cell_names() -> list[str]:
    """Every registered name, sorted."""
    _load_cells()
    return sorted(_CELLS)


def cell_class(name: str) -> type[Cell]:
    """The class behind a name: ours, another package's (``torchrecurrent:MGU``), the user's (``leaky.py:Leaky``).

    Raises:
        UserError: there is none; it names the nearest.
    """
    _load_cells()
    if name in _CELLS:
        return _CELLS[name]
    if ":" in name:
        return _external[0](name)
    raise unknown("cell", name, _CELLS)


def cell_options(cls: type[Cell]) -> dict[str, inspect.Parameter]:
    """The options of a cell: its constructor's keyword arguments beyond the two sizes, less a ``**`` that takes any."""
    parameters = inspect.signature(cls.__init__).parameters
    rest = {name: item for name, item in parameters.items() if name not in ("self", "input_size", "hidden_size")}
    return {name: item for name, item in rest.items() if item.kind is not inspect.Parameter.VAR_KEYWORD}


def takes_any_option(cls: type[Cell]) -> bool:
    """Whether a cell's constructor has a ``**`` that takes options of any name."""
    kinds = {item.kind for item in inspect.signature(cls.__init__).parameters.values()}
    return inspect.Parameter.VAR_KEYWORD in kinds


def checked_options(config: CellConfig) -> dict[str, Any]:
    """A config's options, each known to its cell and of the type that the constructor declares.

    Raises:
        UserError: unknown cell, unknown option, or an option of the wrong type.
    """
    cls = cell_class(config.name)
    known, hints = cell_options(cls), get_type_hints(cls.__init__)
    checked = {}
    for name, value in config.options.items():
        if name not in known and not takes_any_option(cls):
            raise unknown(f"option of the cell {config.name}", name, known)
        checked[name] = read_option(value, hints[name], f"cell.{name}") if name in hints else value
    return checked


def make_cell(cell: str | CellConfig, input_size: int, hidden_size: int, **options: Option) -> Cell:
    """Build a cell by name or `CellConfig`.

    Raises:
        UserError: what `checked_options` raises; or whatever else the constructor raises, on one line.
    """
    config = CellConfig.parse(cell)
    config = CellConfig(config.name, {**config.options, **options})
    cls, chosen = cell_class(config.name), checked_options(config)
    try:
        built = cls(input_size, hidden_size, **chosen)
        needed((built,))  # refuses what no data have
        return built
    except UserError:
        raise
    except Exception as error:
        sizes = f"input_size={input_size}, hidden_size={hidden_size}"
        raise UserError(f"the cell {config.label} cannot be built ({sizes}): {told(error)}.") from error

"""A cell is declared once and is then known everywhere."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from io import StringIO
from pathlib import Path
from typing import Literal

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from rnnbench import cells
from rnnbench.backends import BACKENDS, Request, run
from rnnbench.cells import LSTM, AffineCell, Cell, cell_class, cell_names, make_cell, register_cell, registry
from rnnbench.cli.cells import listing, show
from rnnbench.errors import UserError
from rnnbench.system.python_files import load_file


@pytest.fixture
def leaky() -> Iterator[str]:
    """A third party's cell, registered for one test."""

    @register_cell("leaky")
    class Leaky(AffineCell):
        """s' = a·s + (1 − a)·W x."""

        paper = "nobody 2026"

        def __init__(self, input_size: int, hidden_size: int, a: float = 0.5, mode: Literal["x", "y"] = "x") -> None:
            super().__init__(input_size, hidden_size)
            self.a = a
            self.weight = nn.Parameter(torch.empty(hidden_size, input_size))
            self.reset_parameters()

        def drive(self, x: Tensor) -> Tensor:
            return x @ self.weight.t()

        def affine(self, u: Tensor) -> tuple[Tensor, Tensor]:
            return torch.full_like(u, self.a), (1 - self.a) * u

    yield "leaky"
    del registry._CELLS["leaky"]


def test_a_registered_cell_runs(leaky: str) -> None:
    cell = make_cell(leaky, 3, 4, a=0.25)
    x = torch.randn(2, 6, 3)
    _, last = run(cell, x)
    drive, s = cell.drive(x), torch.zeros(2, 4)
    for t in range(6):
        s = 0.25 * s + 0.75 * drive[:, t]
    torch.testing.assert_close(last, s)
    assert leaky in cell_names()
    assert "no kernel" in str(BACKENDS["torch"].refusal(cell, Request(x.device, x.dtype)))


def test_options_are_checked(leaky: str) -> None:
    with pytest.raises(UserError, match='unknown option of the cell leaky "b"'):
        make_cell(leaky, 3, 4, b=1)
    with pytest.raises(UserError, match="cell.a must be float, got 'much'"):
        make_cell(leaky, 3, 4, a="much")
    with pytest.raises(UserError, match="cell.mode must be one of x, y"):
        make_cell(leaky, 3, 4, mode="z")


def test_an_unknown_cell_is_refused() -> None:
    with pytest.raises(UserError, match='unknown cell "lsmt". Did you mean "lstm"'):
        make_cell("lsmt", 3, 4)


def test_a_name_is_taken_once(leaky: str) -> None:
    with pytest.raises(UserError, match="is taken"):

        @register_cell("leaky")
        class Other(AffineCell):
            pass


IMPOSTOR = """
from rnnbench.cells import GRU, register_cell

@register_cell("lstm")
class LSTM(GRU):
    pass
"""


def test_a_class_of_the_same_name_from_elsewhere_replaces_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files called alike in two folders neither; the same file loaded again does."""
    cell_names()
    monkeypatch.setattr(registry, "_CELLS", dict(registry._CELLS))
    (tmp_path / "lstm.py").write_text(IMPOSTOR)
    with pytest.raises(UserError, match='"lstm" is taken by rnnbench.cells.nonlinear.lstm.LSTM'):
        load_file(tmp_path / "lstm.py")
    assert cell_class("lstm") is LSTM
    paths = [tmp_path / folder / "mine.py" for folder in ("one", "other")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(IMPOSTOR.replace('"lstm"', '"mine"'))
    for _ in range(2):
        loaded = load_file(paths[0])
        assert cell_class("mine") is loaded.LSTM
    with pytest.raises(UserError, match='"mine" is taken'):
        load_file(paths[1])


def test_a_cell_is_one_short_file() -> None:
    """One registered cell a file, readable beside its paper."""
    rooms = [Path(room) for room in cells.__path__]
    files = [path for room in rooms for path in sorted(room.glob("*/*.py")) if path.name != "__init__.py"]
    assert {path.stem for path in files} == set(cell_names())
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert text.count("@register_cell(") == 1, path
        assert text.count("\n") <= 80, path


def test_a_constructor_that_raises_is_a_users_error() -> None:
    """On one line, wherever the cell is asked for; and `rnnbench cells` lists the others all the same."""

    @register_cell("oops")
    class Oops(Cell):
        """Neither drive nor step."""

    try:
        with pytest.raises(UserError, match="the cell oops cannot be built .*: TypeError: Can't instantiate"):
            make_cell("oops", 3, 4)
        rows = {row["cell"]: row for row in listing()}
        assert all("cannot be built" in reason for reason in rows["oops"]["backends"].values())
        assert rows["lstm"]["backends"]["loop"] is None
        show(list(rows.values()), Console(file=StringIO()))
    finally:
        del registry._CELLS["oops"]


def test_a_broken_package_is_left_out_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    point = EntryPoint("lost", "no_such_package:Lost", "rnnbench.cells")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    registry._load_cells.cache_clear()
    assert "lstm" in cell_names()
    assert "lost" not in cell_names()
    said = capsys.readouterr().err
    assert said.startswith("rnnbench: the cell lost of no_such_package:Lost is left out: ModuleNotFoundError")
    assert said.count("\n") == 1

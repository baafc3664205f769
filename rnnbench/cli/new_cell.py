"""``rnnbench new-cell``: a cell to begin with, and its test."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rnnbench.cli.arguments import Parser
from rnnbench.errors import UserError

CELL = '''import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells import Cell


class {name}(Cell):
    """s_t = a·s_{{t−1}} + (1 − a)·tanh(W x_t + U s_{{t−1}} + b)."""

    def __init__(self, input_size: int, hidden_size: int, a: float = 0.5) -> None:
        super().__init__(input_size, hidden_size)
        self.a = a
        self.W = nn.Parameter(torch.empty(hidden_size, input_size))
        self.U = nn.Parameter(torch.empty(hidden_size, hidden_size))
        self.b = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:  # (B, T, I) → (B, T, G): the input's part, all of time at once
        return F.linear(x, self.W, self.b)

    def step(self, u: Tensor, s: Tensor) -> Tensor:  # (B, G), (B, H) → (B, H): one time step
        return self.a * s + (1 - self.a) * torch.tanh(u + s @ self.U.t())
'''

TEST = """from pathlib import Path

import pytest

from rnnbench.testing import check_cell


@pytest.mark.parametrize("a", [0.0, 0.9])
def test_{file}_is_a_cell(a: float) -> None:
    check_cell(f"{{Path(__file__).with_name('{file}.py')}}:{name}", a=a)
"""


def main(argv: Sequence[str]) -> int:
    """Write NAME.py and test_NAME.py, and print how to go on."""
    parser = Parser(
        "new-cell", "Write a cell to begin with, a leaky RNN of 25 lines, and its test.", "what was written"
    )
    parser.add_argument("name", metavar="NAME", help="of the file; the class is called the same, in CamelCase")
    parser.add_argument("--out", type=Path, default=Path("."), metavar="FOLDER", help="where to write (here)")
    arguments = parser.parse_args(argv)
    name, out = arguments.name, arguments.out
    if not (name.isidentifier() and name.isascii()):
        raise UserError(f"NAME must be letters, digits and _ that make a Python name, got {name!r}.")

    from rnnbench.runs import friendly

    words = {"file": name, "name": "".join(part[:1].upper() + part[1:] for part in name.split("_"))}
    files = {out / f"{name}.py": CELL, out / f"test_{name}.py": TEST}
    for path in files:
        if path.exists():
            raise UserError(f"{path} exists already, and nothing is overwritten; choose another name, or --out FOLDER.")
    with friendly(out):
        out.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text.format(**words), encoding="utf-8")
    cell = f"{out / name}.py:{words['name']}"
    commands = [f"rnnbench check-cell {cell}", f"rnnbench train --cell {cell}"]
    if arguments.json:
        print(json.dumps({"files": list(map(str, files)), "commands": commands}))
    else:
        print("\n  ".join([f"wrote {' and '.join(map(str, files))}; now:", *commands]))
    return 0

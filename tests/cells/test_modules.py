"""Any nn.Module by FILE.py:CLASS or PACKAGE.MODULE:CLASS: how it is taken, what it computes, and what is refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import support.modules
import torch
from support.cells import everything
from support.refusals import refused
from torch import Tensor

from rnnbench.backends import BACKENDS, run
from rnnbench.cells import SequenceCell, cell_class, make_cell
from rnnbench.config import CellConfig, DataConfig, Run
from rnnbench.config.values import PEERS
from rnnbench.system.python_files import load_file
from rnnbench.testing import check_cell

FILE = str(Path(support.modules.__file__))
B, T, I, H = 3, 7, 5, 6


def unrolled(module: Any, x: Tensor, state: Any, pick: Callable[[Any], tuple[Tensor, Any]]) -> Tensor:
    outputs = []
    for x_t in x.unbind(1):
        y, state = pick(module(x_t, state))
        outputs.append(y)
    return torch.stack(outputs, dim=1)


def zeros(x: Tensor) -> Tensor:
    return x.new_zeros(len(x), H)


#: By a class of `support.modules` or of torch and its options: how one would run it, and how it is said to be taken.
DIRECT: dict[str, tuple[Callable[[Any, Tensor], Tensor], str]] = {
    "Step(a=0.9)": (lambda m, x: unrolled(m, x, None, lambda h: (h, h)), "a step cell (x, h) → h"),
    "OutputStep": (lambda m, x: unrolled(m, x, None, lambda out: out), "a step cell (x, h) → (out, h)"),
    "OwnStart": (lambda m, x: unrolled(m, x, zeros(x) + 1, lambda h: (h, h)), "a step cell (x, h) → h"),
    "PairStep": (
        lambda m, x: unrolled(m, x, (zeros(x), zeros(x)), lambda s: (s[0], s)),
        "a step cell (x, (h, c)) → (h, c)",
    ),
    "torch.nn:GRUCell": (lambda m, x: unrolled(m, x, None, lambda h: (h, h)), "a step cell (x, h) → h"),
    "Stack": (lambda m, x: m(x)[0], "a whole layer (x (B, T, I), state) → (y, state)"),
    "Stack(batch_first=False)": (
        lambda m, x: m(x.transpose(0, 1))[0].transpose(0, 1),
        "a whole layer (x (T, B, I), state) → (y, state)",
    ),
    "torch.nn:GRU(num_layers=3)": (
        lambda m, x: m(x.transpose(0, 1))[0].transpose(0, 1),
        "a whole layer (x (T, B, I), state) → (y, state)",
    ),
    "Convolution": (lambda m, x: m(x), "a whole layer x (B, T, I) → y, its state the last 3 inputs"),
    "TimeFirstConvolution": (
        lambda m, x: m(x.transpose(0, 1)).transpose(0, 1),
        "a whole layer x (T, B, I) → y, its state the last 3 inputs",
    ),
}


def name_of(label: str) -> str:
    return label if ":" in label else f"{FILE}:{label}"


@pytest.mark.parametrize("label", DIRECT)
def test_a_module_computes_what_it_computes_by_itself(label: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Outputs and every gradient, on each backend; built on the meta device too, and in one seed's weights."""
    direct, words = DIRECT[label]
    torch.manual_seed(1)
    cell = make_cell(name_of(label), I, H).double()
    said = capsys.readouterr().err
    assert said == "" or said == f"{CellConfig.parse(name_of(label)).name}: an nn.Module taken as {words}\n"
    assert str(cell.form) == words
    x = torch.randn(B, T, I, dtype=torch.float64, requires_grad=True)
    leaves = [x, *cell.module.parameters()]
    expected = direct(cell.module, x)
    cotangent = torch.randn_like(expected)
    for backend in ("loop", "sequence") if isinstance(cell, SequenceCell) else ("loop",):
        y, _ = run(cell, x, backend=backend)
        torch.testing.assert_close(y, expected, rtol=0, atol=1e-12)
        for one, other in zip(
            *(torch.autograd.grad(o, leaves, cotangent) for o in (y, direct(cell.module, x))), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    torch.manual_seed(1)
    for one, other in zip(make_cell(name_of(label), I, H).parameters(), cell.parameters(), strict=True):
        assert torch.equal(one.double(), other)
    with torch.device("meta"):
        assert make_cell(name_of(label), I, H).initial_state(2).shape == (2, *cell.state_shape)


@pytest.mark.parametrize("label", [label for label, (_, words) in DIRECT.items() if "layer" in words])
def test_a_layer_in_pieces_is_the_whole(label: str) -> None:
    """The sequence backend against the loop, from any state, whole and cut; values and gradients."""
    torch.manual_seed(2)
    cell = make_cell(name_of(label), I, H).double()
    x = torch.randn(B, T, I, dtype=torch.float64)
    state = run(cell, torch.randn(B, T, I, dtype=torch.float64))[1].detach()
    whole = everything(BACKENDS["loop"], cell, x, state)
    for cuts in ((), (1,), (2, 3, 6)):
        torch.testing.assert_close(everything(BACKENDS["sequence"], cell, x, state, cuts), whole, rtol=0, atol=1e-11)


@pytest.mark.parametrize("label", ["Step", "Convolution"])
def test_it_passes_the_conformance_checks(label: str) -> None:
    check_cell(name_of(label))


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("Forgetful", "looks back without end and returns no state; have it return (y, state)"),
        ("LooksAhead", "depends on the input 3 steps later"),
        ("Wide", "its output is (19, 23, 12), expected (19, 23, 6)"),
        ("LearnedStart", "does not start from zeros; give it a method initial_state(batch)"),
        ("Grows", "its state grows with the sequence"),
        ("Strange", "it returns dict, not y or (y, state)"),
        ("torch.nn:Linear", "depends on no earlier input"),
        ("torch.nn:LSTM(bidirectional=true)", "its output is"),
    ],
)
def test_what_cannot_be_taken_is_refused(label: str, words: str) -> None:
    said = refused(lambda: make_cell(name_of(label), I, H))
    assert words in said
    assert "cannot be taken as a cell" in said
    assert "Accepted are: a Cell; a step (x, h) → h" in said


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"{FILE}:Stp", 'Stp is none in .*Did you mean "Step"'),
        (f"{FILE}:Decay", "Decay is no class of an nn.Module"),
        ("missing.py:Leaky", "names the file missing.py, which is not in"),
        ("no_such.package:Leaky", "cannot be imported: ModuleNotFoundError: No module named 'no_such'"),
        (f"{FILE}:Step(b=1)", 'unknown option of the cell .*"b"'),
        (f"{FILE}:Step(a=much)", "cell.a must be float, got 'much'"),
        ("torch.nn:LSTM(wrong=1)", "cannot be built .*: TypeError"),
    ],
)
def test_a_wrong_name_or_option_is_refused(name: str, words: str) -> None:
    assert re.search(words, refused(lambda: make_cell(name, I, H)))


def test_a_cell_is_taken_as_it_is() -> None:
    assert cell_class(f"{FILE}:OwnCell") is sys.modules[cell_class(f"{FILE}:OwnCell").__module__].OwnCell
    assert cell_class("support.modules:OwnCell") is support.modules.OwnCell


def test_files_of_one_name_and_their_siblings_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two folders, each with a leaky.py that imports its own helper.py, by paths that begin where the user is."""
    text = "from torch import nn\nfrom helper import WHO\nclass Leaky(nn.GRUCell):\n    '''Here.'''\n    who = WHO\n"
    for who in ("one", "two"):
        (tmp_path / who).mkdir()
        (tmp_path / who / "helper.py").write_text(f"WHO = {who!r}")
        (tmp_path / who / "leaky.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    cells = [make_cell(f"{who}/leaky.py:Leaky", I, H) for who in ("one", "two")]
    assert [cell.module.who for cell in cells] == ["one", "two"]
    assert sys.path == before
    (tmp_path / "one" / "broken.py").write_text("import no_such_helper")
    assert "no_such_helper" in refused(lambda: load_file(Path("one/broken.py")))
    assert sys.path == before


def test_its_name_in_a_run() -> None:
    """An id that is one folder's name; short where people read it; the whole name where runs are told apart."""
    one, two = (
        Run(CellConfig.parse(f"{'d/' * 150}{who}/leaky.py:Leaky(a=0.5)"), data=DataConfig("kjv")) for who in "ab"
    )
    assert one.id.startswith("Leaky-kjv-T")
    assert "/" not in one.id
    assert one.id != two.id
    assert one.label.startswith("Leaky(a=0.5) kjv")
    assert CellConfig.parse(one.cell.label) == one.cell == CellConfig.parse(one.cell.plain())
    for peer in PEERS:
        assert CellConfig(f"{peer}:GRU").short == f"{peer}:GRU"
    assert CellConfig.parse("a (1)/leaky.py:Leaky") == CellConfig("a (1)/leaky.py:Leaky")

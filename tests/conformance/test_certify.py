"""`rnnbench certify`: what is right passes, and each known way to be wrong is refused, with its quantity and check."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import support.broken_layers
import torch
from support.refusals import refused, refused_line

from rnnbench.backends import BACKENDS
from rnnbench.cli.main import main
from rnnbench.conformance.certified import Row, failures, worst
from rnnbench.conformance.certify import CHECKS, DTYPES, WIDTHS, certify, grid
from rnnbench.conformance.implementation import Size
from rnnbench.conformance.targets import find_targets

FILE = str(support.broken_layers.__file__)
SMALL = Size(3, 6, 2, 4)
CPU = torch.device("cpu")


def rows_of(name: str, size: Size = SMALL, dtypes: tuple[str, ...] = tuple(DTYPES)) -> list[Row]:
    return certify([(target, size) for target in find_targets(name, BACKENDS, CPU)], dtypes, thorough=size.time < 100)[
        0
    ]


@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("torch:RNN", {"zero state", "chunks", "lengths"}),
        ("torch:LSTM", {"zero state", "chunks", "lengths"}),
        ("torch:GRU", {"zero state", "chunks", "lengths"}),
        ("torch:associative_scan", {"zero state", "chunks"}),
        ("lstm", {"zero state", "chunks"}),
        ("mingru/scan", {"zero state", "chunks"}),
        (f"{FILE}:RightLSTM", {"zero state", "chunks", "lengths"}),
        (f"{FILE}:RightModule", {"zero state", "chunks", "lengths", "finite differences"}),
        (f"{FILE}:right_function", {"zero state", "chunks", "finite differences"}),
    ],
)
def test_what_is_right_passes(name: str, checks: set[str]) -> None:
    """In every number format, at an ordinary size and where everything is 1; with every gradient."""
    for size in (SMALL, Size(1, 1, 1, 1), Size(1, 9, 3, 7)):
        rows = rows_of(name, size)
        assert not failures(rows)
        assert all(row.figure <= 1 for row in rows)
        quantities = {row.quantity for row in rows}
        assert {"y", "grad x"} < quantities
        assert any(quantity.startswith("grad state") for quantity in quantities)
        if size == SMALL:
            assert {row.check for row in rows} == {"whole", "inference", "repeat"} | checks
            assert {row.dtype for row in rows} == set(DTYPES)


def test_layers_and_directions_are_checked_one_by_one() -> None:
    rows = rows_of("torch:GRU", Size(2, 5, 3, 4, layers=2, directions=2), ("float32",))
    assert not failures(rows)
    assert {"grad weight_hh_l1_reverse", "grad bias_ih_l0", "grad state"} < {row.quantity for row in rows}


def test_a_rounding_that_tips_a_relu_is_no_fault() -> None:
    """In bfloat16 at such a width it changes gradients by 0.7 to 35 %, as it happens."""
    _, relu = find_targets("torch:RNN", BACKENDS, CPU)
    assert not failures(certify([(relu, Size(5, 13, 8, 57))], ("bfloat16",))[0])


@pytest.mark.parametrize(
    ("name", "size", "dtypes", "quantity", "checks"),
    [
        ("UnusedOutputScan", SMALL, ("float64",), "grad weight_a", {"whole", "zero state", "chunks"}),
        ("WrongGradientWhenWide", Size(2, 6, 3, 57), ("float32",), "grad weight_hh", {"whole", "zero state", "chunks"}),
        ("WrongWhenLong", Size(1, 1010, 2, 3), ("float32",), "y", {"whole", "inference"}),
        ("WrongInPadding", SMALL, ("float32",), "y", {"lengths"}),
        ("FinalStateOfThePadding", SMALL, ("float32",), "state h", {"lengths"}),
        ("WrongInBfloat16", SMALL, tuple(DTYPES), "y", {"whole", "chunks", "inference"}),
        ("AnotherEachTime", SMALL, ("float32",), "y", {"repeat"}),
        ("WrongGradientOfTheState", SMALL, ("float32",), "grad state h", {"whole", "chunks", "lengths"}),
        ("WrongInInference", SMALL, ("float32",), "y", {"inference"}),
        ("WrongInEveryFormat", SMALL, ("float64",), "grad U", {"finite differences"}),
        ("LosesItsState", SMALL, ("float32",), "state", {"whole", "zero state", "chunks", "inference"}),
    ],
)
def test_what_is_wrong_is_refused(
    name: str, size: Size, dtypes: tuple[str, ...], quantity: str, checks: set[str]
) -> None:
    """By name, in the checks that show it, and in no other; what is right of it is not blamed."""
    wrong = [row for row in rows_of(f"{FILE}:{name}", size, dtypes) if not row.ok]
    assert {row.check for row in wrong if row.kind == quantity} == checks
    assert {row.check for row in wrong} <= checks | {"chunks"}
    assert any(line.startswith(f"broken_layers.py:{name}: {quantity}") for line in failures(wrong))
    if name == "WrongInBfloat16":
        assert {row.dtype for row in wrong} == {"bfloat16"}
    if name == "WrongWhenLong":
        assert {row.where for row in wrong if row.check == "whole" and row.quantity == "y"} == {
            "first in row 0 at t = 1000"
        }


def test_torchs_pointwise_scan_has_a_wrong_gradient() -> None:
    """Its values are right; of what is scanned only the last tensor's gradient is, as its hand-written backward pass
    takes each for independent of the others.
    """
    rows = rows_of("torch:associative_scan_pointwise", Size(2, 3, 2, 3), ("float64",))
    assert {row.kind for row in rows if not row.ok} == {"grad x", "grad weight_a"}


@pytest.mark.slow  # torch compiles it at each call
def test_torchs_scan() -> None:
    assert not failures(rows_of("torch:scan", Size(2, 3, 2, 3), ("float32",)))


def test_an_exception_at_one_size_is_a_failure_and_a_format_that_never_runs_is_a_note() -> None:
    targets = find_targets(f"{FILE}:Raises", BACKENDS, CPU)
    rows, notes = certify([(targets[0], Size(2, 3, 2, width)) for width in (4, 7)], ("float32",))
    assert not notes
    (line,) = failures(rows)
    assert line.startswith("broken_layers.py:Raises fails (float32; whole, ")
    assert line.endswith("at B 2 · T 3 · I 2 · H 7: it raised RuntimeError: no kernel for a width of 7.")
    rows, notes = certify([(find_targets("lstm/torch", BACKENDS, CPU)[0], SMALL)], ("float32", "bfloat16"))
    assert {row.dtype for row in rows} == {"float32"}
    assert notes == ["lstm/torch was not run in bfloat16: on a CPU torch's kernels are for float32 and float64, "
                     "not torch.bfloat16"]  # fmt: skip


def test_the_grids() -> None:
    """Odd widths, a single sequence and time step, more than 1000 time steps; and stacks of what can be stacked."""
    (lstm,) = find_targets("torch:LSTM", BACKENDS, CPU)
    for preset in ("quick", "full"):
        sizes = [size for _, size in grid([lstm], preset)]
        assert {1, 7, 57} <= {size.hidden_size for size in sizes}
        assert {1, 3} < {size.batch for size in sizes}
        times = {size.time for size in sizes}
        assert {1, 13} < times
        assert max(times) > 1000
        assert sum(size.directions == 2 for size in sizes) == 1
        assert not any(size.layers > 1 for _, size in grid(find_targets("lstm/loop", BACKENDS, CPU), preset))
    assert {size.time for _, size in grid([lstm], "full", [3, 40])} == {3, 40}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("torch:LSTN", 'unknown layer of torch "torch:LSTN". Did you mean "torch:LSTM"?'),
        ("lsmt", 'unknown target "lsmt". Did you mean "lstm"?'),
        ("lstm/scan", "scan cannot run lstm here: "),
        ("lstm/skan", 'unknown backend "skan". Did you mean "scan"?'),
        ("nowhere.py:LSTM", "the Python file nowhere.py does not exist."),
        (f"{FILE}:RightLTSM", 'unknown object of broken_layers.py "RightLTSM". Did you mean "RightLSTM"?'),
        (f"{FILE}:pack_padded_sequence", "broken_layers.py:pack_padded_sequence fails on the sizes (8, 8): "),
    ],
)
def test_a_target_that_is_none_is_one_sentence(name: str, message: str) -> None:
    assert refused(lambda: find_targets(name, BACKENDS, CPU)).startswith(message)


def test_a_module_of_another_form_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "forms.py"
    file.write_text(
        "import torch\nfrom torch import nn\n"
        "class TimeFirst(nn.Linear):\n    def forward(self, x):\n        return super().forward(x).transpose(0, 1)\n"
        "class Three(nn.Linear):\n    def forward(self, x):\n        return x, x, x\n"
        "class Words(nn.Linear):\n    def forward(self, x, state=None):\n        return x, 'state'\n"
        "def bare(x, state, weights):\n    return x\n"
    )
    for name, message in {
        "TimeFirst": "returns y of shape (4, 2, 4) for x (2, 4, 2); it must be (batch, time, width)",
        "Three": "returns a tuple; it must return y, or a pair of y and the last state",
        "Words": "returns a state of str; it must be a tensor, or tensors in tuples, lists or dicts",
    }.items():
        assert message in refused(lambda name=name: rows_of(f"{file}:{name}", dtypes=("float32",)))  # type: ignore[misc]
    assert "a function bare_weights(input_size, hidden_size)" in refused(lambda: rows_of(f"{file}:bare"))


def test_the_command_writes_a_page_and_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Status 0 and a table where all is right; status 1 and a line for each quantity where it is not."""
    monkeypatch.setitem(WIDTHS, "quick", ((2, 3, 4), (1, 1, 1)))
    argv = ["certify", "torch:RNN", "--lengths", "3", "--dtypes", "float32", "--out", str(tmp_path)]
    assert main(argv) == 0
    printed = capsys.readouterr().out
    assert "torch:RNN(nonlinearity=relu): " in printed
    assert "grad weight_hh" in printed
    result = json.loads((tmp_path / "torch_RNN.json").read_text())
    assert result["ok"]
    assert not result["failures"]
    assert {"torch", "onednn", "cudnn", "cudnn_allow_tf32", "device_name"} <= set(result["environment"])
    assert {row["check"] for row in result["rows"]} < set(CHECKS)
    assert len(result["worst"]) == 2 * len({row["kind"] for row in result["rows"]})
    page = (tmp_path / "torch_RNN.html").read_text()
    assert page.startswith("<!doctype html>")
    assert page.count("<td style=") > 50
    assert "https://" not in page

    broken = ["certify", f"{FILE}:WrongGradientOfTheState", "--lengths", "3", "--dtypes", "float32"]
    assert main([*broken, "--out", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    start = "broken_layers.py:WrongGradientOfTheState: grad state h is wrong (float32; whole, chunks, lengths)"
    assert sum(line.startswith(start) for line in lines) == 1
    (page_of_broken,) = [path for path in tmp_path.glob("*.html") if "Wrong" in path.name]
    assert "rgba(214" in page_of_broken.read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dtypes", "float23"], 'unknown number format "float23". Did you mean "float32"?'),
        (["--lengths", "0"], "--lengths must be positive numbers by comma, got '0'."),
        (["--out", FILE], f"{FILE} is a file, not a folder"),
    ],
)
def test_bad_input_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in refused_line(capsys, "certify", "torch:LSTM", *words)


def test_the_worst_row_of_a_quantity_is_a_wrong_one() -> None:
    """Also where another one has a larger figure but is right: allowed are errors, not figures."""
    rows = [
        Row("a", SMALL, "float32", "whole", "grad w_l0", True, 0.9, 0.1),
        Row("a", SMALL, "float32", "whole", "grad w_l1_reverse", True, 0.2, 0.1),
        Row("a", SMALL, "float32", "repeat", "y", False, float("inf"), 1e-7),
    ]
    assert [row.quantity for row in worst(rows)] == ["grad w_l0", "y"]
    assert failures(rows) == [
        "a: y is wrong (float32; repeat), at its worst in float32 at B 3 · T 6 · I 2 · H 4: it is another one at the "
        "next call, by 1e-07 of the largest entry."
    ]

"""Others' cells obey the contract and compute what their authors' own modules compute."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnbench.backends import BACKENDS, Request, run
from rnnbench.cells import Cell, adapters, cell_class, cell_names, cell_options, make_cell
from rnnbench.cells.adapters import adapt, external_names
from rnnbench.config import CellConfig
from rnnbench.errors import UserError

torchrecurrent = pytest.importorskip("torchrecurrent")

B, T, I, H = 3, 7, 5, 6
EXTERNAL = [name for name in external_names() if name.startswith("torchrecurrent:")]
#: Its output mixes the input with the state, so the two are equally wide.
SQUARE = {"torchrecurrent:IntersectionRNN"}


def build(name: str, dtype: torch.dtype = torch.float64, **options: Any) -> tuple[Cell, Tensor, Tensor]:
    torch.manual_seed(1)
    cell = make_cell(name, H if name in SQUARE else I, H, **options).to(dtype)
    # Biases that start at zero would hide where they are added.
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(torch.randn_like(parameter) / 4)
    return cell, torch.randn(B, T, cell.input_size, dtype=dtype), torch.randn(B, *cell.state_shape, dtype=dtype) / 2


def everything(cell: Cell, x: Tensor, state: Tensor, cuts: tuple[int, ...] = ()) -> list[Tensor]:
    """Outputs, final state and all gradients, the sequence run by the loop in chunks."""
    x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
    outputs, current = [], state
    for begin, end in itertools.pairwise((0, *cuts, T)):
        y, current = run(cell, x[:, begin:end], current, "loop")
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    generator = torch.Generator().manual_seed(2)
    cotangents = [torch.randn(t.shape, dtype=t.dtype, generator=generator) for t in (y, current)]
    return [y, current, *torch.autograd.grad((y, current), [x, state, *cell.parameters()], cotangents)]


def test_every_cell_of_the_package_has_a_name() -> None:
    reference = {f"torchrecurrent:{name[:-4]}" for name in torchrecurrent.__all__ if name.endswith("Cell")}
    assert set(EXTERNAL) == reference
    assert len(EXTERNAL) > 30
    assert not set(external_names()) & set(cell_names())


@pytest.mark.parametrize("name", external_names())
def test_chunk_property(name: str) -> None:
    """In float64, values and gradients; an output that is no part of the state does not act on what follows."""
    cell, x, state = build(name)
    whole = everything(cell, x, state)
    assert whole[0].shape == (B, T, H)
    for cuts in ((1,), (T - 1,), (2, 3, 5)):
        for part, value in zip(everything(cell, x, state, cuts), whole, strict=True):
            torch.testing.assert_close(part, value)


@pytest.mark.parametrize("name", EXTERNAL)
def test_same_as_the_package_s_own_layer(name: str) -> None:
    """The layer class, its one cell given the same weights, from its own zero state."""
    cell, x, _ = build(name)
    layer = getattr(torchrecurrent, name.partition(":")[2])(cell.input_size, H, batch_first=True).double()
    layer.cells[0].load_state_dict(cell.module.state_dict())
    reference, _ = layer(x)
    torch.testing.assert_close(run(cell, x, backend="loop")[0], reference, rtol=0, atol=1e-12)


@pytest.mark.parametrize("delay", [1, 3])
def test_an_earlier_state_is_that_many_back(delay: int) -> None:
    cell, x, _ = build("torchrecurrent:tauGRU", delay=delay)
    layer = torchrecurrent.tauGRU(I, H, batch_first=True, delay=delay).double()
    layer.cells[0].load_state_dict(cell.module.state_dict())
    assert cell.state_shape == (1 + delay, H)
    torch.testing.assert_close(run(cell, x, backend="loop")[0], layer(x)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", external_names())
def test_cell_contract(name: str) -> None:
    """Float32 state at least, a pure step, copies, the meta device; as the conformance suite asks of ours."""
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        cell, x, _ = build(name, dtype)
        state = cell.initial_state(B)
        before, after = state.clone(), cell.step(cell.drive(x)[:, 0], state)
        assert torch.equal(state, before)
        assert after.shape == state.shape == (B, *cell.state_shape)
        assert after.dtype == state.dtype == torch.promote_types(dtype, torch.float32)
    cell, x, state = build(name)
    twin = copy.deepcopy(cell)
    assert not {p.data_ptr() for p in twin.parameters()} & {p.data_ptr() for p in cell.parameters()}
    assert torch.equal(run(twin, x, state, "loop")[0], run(cell, x, state, "loop")[0])
    with torch.device("meta"):
        shadow = make_cell(name, cell.input_size, H)
        y, last = run(shadow, torch.empty(B, T, cell.input_size), backend="loop")
    assert {p.device.type for p in shadow.parameters()} == {y.device.type} == {"meta"}
    assert (y.shape, last.shape) == ((B, T, H), state.shape)


def test_state_shapes() -> None:
    shapes = {
        "MGU": (H,),
        "JANET": (2, H),
        "MCLSTM": (3, H),  # its output is a third thing beside v and c
        "TGRU": (H + I,),  # it remembers the last input
        "TLSTM": (2 * H + I,),
    }
    for name, shape in shapes.items():
        assert build(f"torchrecurrent:{name}")[0].state_shape == shape


def test_options_are_the_constructor_s_and_reach_the_cell() -> None:
    options = cell_options(cell_class("torchrecurrent:AntisymmetricRNN"))
    assert {name: item.default for name, item in options.items()} == {
        "bias": True,
        "recurrent_bias": True,
        "nonlinearity": "tanh",
        "epsilon": 1.0,
        "gamma": 0.0,
    }
    cell = make_cell("torchrecurrent:AntisymmetricRNN", I, H, epsilon=1, nonlinearity="relu", bias=False)
    x, state = torch.randn(B, I), torch.zeros(B, H)
    torch.testing.assert_close(cell.step(x, state), torch.relu(x @ cell.module.weight_ih.t()))
    with pytest.raises(UserError, match="cell.epsilon must be float, got 'much'"):
        make_cell("torchrecurrent:AntisymmetricRNN", I, H, epsilon="much")
    with pytest.raises(UserError, match='unknown option of the cell torchrecurrent:MGU "gama"'):
        make_cell("torchrecurrent:MGU", I, H, gama=1.0)
    with pytest.raises(UserError, match="refuses to build MGUCell: Unknown activation 'sine'"):
        make_cell("torchrecurrent:MGU", I, H, nonlinearity="sine")
    with pytest.raises(UserError, match="delay must be at least 1, got 0"):
        make_cell("torchrecurrent:tauGRU", I, H, delay=0)


def test_sizes_that_a_cell_refuses_are_a_sentence() -> None:
    with pytest.raises(UserError, match="refuses to build IntersectionRNNCell: .* requires input_size == hidden_size"):
        make_cell("torchrecurrent:IntersectionRNN", I, H)


def test_a_name_resolves_to_one_class_and_says_where_it_is_from() -> None:
    cls = cell_class("torchrecurrent:MGU")
    assert cls is cell_class("torchrecurrent:MGU")
    assert "arxiv.org/abs/1603.09420" in cls.paper
    assert CellConfig.parse("torchrecurrent:MGU").plain() == "torchrecurrent:MGU"


@pytest.mark.parametrize(
    ("wrong", "right"), [("torchrecurrent:MGUU", "torchrecurrent:MGU"), ("torch:LSMT", "torch:LSTM")]
)
def test_an_unknown_name_is_refused(wrong: str, right: str) -> None:
    with pytest.raises(UserError, match=f'unknown cell "{wrong}". Did you mean "{right}"'):
        cell_class(wrong)


def test_without_the_package_its_names_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the package torchrecurrent: pip install rnnbench\[peers\]"):
        adapters.external_class.__wrapped__("torchrecurrent:MGU")
    assert external_names() == ["torch:RNN", "torch:LSTM", "torch:GRU"]


MODULES = [
    nn.RNN(I, H, nonlinearity="relu"),
    nn.LSTM(I, H),
    nn.GRU(I, H, batch_first=True),
    nn.GRU(I, H, bias=False),
    nn.LSTM(I, 2 * H, proj_size=H, bias=False, batch_first=True),
]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_a_module_of_your_own_is_a_cell(module: nn.RNNBase) -> None:
    """Outputs and the weights' gradients are the module's, and the weights are shared."""
    module = copy.deepcopy(module).double()
    cell, x = adapt(module), torch.randn(B, T, I, dtype=torch.float64)
    time = x if module.batch_first else x.transpose(0, 1)
    reference = module(time)[0] if module.batch_first else module(time)[0].transpose(0, 1)
    ours, _ = run(cell, x, backend="loop")
    torch.testing.assert_close(ours, reference, rtol=0, atol=1e-12)
    weights = list(module.parameters())
    assert [id(p) for p in cell.parameters()] == [id(p) for p in weights]
    cotangent = torch.randn_like(ours)
    for a, b in zip(*(torch.autograd.grad(y, weights, cotangent) for y in (ours, reference)), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_torch_s_kernel_runs_a_plain_module_and_no_other() -> None:
    request = Request(torch.device("cpu"), torch.float64)
    for name in ("torch:RNN", "torch:LSTM", "torch:GRU"):
        cell, x, state = build(name)
        assert BACKENDS["torch"].refusal(cell, request) is None
        for fast, slow in zip(run(cell, x, state, "torch"), run(cell, x, state, "loop"), strict=True):
            torch.testing.assert_close(fast, slow, rtol=0, atol=1e-12)
        assert BACKENDS["torch"].refusal(make_cell(name, I, H, bias=False), request) is not None
    assert BACKENDS["torch"].refusal(make_cell("torch:LSTM", I, H, cell_size=9), request) is not None


def test_same_seed_same_weights_as_torch() -> None:
    for name, cls in (("torch:RNN", nn.RNN), ("torch:LSTM", nn.LSTM), ("torch:GRU", nn.GRU)):
        torch.manual_seed(5)
        ours = list(make_cell(name, I, H).parameters())
        torch.manual_seed(5)
        assert all(torch.equal(a, b) for a, b in zip(ours, cls(I, H).parameters(), strict=True))


def test_options_of_torch_s_modules() -> None:
    assert make_cell("torch:RNN", I, H, nonlinearity="relu").torch_mode == "RNN_RELU"
    wide = make_cell("torch:LSTM", I, H, cell_size=9)
    assert wide.state_shape == (H + 9,)
    assert (wide.module.hidden_size, wide.module.proj_size) == (9, H)
    with pytest.raises(UserError, match="cell_size must be at least the hidden size 6, got 2"):
        make_cell("torch:LSTM", I, H, cell_size=2)


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_gates_are_found_where_ours_are(name: str) -> None:
    """torch's biases are in the same order as those of our own cell of that name."""
    ours, reference = make_cell(name, I, H), make_cell(f"torch:{name.upper()}", I, H)
    with torch.no_grad():
        for a, b in zip(ours.parameters(), reference.parameters(), strict=True):
            b.copy_(a)
    assert ours.gates().keys() == reference.gates().keys()
    for role, biases in ours.gates().items():
        assert all(torch.equal(a, b) for a, b in zip(biases, reference.gates()[role], strict=True))
    assert make_cell(f"torch:{name.upper()}", I, H, bias=False).gates() == {}
    for a, b in zip(ours.recurrent_matrices(), reference.recurrent_matrices(), strict=True):
        assert torch.equal(a, b)


def test_recurrent_matrices_are_the_square_ones() -> None:
    counts = {"MGU": 2, "BR": 0, "IndRNN": 0, "TGRU": 0}  # BR's and IndRNN's are vectors, TGRU's act on the last input
    for name, count in counts.items():
        matrices = build(f"torchrecurrent:{name}")[0].recurrent_matrices()
        assert [tuple(matrix.shape) for matrix in matrices] == count * [(H, H)]


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.LSTM(I, H, num_layers=2), "got a LSTM of 2 layers"),
        (nn.GRU(I, H, bidirectional=True), "got a GRU of two directions"),
        (nn.Linear(I, H), "got Linear"),
    ],
)
def test_what_cannot_be_a_cell_is_refused(module: nn.Module, words: str) -> None:
    with pytest.raises(UserError, match=words):
        adapt(module)  # type: ignore[arg-type]

"""Laws that bind every cell on every backend."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnbench.backends import BACKENDS, Request, run
from rnnbench.cells import Cell, cell_names, from_torch, make_cell, to_torch
from rnnbench.errors import UserError

B, T, I, H = 3, 13, 5, 7
VARIANTS: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in cell_names()] + [
    ("rnn", {"nonlinearity": "relu"}),
    ("rnn", {"nonlinearity": "relu", "init": "identity"}),
    ("lstm", {"forget_bias": 1.0}),
    ("gru", {"update_bias": 1.0}),
]
IDS = [name + "".join(f"-{value}" for value in options.values()) for name, options in VARIANTS]
every_cell = pytest.mark.parametrize(("name", "options"), VARIANTS, ids=IDS)
every_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
every_backend = pytest.mark.parametrize("backend", list(BACKENDS))


def build(
    name: str, options: dict[str, Any], dtype: torch.dtype = torch.float64, device: str = "cpu"
) -> tuple[Cell, Tensor, Tensor]:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    torch.manual_seed(1)
    cell = make_cell(name, I, H, **options).to(device, dtype)
    x, state = torch.randn(B, T, I, dtype=dtype), torch.randn(B, *cell.state_shape, dtype=dtype) / 2
    return cell, x.to(device), state.to(device)


def skip_unless_able(cell: Cell, backend: str, x: Tensor) -> None:
    reason = BACKENDS[backend].refusal(cell, Request(x.device, x.dtype))
    if reason is not None:
        pytest.skip(reason)


def everything(cell: Cell, x: Tensor, state: Tensor, backend: str, cuts: tuple[int, ...] = ()) -> dict[str, Tensor]:
    """Outputs, final state and all gradients under random cotangents, the sequence run in chunks cut at ``cuts``."""
    x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
    outputs, current = [], state
    for begin, end in itertools.pairwise((0, *cuts, x.shape[1])):
        y, current = run(cell, x[:, begin:end], current, backend)
        outputs.append(y)
    y = torch.cat(outputs, dim=1)
    generator = torch.Generator().manual_seed(2)
    cotangents = [torch.randn(t.shape, dtype=torch.float64, generator=generator).to(t) for t in (y, current)]
    names = ["x", "state", *(n for n, _ in cell.named_parameters())]
    gradients = torch.autograd.grad((y, current), [x, state, *cell.parameters()], cotangents)
    return {"y": y, "final": current, **dict(zip(names, gradients, strict=True))}


@every_cell
@every_backend
@every_device
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_chunk_law(name: str, options: dict[str, Any], backend: str, device: str, dtype: torch.dtype) -> None:
    """run(x) equals run(x[:, :k]) continued by run(x[:, k:], state), in values and in gradients."""
    cell, x, state = build(name, options, dtype, device)
    skip_unless_able(cell, backend, x)
    whole = everything(cell, x, state, backend)
    for cuts in ((1,), (T - 1,), (5, 6, 11)):
        parts = everything(cell, x, state, backend, cuts)
        for key, value in whole.items():
            torch.testing.assert_close(parts[key], value, msg=lambda m, key=key, cuts=cuts: f"{key} cut at {cuts}: {m}")


@every_cell
@every_backend
@every_device
def test_reference_law(name: str, options: dict[str, Any], backend: str, device: str) -> None:
    """In float32 every backend is as near to the float64 loop as the float32 loop is, within a small multiple."""
    cell, x, state = build(name, options, torch.float32, device)
    skip_unless_able(cell, backend, x)
    exact = everything(copy.deepcopy(cell).double(), x.double(), state.double(), "loop")
    loop, tested = everything(cell, x, state, "loop"), everything(cell, x, state, backend)
    for key, truth in exact.items():
        unit = torch.finfo(torch.float32).eps * truth.abs().max()
        allowed = 4 * max((loop[key].double() - truth).abs().max(), unit)
        assert (tested[key].double() - truth).abs().max() <= allowed, key


@every_cell
@every_backend
def test_parity_with_torch(name: str, options: dict[str, Any], backend: str) -> None:
    """nn.RNN, nn.LSTM and nn.GRU on the same weights: outputs, final state and all gradients to 1e-10 in float64."""
    cell, x, state = build(name, options)
    skip_unless_able(cell, backend, x)
    if cell.torch_mode is None:
        pytest.skip("torch has no such module")
    ours = everything(cell, x, state, backend)
    twin = to_torch([cell])
    x, state = x.clone().requires_grad_(), state.clone().requires_grad_()
    if cell.torch_mode == "LSTM":
        y, (h, c) = twin(x, (state[:, 0][None].contiguous(), state[:, 1][None].contiguous()))
        final = torch.stack((h[0], c[0]), dim=1)
    else:
        y, h = twin(x, state[None])
        final = h[0]
    generator = torch.Generator().manual_seed(2)
    cotangents = [torch.randn(t.shape, dtype=torch.float64, generator=generator) for t in (y, final)]
    gradients = torch.autograd.grad((y, final), [x, state, *twin.parameters()], cotangents)
    theirs = [y, final, *gradients]
    for (key, value), other in zip(ours.items(), theirs, strict=True):
        torch.testing.assert_close(value, other, rtol=0, atol=1e-10, msg=lambda m, key=key: f"{key}: {m}")


@every_cell
def test_tap_is_the_total_derivative(name: str, options: dict[str, Any]) -> None:
    """∂ℓ/∂tap_t against central differences of perturbed states, in random directions, at every t."""
    cell, x, state = build(name, options)
    weights = torch.randn(H, dtype=torch.float64)

    def loss(tap: Tensor) -> Tensor:
        y, _ = run(cell, x, state, tap=tap)
        return (y[:, -1] @ weights).sin().sum()

    zero = torch.zeros(B, T, *cell.state_shape, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(loss(zero), zero)
    for t in range(T):
        direction = torch.zeros_like(gradient)
        direction[:, t] = torch.randn(B, *cell.state_shape, dtype=torch.float64)
        with torch.no_grad():
            difference = (loss(1e-5 * direction) - loss(-1e-5 * direction)) / 2e-5
        assert abs(float((gradient * direction).sum() - difference)) < 1e-7


@every_cell
def test_state_contract(name: str, options: dict[str, Any]) -> None:
    """The initial state has the declared shape, is float32 at least, and a step neither changes it nor its shape."""
    cell, x, _ = build(name, options)
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        state = make_cell(name, I, H, **options).to(dtype).initial_state(B)
        assert state.shape == (B, *cell.state_shape)
        assert state.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    state = torch.randn(B, *cell.state_shape, dtype=torch.float64)
    before, u = state.clone(), cell.drive(x)
    after = cell.step(u[:, 0], state)
    assert torch.equal(state, before)
    assert after.shape == state.shape
    y, states = run(cell, x, backend="loop", return_states=True)
    assert y.shape == (B, T, H)
    assert states.shape == (B, T, *cell.state_shape)
    assert torch.equal(run(cell, x, backend="loop")[1], states[:, -1])


@pytest.mark.parametrize("cls", [nn.RNN, nn.LSTM, nn.GRU])
def test_state_dict_exchange(cls: type[nn.RNNBase]) -> None:
    """Cells made from a torch module have its weights and compute what it computes."""
    module = cls(I, H, num_layers=2, batch_first=True).double()
    cells = from_torch(module)
    x = torch.randn(B, T, I, dtype=torch.float64)
    y = x
    for cell in cells:
        y, _ = run(cell, y, backend="loop")
    torch.testing.assert_close(y, module(x)[0], rtol=0, atol=1e-12)
    for layer, cell in enumerate(cells):
        for key, value in cell.state_dict().items():
            assert torch.equal(value, module.state_dict()[f"{key}_l{layer}"])


def test_to_torch_is_the_inverse_of_from_torch() -> None:
    module = nn.LSTM(H, H, num_layers=2, batch_first=True).double()
    twin = to_torch(from_torch(module))
    assert twin.state_dict().keys() == module.state_dict().keys()
    assert all(torch.equal(twin.state_dict()[key], value) for key, value in module.state_dict().items())


def test_same_seed_same_weights_as_torch() -> None:
    """The default initialisation draws what torch's modules draw, in the same order."""
    for name, cls in (("rnn", nn.RNN), ("lstm", nn.LSTM), ("gru", nn.GRU)):
        torch.manual_seed(5)
        ours = list(make_cell(name, I, H).parameters())
        torch.manual_seed(5)
        theirs = list(cls(I, H).parameters())
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_gate_biases_are_set() -> None:
    for name, option in (("lstm", "forget_bias"), ("gru", "update_bias")):
        cell = make_cell(name, I, H, **{option: 3.0})
        gate = (cell.bias_ih + cell.bias_hh)[H : 2 * H]
        assert torch.equal(gate, torch.full((H,), 3.0))


def test_backends_say_why_not() -> None:
    cell = make_cell("lstm", I, H)
    x, tap = torch.zeros(B, T, I), torch.zeros(B, T, 2, H)
    with pytest.raises(UserError, match="take no tap"):
        run(cell, x, backend="torch", tap=tap)
    with pytest.raises(UserError, match="not every state"):
        run(cell, x, backend="torch", return_states=True)
    with pytest.raises(UserError, match='unknown backend "lop". Did you mean "loop"'):
        run(cell, x, backend="lop")


@pytest.mark.parametrize("shape", [(B, 0, I), (B, T, I + 1), (B, I)])
def test_wrong_input_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match="x must be"):
        run(make_cell("rnn", I, H), torch.zeros(shape))


def test_wrong_state_shape_is_refused() -> None:
    with pytest.raises(UserError, match="state must be"):
        run(make_cell("lstm", I, H), torch.zeros(B, T, I), torch.zeros(B, H))

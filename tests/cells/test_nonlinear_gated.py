"""The nonlinear gated cells against implementations that are not ours, their sizes, and what their gates do."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torchrecurrent
from support.parity import assert_parity, reading_the_state
from torch import Tensor
from torch.func import functional_call

from rnnbench.backends import run
from rnnbench.cells import Cell, make_cell
from rnnbench.cells.init import open_gate

B, T, I, H = 3, 11, 5, 7
Step = Callable[[Tensor, Tensor], Tensor]  # (B, I), (B, *S) → (B, *S)


def product(W: Tensor, v: Tensor) -> Tensor:
    return torch.einsum("ij,bj->bi", W, v)


# --- the paper's equations, gate by gate, for the cells that no installed package has ------------------------------


def irnn(cell: Cell) -> Step:
    """Le, Jaitly & Hinton 2015, the network of section 2."""

    def step(x: Tensor, h: Tensor) -> Tensor:
        pre = product(cell.weight_ih, x) + cell.bias_ih + product(cell.weight_hh, h) + cell.bias_hh
        return torch.where(pre > 0, pre, torch.zeros_like(pre))

    return step


def gru_v1(cell: Cell) -> Step:
    """Cho et al. 2014, eqs. 5–8."""
    W_r, W_z, W = cell.weight_ih.chunk(3)
    U_r, U_z = cell.weight_hh.chunk(2)
    b_r, b_z, b = cell.bias.chunk(3)

    def step(x: Tensor, h: Tensor) -> Tensor:
        r = torch.sigmoid(product(W_r, x) + product(U_r, h) + b_r)
        z = torch.sigmoid(product(W_z, x) + product(U_z, h) + b_z)
        candidate = torch.tanh(product(W, x) + product(cell.weight_hn, r * h) + b)
        return z * h + (1 - z) * candidate

    return step


def layer_norm(z: Tensor, gain: Tensor, bias: Tensor | float) -> Tensor:
    mean = z.sum(dim=-1, keepdim=True) / z.shape[-1]
    variance = ((z - mean) ** 2).sum(dim=-1, keepdim=True) / z.shape[-1]
    return (z - mean) / (variance + 1e-5).sqrt() * gain + bias


def lstm_layernorm(cell: Cell) -> Step:
    """Ba, Kiros & Hinton 2016, supplementary material."""

    def step(x: Tensor, s: Tensor) -> Tensor:
        h, c = s[:, 0], s[:, 1]
        pre = layer_norm(product(cell.weight_hh, h), cell.gain_hh, 0.0)
        pre = pre + layer_norm(product(cell.weight_ih, x), cell.gain_ih, 0.0) + cell.bias
        f, i, o, g = pre[:, :H], pre[:, H : 2 * H], pre[:, 2 * H : 3 * H], pre[:, 3 * H :]
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(layer_norm(c, cell.gain_c, cell.bias_c))
        return torch.stack((h, c), dim=1)

    return step


def lstm_cifg(cell: Cell) -> Step:
    """Greff et al. 2017, section 2 without peepholes, with i = 1 − f."""
    (W_f, W_o, W_g), (R_f, R_o, R_g), (b_f, b_o, b_g) = (
        parameter.chunk(3) for parameter in (cell.weight_ih, cell.weight_hh, cell.bias)
    )

    def step(x: Tensor, s: Tensor) -> Tensor:
        y, c = s[:, 0], s[:, 1]
        block_input = torch.tanh(product(W_g, x) + product(R_g, y) + b_g)
        forget = torch.sigmoid(product(W_f, x) + product(R_f, y) + b_f)
        c = block_input * (1 - forget) + c * forget
        output = torch.sigmoid(product(W_o, x) + product(R_o, y) + b_o)
        return torch.stack((torch.tanh(c) * output, c), dim=1)

    return step


# --- torchrecurrent's cells, called on our parameters --------------------------------------------------------------


def lstm_peephole(cell: Cell) -> Step:
    external = torchrecurrent.PeepholeLSTMCell(I, H, dtype=torch.float64)
    weights = {
        "weight_ih": cell.weight_ih,
        "weight_hh": cell.weight_hh,
        "weight_ph": cell.peephole,
        "bias_ih": cell.bias,
        "bias_hh": torch.zeros_like(cell.bias),
    }

    def step(x: Tensor, s: Tensor) -> Tensor:
        return torch.stack(functional_call(external, weights, (x, (s[:, 0], s[:, 1]))), dim=1)

    return step


def janet(cell: Cell) -> Step:
    external = torchrecurrent.JANETCell(I, H, dtype=torch.float64, beta=1.0)
    weights = two_biases(cell.weight_ih, cell.weight_hh, cell.bias)
    return lambda x, h: functional_call(external, weights, (x, (h, h)))[0]


def mgu(cell: Cell) -> Step:
    external = torchrecurrent.MGUCell(I, H, dtype=torch.float64)
    weights = two_biases(cell.weight_ih, torch.cat((cell.weight_hh, cell.weight_hn)), cell.bias)
    return lambda x, h: functional_call(external, weights, (x, h))


def ugrnn(cell: Cell) -> Step:
    external = torchrecurrent.UGRNNCell(I, H, dtype=torch.float64)
    weights = two_biases(cell.weight_ih, cell.weight_hh, cell.bias)
    return lambda x, h: functional_call(external, weights, (x, h))


def minimal_rnn(cell: Cell) -> Step:
    external = torchrecurrent.MinimalRNNCell(I, H, dtype=torch.float64)
    weights = {
        "weight_ih": cell.weight_ih,
        "weight_mm": cell.weight_zh,
        "weight_hh": cell.weight_hh,
        "bias_ih": cell.bias[:H],
        "bias_hh": cell.bias[H:],
    }
    return lambda x, h: functional_call(external, weights, (x, h))


def two_biases(weight_ih: Tensor, weight_hh: Tensor, bias: Tensor) -> dict[str, Tensor]:
    return {"weight_ih": weight_ih, "weight_hh": weight_hh, "bias_ih": bias, "bias_hh": torch.zeros_like(bias)}


REFERENCES: dict[str, Callable[[Cell], Step]] = {
    "irnn": irnn,
    "gru_v1": gru_v1,
    "lstm_peephole": lstm_peephole,
    "lstm_layernorm": lstm_layernorm,
    "lstm_cifg": lstm_cifg,
    "janet": janet,
    "mgu": mgu,
    "ugrnn": ugrnn,
    "minimal_rnn": minimal_rnn,
}
every_cell = pytest.mark.parametrize("name", list(REFERENCES))
every_gated_cell = pytest.mark.parametrize("name", [name for name in REFERENCES if name != "irnn"])


def build(name: str) -> Cell:
    """A float64 cell, no parameter of which is at a value (0, 1, I) that would hide a mistake."""
    torch.manual_seed(3)
    cell = make_cell(name, I, H).double()
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3)
    return cell


def set_gates(cell: Cell, value: float) -> None:
    """The keep gate's bias to a value, the write gate's to its opposite."""
    for gate, biases in cell.gates().items():
        open_gate(biases, value if gate == "keep" else -value)


def memory(s: Tensor) -> Tensor:
    """(B, H): the state itself, or the c of an LSTM's [h; c]."""
    return s[:, 1] if s.dim() == 3 else s


@every_cell
def test_parity_with_an_independent_implementation(name: str) -> None:
    """Outputs, final state and the gradients of inputs, state and parameters under random cotangents."""
    cell = build(name)
    step = reading_the_state(REFERENCES[name](cell))
    state = torch.randn(B, *cell.state_shape, dtype=torch.float64)
    assert_parity(cell, step, torch.randn(B, T, I, dtype=torch.float64), state)


@every_gated_cell
def test_gates_open_what_they_say(name: str) -> None:
    """Kept and not written, the memory stays as it is; written and not kept, it does not."""
    cell = build(name)
    x = torch.randn(B, 1, I, dtype=torch.float64)
    state = torch.randn(B, *cell.state_shape, dtype=torch.float64)
    assert cell.gates()
    assert all(bias.shape == (H,) for biases in cell.gates().values() for bias in biases)
    set_gates(cell, 30.0)
    torch.testing.assert_close(memory(run(cell, x, state)[1]), memory(state), rtol=0, atol=1e-8)
    set_gates(cell, -30.0)
    assert (memory(run(cell, x, state)[1]) - memory(state)).abs().max() > 0.1


@every_cell
def test_recurrent_matrices_are_all_that_multiplies_the_last_state(name: str) -> None:
    """With them at zero (peepholes too, and the keep gate shut) a step no longer depends on the last state."""
    cell = build(name)
    with torch.no_grad():
        for matrix in cell.recurrent_matrices():
            assert matrix.shape == (H, H)
            matrix.zero_()
        if name == "lstm_peephole":
            cell.peephole.zero_()
    set_gates(cell, -700.0)
    x = torch.randn(B, 1, I, dtype=torch.float64)
    after = [run(cell, x, torch.randn(B, *cell.state_shape, dtype=torch.float64))[1] for _ in range(2)]
    torch.testing.assert_close(after[0], after[1], rtol=0, atol=1e-12)


def test_the_irnn_starts_as_an_integrator() -> None:
    """W_hh = I, no biases, input weights N(0, 0.001²), and torch's kernel runs it."""
    torch.manual_seed(0)
    cell = make_cell("irnn", 50, 200)
    assert torch.equal(cell.weight_hh, torch.eye(200))
    assert not cell.bias_ih.any()
    assert not cell.bias_hh.any()
    std, mean = torch.std_mean(cell.weight_ih.detach())
    assert abs(std - 1e-3) < 3e-5
    assert abs(mean) < 3e-5
    assert cell.torch_mode == "RNN_RELU"


def test_layernorm_starts_with_gains_of_one() -> None:
    cell = make_cell("lstm_layernorm", I, H)
    assert all(bool((gain == 1).all()) for gain in (cell.gain_ih, cell.gain_hh, cell.gain_c))
    assert not cell.bias_c.any()


def test_layernorm_is_blind_to_the_scale_of_its_weights() -> None:
    """What it is for: the gains alone set the size of the gates' arguments."""
    cell = build("lstm_layernorm")
    x = torch.randn(B, T, I, dtype=torch.float64)
    with torch.no_grad():
        for weight in (cell.weight_ih, cell.weight_hh):
            weight.mul_(1e4)  # 1e-5 under the root is nothing beside it
        y, _ = run(cell, x)
        for weight in (cell.weight_ih, cell.weight_hh):
            weight.mul_(10)
        torch.testing.assert_close(run(cell, x)[0], y, rtol=0, atol=1e-6)

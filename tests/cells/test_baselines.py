"""The baselines are what their papers say: against transcriptions that share no code with them."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.backends import run
from rnnbench.backends.window import Window
from rnnbench.cells import WindowCell, make_cell
from rnnbench.cells.baselines import transformer
from rnnbench.cells.baselines.tcn import TCN
from rnnbench.cells.baselines.transformer import Transformer
from rnnbench.cells.weight_norm import Normalised, direct
from rnnbench.errors import UserError

B, T, I, H = 2, 11, 5, 8


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(1)


def randomise(cell: WindowCell) -> WindowCell:
    """Gains of 1 and biases of 0 would hide where they act."""
    generator = torch.Generator().manual_seed(3)
    for parameter in cell.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return cell


def values_and_gradients(y: Tensor, inputs: list[Tensor]) -> list[Tensor]:
    cotangent = torch.randn(y.shape, generator=torch.Generator().manual_seed(2), dtype=y.dtype)
    return [y, *torch.autograd.grad(y, inputs, cotangent)]


def assert_all_close(ours: list[Tensor], reference: list[Tensor], atol: float) -> None:
    for a, b in zip(ours, reference, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol)


def window_run(cell: WindowCell, x: Tensor) -> Tensor:
    return Window().run(cell, x, cell.initial_state(x.shape[0]), None, False)[0]


def loop_run(cell: WindowCell, x: Tensor) -> Tensor:
    return run(cell, x, backend="loop")[0]


both_ways = pytest.mark.parametrize("how", [loop_run, window_run])


def transcribed_transformer(cell: Transformer, x: Tensor) -> Tensor:
    """One position, one head, one pair of keys after the other; rotation as a product of complex numbers."""
    p, width = dict(cell.named_parameters()), cell.hidden_size // cell.heads
    half = width // 2

    def norm(z: Tensor, name: str) -> Tensor:
        centred = z - z.mean()
        return centred / (centred.square().mean() + 1e-5).sqrt() * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(z: Tensor, name: str) -> Tensor:
        return p[f"{name}.weight"] @ z + p[f"{name}.bias"]

    def as_complex(z: Tensor) -> Tensor:
        return torch.complex(z[:half], z[half:])

    rows = []
    for sample in x:
        r = [linear(z, "residual") if cell.input_size != cell.hidden_size else z for z in sample]
        qkv = [linear(norm(z, "norm_attention"), "qkv").chunk(3) for z in r]
        out = []
        for t in range(len(r)):
            heads = []
            for head in range(cell.heads):
                head_rows = slice(head * width, (head + 1) * width)
                seen = range(max(0, t - cell.window + 1), t + 1)
                scores = []
                for j in seen:
                    # Re ⟨q, k e^{i (j − t) θ}⟩ summed over the pairs: the relative turn alone.
                    turns = torch.tensor([(j - t) / 10_000 ** (2 * i / width) for i in range(half)], dtype=x.dtype)
                    key = as_complex(qkv[j][1][head_rows]) * torch.polar(torch.ones_like(turns), turns)
                    scores.append((as_complex(qkv[t][0][head_rows]).conj() * key).real.sum() / math.sqrt(width))
                weights = torch.stack(scores).exp()
                heads.append(sum(w * qkv[j][2][head_rows] for w, j in zip(weights / weights.sum(), seen, strict=True)))
            z = r[t] + linear(torch.cat(heads), "out")
            inner = linear(norm(z, "norm_mlp"), "mlp.0")
            out.append(z + linear(inner * (1 + torch.erf(inner / math.sqrt(2))) / 2, "mlp.2"))
        rows.append(torch.stack(out))
    return torch.stack(rows)


@both_ways
@pytest.mark.parametrize("input_size", [I, H])
@pytest.mark.parametrize(("window", "heads"), [(4, 2), (128, 1), (1, 4)])
def test_transformer_is_the_papers(
    how: Callable[[WindowCell, Tensor], Tensor], input_size: int, window: int, heads: int
) -> None:
    cell = randomise(make_cell("transformer", input_size, H, window=window, heads=heads).double())
    x = torch.randn(B, T, input_size, dtype=torch.float64, requires_grad=True)
    inputs = [x, *cell.parameters()]
    ours, reference = how(cell, x), transcribed_transformer(cell, x)
    assert_all_close(values_and_gradients(ours, inputs), values_and_gradients(reference, inputs), 1e-8)


def test_transformer_without_rotation_is_torchs_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "turn", lambda x, place: x)
    cell, window = make_cell("transformer", H, H, window=4, heads=2).double(), 4
    randomise(cell)
    twin = nn.TransformerEncoderLayer(
        H, 2, 4 * H, dropout=0, activation="gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    names = {
        "self_attn.in_proj_": "qkv.",
        "self_attn.out_proj.": "out.",
        "linear1.": "mlp.0.",
        "linear2.": "mlp.2.",
        "norm1.": "norm_attention.",
        "norm2.": "norm_mlp.",
    }
    weights = cell.state_dict()
    twin.load_state_dict(
        {reference + part: weights[ours + part] for reference, ours in names.items() for part in ("weight", "bias")}
    )
    lag = torch.arange(T)[:, None] - torch.arange(T)
    x = torch.randn(B, T, H, dtype=torch.float64)
    reference = twin(x, src_mask=(lag < 0) | (lag >= window))
    torch.testing.assert_close(window_run(cell, x), reference, rtol=0, atol=1e-10)


def test_transformer_does_not_know_the_absolute_position() -> None:
    """What came more than W ago, and how long ago the beginning was, changes nothing."""
    cell = make_cell("transformer", I, H, window=4).double()
    x, before = torch.randn(B, T, I, dtype=torch.float64), torch.randn(B, 50, I, dtype=torch.float64)
    late = window_run(cell, torch.cat((before, x), dim=1))[:, 50:]
    torch.testing.assert_close(late[:, 3:], window_run(cell, x)[:, 3:], rtol=0, atol=1e-12)
    assert not torch.allclose(late[:, :3], window_run(cell, x)[:, :3])


class BaiBlock(nn.Module):
    """As published: pad both ends, convolve, chomp the future off."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.chomp = (kernel - 1) * dilation
        self.convs = nn.ModuleList(
            nn.utils.parametrizations.weight_norm(
                nn.Conv1d(width, outputs, kernel, padding=self.chomp, dilation=dilation)
            )
            for width in (inputs, outputs)
        )
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, z: Tensor) -> Tensor:
        out = z
        for conv in self.convs:
            out = F.relu(conv(out)[:, :, : -self.chomp])
        return F.relu(out + self.downsample(z))


@both_ways
@pytest.mark.parametrize("input_size", [I, H])
@pytest.mark.parametrize(("levels", "kernel"), [(1, 2), (3, 2), (2, 3), (4, 3)])
def test_tcn_is_the_papers(
    how: Callable[[WindowCell, Tensor], Tensor], input_size: int, levels: int, kernel: int
) -> None:
    """From the first instant on, where the padding of every layer is seen."""
    cell = randomise(make_cell("tcn", input_size, H, levels=levels, kernel=kernel).double())
    widths = [input_size] + [H] * levels
    net = nn.Sequential(*(BaiBlock(widths[n], H, kernel, 2**n) for n in range(levels))).double()
    ours = [*cell.convs.parameters(), *cell.residual.parameters()]
    reference = [p for block in net for p in block.convs.parameters()]
    reference += [p for block in net for p in block.downsample.parameters()]
    with torch.no_grad():
        for weight, copy in zip(ours, reference, strict=True):
            copy.copy_(weight)
    time = cell.window + 5
    x = torch.randn(B, time, input_size, dtype=torch.float64, requires_grad=True)
    a = values_and_gradients(how(cell, x), [x, *ours])
    b = values_and_gradients(net(x.transpose(1, 2)).transpose(1, 2), [x, *reference])
    assert_all_close(a, b, 1e-10)


def test_weight_normalisation_is_torchs_whichever_way() -> None:
    """A GPU in float64 goes `direct`."""
    g = torch.rand(H, 1, 1, dtype=torch.float64, requires_grad=True)
    v = torch.randn(H, I, 3, dtype=torch.float64, requires_grad=True)
    truth = values_and_gradients(torch._weight_norm(v, g, 0), [g, v])
    assert_all_close(values_and_gradients(Normalised()(g, v), [g, v]), truth, 0.0)
    assert_all_close(values_and_gradients(direct(g, v), [g, v]), truth, 1e-13)


def test_tcn_window_is_its_receptive_field() -> None:
    assert make_cell("tcn", I, H).window == 1 + 2 * 2 * 15
    assert make_cell("tcn", I, H, levels=2, kernel=5).window == 1 + 2 * 4 * 3


@pytest.mark.parametrize(("name", "options"), [("transformer", {"window": 4}), ("tcn", {"levels": 1})])
def test_sees_its_window_and_nothing_else(name: str, options: dict[str, int]) -> None:
    """∂y_t/∂x_j is exactly zero after t and before t − W + 1, and not zero between."""
    cell = randomise(make_cell(name, I, H, **options).double())
    # Many samples: in one alone all relus on a path may be shut.
    x = torch.randn(50, T, I, dtype=torch.float64, requires_grad=True)
    y = window_run(cell, x)
    for t in range(T):
        (gradient,) = torch.autograd.grad(y[:, t].sum(), x, retain_graph=True)
        seen = gradient.abs().sum((0, 2)) > 0
        assert seen.tolist() == [t - cell.window < j <= t for j in range(T)], t


@pytest.mark.parametrize("name", ["transformer", "tcn"])
def test_reset_parameters_draws_what_the_constructor_draws(name: str) -> None:
    """In distribution: the same bounds, gains of 1 where they are 1, norms equal to the directions' own."""
    torch.manual_seed(0)
    cell = make_cell(name, 64, 64)
    fresh = {key: value.clone() for key, value in cell.state_dict().items()}
    cell.reset_parameters()
    for key, value in cell.state_dict().items():
        torch.testing.assert_close(value.abs().max(), fresh[key].abs().max(), rtol=0.15, atol=0)
        assert torch.equal(value, fresh[key]) == (float(value.std()) == 0), key


def test_parameter_counts() -> None:
    def count(name: str, input_size: int, **options: int) -> int:
        return sum(p.numel() for p in make_cell(name, input_size, H, **options).parameters())

    assert count("transformer", H) == 12 * H * H + 13 * H
    assert count("transformer", I, window=7) == 12 * H * H + 13 * H + (I + 1) * H
    for levels, kernel in ((4, 3), (2, 5)):
        convs = kernel * H * H * 2 * levels + 2 * H * 2 * levels
        assert count("tcn", H, levels=levels, kernel=kernel) == convs
        assert count("tcn", I, levels=levels, kernel=kernel) == convs + kernel * H * (I - H) + (I + 1) * H


@pytest.mark.parametrize(
    ("cls", "options", "named"),
    [
        (Transformer, {"window": 0}, "window 0"),
        (Transformer, {"heads": 0}, "heads 0"),
        (Transformer, {"heads": 3}, "heads 3 and hidden_size 8"),
        (Transformer, {"heads": 8}, "heads 8 and hidden_size 8"),
        (TCN, {"levels": 0}, "got 0 and 3"),
        (TCN, {"kernel": 1}, "got 4 and 1"),
    ],
)
def test_bad_options_are_refused(cls: type[WindowCell], options: dict[str, int], named: str) -> None:
    with pytest.raises(UserError, match=named):
        cls(I, H, **options)

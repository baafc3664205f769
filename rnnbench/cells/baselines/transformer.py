"""A causal Transformer layer (Vaswani et al. 2017) with rotary positions (Su et al. 2021) and a sliding window."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rnnbench.cells.registry import register_cell
from rnnbench.cells.window_cell import WindowCell
from rnnbench.errors import UserError


@register_cell("transformer")
class Transformer(WindowCell):
    """One pre-norm decoder layer that attends to the last W time steps, its own included; an entry is [k; v; 1].

    r = x                                  or W_r x + b_r where I ≠ H
    q, k, v = W_qkv LN(r) + b_qkv          in heads of width d
    a_t = Σ_j softmax_j((R_t q_t)ᵀ R_j k_j / √d) v_j       j = t − W + 1 … t; R_j turns pair i by the angle j θ^(−2i/d)
    r' = r + W_o a + b_o
    y = r' + W_2 GELU(W_1 LN(r') + b_1) + b_2              W_1 is (4H, H)

    Scores depend on t − j alone, so keys are kept unturned and turned by their place among those seen; the 1 tells a
    time step from what was before the beginning. Initialised as torch's modules are. The last norm is the model's.

    Args:
        window: W.
        heads: H / heads = d, which must be even.

    Raises:
        UserError: a window or heads below 1, or heads that are not of one even width.
    """

    paper = "Vaswani et al. 2017; Su et al. 2021"

    def __init__(self, input_size: int, hidden_size: int, window: int = 128, heads: int = 4) -> None:
        if window < 1 or heads < 1 or hidden_size % (2 * heads):
            got = f"window {window}, heads {heads} and hidden_size {hidden_size}"
            raise UserError(f"transformer: choose window, heads ≥ 1 and hidden_size a multiple of 2 heads, got {got}.")
        super().__init__(input_size, hidden_size, window, entry_size=2 * hidden_size + 1, block=window)
        H, self.heads = hidden_size, heads
        self.residual = nn.Linear(input_size, H) if input_size != H else nn.Identity()
        self.norm_attention, self.qkv, self.out = nn.LayerNorm(H), nn.Linear(H, 3 * H), nn.Linear(H, H)
        self.norm_mlp = nn.LayerNorm(H)
        self.mlp = nn.Sequential(nn.Linear(H, 4 * H), nn.GELU(), nn.Linear(4 * H, H))

    def reset_parameters(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()

    def drive(self, x: Tensor) -> Tensor:
        r = self.residual(x)
        return torch.cat((r, self.qkv(self.norm_attention(r))), dim=-1)

    def entry(self, u: Tensor) -> Tensor:
        return F.pad(u[..., 2 * self.hidden_size :], (0, 1), value=1.0)

    def look(self, entries: Tensor, u: Tensor) -> Tensor:
        H, place = self.hidden_size, torch.arange(entries.shape[1], device=entries.device)
        lag = place[-u.shape[1] :, None] - place
        mask = (lag >= 0) & (lag < self.window) & (entries[:, None, None, :, -1] > 0.5)
        k, v, _ = entries.to(u.dtype).split((H, H, 1), dim=-1)
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in (u[..., H : 2 * H], k, v))
        a = F.scaled_dot_product_attention(turn(q, place[-u.shape[1] :]), turn(k, place), v, attn_mask=mask)
        r = u[..., :H] + self.out(a.transpose(1, 2).flatten(2))
        return r + self.mlp(self.norm_mlp(r))


def turn(x: Tensor, place: Tensor, theta: float = 10_000.0) -> Tensor:
    """R_place x: x (…, T, d) in pairs (i, i + d/2), place (T,); Su et al. 2021, eq. 15 but for the order of pairs."""
    pairs = x.shape[-1] // 2
    # Angles in float64: their rounding in float32 would grow with the place.
    angle = place.double().outer(theta ** (-torch.arange(pairs, device=x.device, dtype=torch.float64) / pairs))
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)

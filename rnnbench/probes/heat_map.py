"""The heat map of gradient flow along a training, for the report and for Weights & Biases alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import QuadMesh
    from numpy.typing import NDArray

#: Decades shown, from where nothing is left to where the gradient has grown.
LOWEST, HIGHEST = -12.0, 2.0
#: What a heat map's colours are.
LABEL = r"$\log_{10}\ G(k)\,/\,G(0)$   (line: the horizon)"


def flow_heat_map(axes: Axes, steps: NDArray[np.float64], flow: NDArray[np.float64]) -> QuadMesh:
    """Training steps to the right, lags upwards, the effective horizon as a line.

    steps: (P,) rising training steps, two at least. flow: (P, K) of log₁₀ G(k)/G(0).
    """
    between = (steps[1:] + steps[:-1]) / 2
    across = np.concatenate([steps[:1] - (between[0] - steps[0]), between, 2 * steps[-1:] - between[-1]])
    up = np.arange(flow.shape[1] + 1) - 0.5
    known = np.nan_to_num(flow, nan=-np.inf, neginf=-np.inf, posinf=np.inf)
    shown = np.clip(known, LOWEST, HIGHEST)
    # Pixels, not thousands of paths: an SVG of these would be megabytes.
    mesh = axes.pcolormesh(across, up, shown.T, cmap="viridis", vmin=LOWEST, vmax=HIGHEST, rasterized=True)
    # From the values before they were clipped; where there is no gradient at all there is no horizon.
    horizon = [np.flatnonzero(row >= row.max() - 2)[-1] if row.max() > -np.inf else np.nan for row in known]
    axes.plot(steps, horizon, color="white", linewidth=1.5)
    axes.grid(visible=False)
    axes.set_xlim(across[0], across[-1])
    axes.set_xlabel("training step")
    lag_axis(axes, flow.shape[1], "y")
    return mesh


def lag_axis(axes: Axes, seq_len: int, which: str = "x", label: str = "lag k (states back from the loss)") -> None:
    """Lags 0 … T − 1 on the axis x or y, linear up to 1 and logarithmic from there, ticked at 0, 1, 2, 4, …"""
    ticks = [0, *(2**power for power in range((seq_len - 1).bit_length()))]
    scale: dict[str, Any] = {"base": 2, "linthresh": 1, "linscale": 0.6}
    names, limits = [str(tick) for tick in ticks], (0, max(seq_len - 1, 1))
    if which == "x":
        axes.set_xscale("symlog", **scale)
        axes.set_xticks(ticks, names)
        axes.set(xlim=limits, xlabel=label)
    else:
        axes.set_yscale("symlog", **scale)
        axes.set_yticks(ticks, names)
        axes.set(ylim=limits, ylabel=label)

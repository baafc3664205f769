"""The pictures of gradient flow that a mirrored run ends with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The keys that they are logged under; of the chart's rows W&B makes a table under the first and "_table".
FLOW_CHART, HEAT_MAP = "gradient flow", "gradient flow along training"


def flow_chart(curves: Mapping[str, NDArray[np.float64]]) -> Any:
    """A W&B line chart of log₁₀ G(k)/G(0), init and final; None without curves."""
    chosen = {name: curves[f"{name}/gradient_flow"] for name in ("init", "final") if f"{name}/gradient_flow" in curves}
    if not chosen:
        return None
    import wandb

    ys = [[(float(value) - float(curve[0])) / math.log(10) for value in curve] for curve in chosen.values()]
    return wandb.plot.line_series(
        xs=[list(range(len(y))) for y in ys],
        ys=ys,
        keys=["end" if name == "final" else name for name in chosen],
        title="gradient flow, init and end: log10 G(k)/G(0)",
        xname="lag",
    )


def heat_map(curves: Mapping[str, NDArray[np.float64]]) -> Any:
    """A W&B image of log₁₀ G(k)/G(0), lag × training step; None of fewer than two steps."""
    steps, flow = curves.get("along/step"), curves.get("along/gradient_flow")
    if steps is None or flow is None or len(steps) < 2:
        return None
    import numpy as np
    import wandb
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from rnnbench.probes.heat_map import LABEL, flow_heat_map

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    mesh = flow_heat_map(figure.subplots(), np.asarray(steps, float), (flow - flow[:, :1]) / math.log(10))
    figure.colorbar(mesh, label=LABEL)
    pixels = FigureCanvasAgg(figure)
    pixels.draw()
    return wandb.Image(np.asarray(pixels.buffer_rgba())[..., :3])

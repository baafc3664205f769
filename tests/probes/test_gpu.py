"""On a GPU every probe gives what it gives on the CPU."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from rnnbench.cells import cell_names
from rnnbench.config import CellConfig, ModelConfig
from rnnbench.data.task import Batch, Task
from rnnbench.models import SequenceModel
from rnnbench.probes.context import context_curve
from rnnbench.probes.gates import measure_gates
from rnnbench.probes.gradient_flow import measure_gradient_flow, measure_gradient_share, measure_saliency, shuffled
from rnnbench.probes.jacobian import measure_singular_values
from rnnbench.probes.lyapunov import measure_lyapunov

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"),
]
TASK = Task("many_to_many", "tokens", "symbols", 11, 11, stateful=True, causal=True)


@pytest.mark.parametrize("name", cell_names())
def test_every_probe_agrees_with_the_cpu(name: str) -> None:
    torch.manual_seed(0)
    model = SequenceModel(TASK, CellConfig(name), ModelConfig(hidden_size=8, num_layers=2))
    batch = Batch(torch.randint(11, (4, 80)), torch.randint(11, (4, 80)))
    there, batch_there = copy.deepcopy(model).cuda(), Batch(batch.x.cuda(), batch.y.cuda())
    for probe in (measure_gradient_flow, measure_saliency):
        ours, theirs = (probe(m, b, TASK).mean for m, b in ((model, batch), (there, batch_there)))
        np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-6)
    flows = [measure_gradient_flow(m, b, TASK) for m, b in ((model, batch), (there, batch_there))]
    assert flows[0].parts.keys() == flows[1].parts.keys()
    for part, curve in flows[0].parts.items():
        np.testing.assert_allclose(flows[1].parts[part], curve, rtol=1e-6, atol=1e-6)
    assert torch.equal(shuffled(batch_there).x.cpu(), shuffled(batch).x)
    ours, theirs = (measure_gradient_share(m, b, TASK) for m, b in ((model, batch), (there, batch_there)))
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-9)
    ours, theirs = (measure_lyapunov(m, b, TASK, 2).exponents for m, b in ((model, batch), (there, batch_there)))
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)
    gates, gates_there = measure_gates(model, batch, TASK), measure_gates(there, batch_there, TASK)
    assert gates.keys() == gates_there.keys()
    assert all(gates[key].mean == pytest.approx(gates_there[key].mean, rel=1e-4) for key in gates)
    if model.cells[0].initial_state(1).numel() <= 512:
        ours, theirs = (
            measure_singular_values(m, b, TASK, [1, 8], 2) for m, b in ((model, batch), (there, batch_there))
        )
        np.testing.assert_allclose(theirs, ours, rtol=1e-6, atol=1e-6)
    windows = torch.randint(11, (64, 33))
    np.testing.assert_allclose(context_curve(there, windows).nll, context_curve(model, windows).nll, rtol=1e-4)

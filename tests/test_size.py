"""What a run needs at the least is less than what it really has, and what cannot fit is refused in one sentence."""

from __future__ import annotations

import pytest
import torch

from rnnbench.cells.registry import cell_names, make_cell
from rnnbench.config import DataConfig, ModelConfig, OptimConfig, Run
from rnnbench.config.size import check_size, least_weights
from rnnbench.errors import UserError

GIB = 2**30


@pytest.mark.parametrize("name", cell_names())
def test_no_cell_has_fewer_weights(name: str) -> None:
    """Else a run that fits would be refused."""
    for embedding, width in ((4, 64), (64, 64), (64, 16)):
        with torch.device("meta"):
            layers = [make_cell(name, size, width) for size in (embedding, width, width)]
        weights = 4 * sum(weight.numel() for cell in layers for weight in cell.parameters())
        model = ModelConfig(hidden_size=width, embedding_size=embedding, num_layers=3)
        assert least_weights(Run(model=model, optim=OptimConfig("sgd"))) <= 2 * weights


def test_what_fits_and_what_does_not() -> None:
    check_size(Run(), GIB)
    for run, wanted in (
        (Run(model=ModelConfig(hidden_size=2**20)), "model.hidden_size 1048576 in 1 layers needs 16,384.0 GiB"),
        (Run(model=ModelConfig(parameters=10**10)), "model.parameters 10000000000 needs 149.0 GiB"),
        (Run(data=DataConfig(batch_size=2**20, seq_len=2**20)), "data.batch_size 1048576 × data.seq_len 1048576 needs"),
    ):
        with pytest.raises(UserError, match=wanted):
            check_size(run, 100 * GIB)

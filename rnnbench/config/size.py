"""What a run needs in memory whatever its cell: enough to refuse at once what would only be refused by a crash."""

from __future__ import annotations

from rnnbench.config.run import Run
from rnnbench.errors import UserError

#: Bytes of a float32; weights are held with a gradient beside each, and Adam's two moments.
FLOAT, COPIES = 4, {"sgd": 2, "rmsprop": 3, "adam": 4, "adamw": 4}
GIB = 2.0**30


def least_weights(run: Run) -> int:
    """Bytes of weights, gradients and moments that every cell needs at the least.

    The first layer reads the embedding, each further one the layer below; where the width follows from
    ``model.parameters``, these are they.
    """
    model = run.model
    count = model.parameters
    if count is None:
        width = model.hidden_size
        count = width * (model.embedding_size or width) + (model.num_layers - 1) * width**2
    return FLOAT * COPIES[run.optim.name] * count


def least_batch(run: Run) -> int:
    """Bytes of one batch of inputs, a number a time step."""
    return FLOAT * run.data.batch_size * run.data.seq_len


def check_size(run: Run, memory: int) -> None:
    """Refuse a run that cannot fit.

    Args:
        run: What is to be trained.
        memory: Bytes that the device has.

    Raises:
        UserError: weights, or a batch of inputs, alone need more.
    """
    if (need := least_weights(run)) > memory:
        model = run.model
        what = f"model.hidden_size {model.hidden_size} in {model.num_layers} layers"
        what = what if model.parameters is None else f"model.parameters {model.parameters}"
        raise UserError(
            f"{what} needs {need / GIB:,.1f} GiB for weights and optimiser, and there are {memory / GIB:,.1f}; "
            "make the model smaller."
        )
    if (need := least_batch(run)) > memory:
        data = run.data
        raise UserError(
            f"data.batch_size {data.batch_size} × data.seq_len {data.seq_len} needs {need / GIB:,.1f} GiB for a batch "
            f"of inputs, and there are {memory / GIB:,.1f}; make one of them smaller."
        )

"""Model FLOPs, counted rather than believed."""

from __future__ import annotations

import copy

import torch
from torch.utils.flop_counter import FlopCounterMode

from rnnbench.data.task import Task
from rnnbench.models.sequence import SequenceModel


def flops_per_token(model: SequenceModel, task: Task, seq_len: int = 16) -> float:
    """Floating-point operations of forward and backward for one token (matrix products, two a multiply-add).

    Counted on the meta device with the loop backend, where every product is visible: fused kernels hide theirs. The
    incoming state requires a gradient, so that each step costs what it costs inside a long sequence.
    """
    with torch.inference_mode(False), torch.enable_grad():
        twin = copy.deepcopy(model).to("meta")
        twin.backend = "loop"
        shape = (1, seq_len) if task.kind == "tokens" else (1, seq_len, task.input_size)
        x = torch.zeros(shape, dtype=torch.long if task.kind == "tokens" else torch.float32, device="meta")
        state = [cell.initial_state(1).requires_grad_() for cell in twin.cells]
        with FlopCounterMode(display=False) as counter:
            twin(x, state)[0].sum().backward()
    return counter.get_total_flops() / seq_len

"""What a trained character model writes when it goes on with the beginning of its training text."""

from __future__ import annotations

import copy
from contextlib import suppress
from pathlib import Path

from rnnbench.data.text.streams import TextData
from rnnbench.errors import UserError
from rnnbench.generate import write
from rnnbench.ledger import SAMPLE, SAMPLE_MARK, write_atomic
from rnnbench.models import Model, SequenceModel

#: Symbols written after the prompt, and how boldly.
LENGTH, TEMPERATURE = 300, 0.8


def write_sample(model: Model, source: TextData, seed: int, folder: Path) -> None:
    """Write ``sample.txt``: the prompt, `SAMPLE_MARK`, and what the model makes of it, drawn by the run's seed.

    The model is left as it is, and so are torch's own random numbers.

    Args:
        model: Trained; a copy of it on the CPU writes, so that a GPU's run writes the same text.
        source: What it was trained on.
        seed: The run's.
        folder: Likewise.
    """
    assert isinstance(model, SequenceModel)
    twin = copy.deepcopy(model).cpu().eval()
    twin.probed.backend = "auto"  # the one it was trained by may be a GPU's
    assert source.prompt is not None
    before = source.prompt.replace(SAMPLE_MARK, "") or source.prompt
    written: list[str] = []
    with suppress(UserError):  # a state that leaves the finite numbers: what there is until then is shown
        written.extend(write(twin, source.vocabulary, before, LENGTH, TEMPERATURE, seed=seed))
    write_atomic(folder / SAMPLE, f"{before}{SAMPLE_MARK}{''.join(written)}\n".encode("utf-8", "replace"))

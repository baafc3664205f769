"""What a trained character model writes when it goes on with the beginning of a text that it has not seen."""

from __future__ import annotations

import copy
from contextlib import suppress
from pathlib import Path

from rnnbench.data.text.streams import TextData
from rnnbench.data.text.vocabulary import UNKNOWN
from rnnbench.generate import write
from rnnbench.ledger import SAMPLE, SAMPLE_MARK, write_atomic
from rnnbench.models import Model, SequenceModel

#: Characters of the prompt, symbols written after it, and how boldly.
PROMPT, LENGTH, TEMPERATURE = 40, 300, 0.8
#: Where in the test part the first whole line is looked for.
LOOKED_AT = 4096


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
    before = prompt(source)
    written: list[str] = []
    with suppress(RuntimeError):  # a state that leaves the finite numbers: what there is until then is shown
        written.extend(write(twin, source.vocabulary, before, LENGTH, TEMPERATURE, seed=seed))
    write_atomic(folder / SAMPLE, f"{before}{SAMPLE_MARK}{''.join(written)}\n".encode("utf-8", "replace"))


def prompt(source: TextData) -> str:
    """The first characters of the test part's first whole line, and of the next ones where it is short.

    Never empty, and without `SAMPLE_MARK`; of bytes those that are characters.
    """
    first = next(iter(source.evaluation("test", stateful=False)))
    x = first.x if first.mask is None else first.x[first.mask]
    text = source.vocabulary.decode(x.flatten()[:LOOKED_AT]).strip(UNKNOWN)
    line = text.find("\n") + 1
    begin = line if len(text) - line >= PROMPT else 0
    return text[begin : begin + PROMPT].replace(SAMPLE_MARK, "") or "\n"

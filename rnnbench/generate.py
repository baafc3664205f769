"""Text from a trained model: a character model goes on with a prompt, a decoder writes what a source asks for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rnnbench.config import Run
from rnnbench.data.load import load as load_data
from rnnbench.data.sequences.pairs import PairData
from rnnbench.data.sequences.targets import Targets
from rnnbench.data.text.vocabulary import UNKNOWN, Vocabulary
from rnnbench.errors import UserError
from rnnbench.models import EncoderDecoder, Model, SequenceModel
from rnnbench.models.decoding import told
from rnnbench.models.decoding import write as search
from rnnbench.trained import finished


class Trained(NamedTuple):
    """A finished run: the model, in evaluation mode, the symbols of its input (None: it reads numbers) and its targets.

    targets: None where the targets are the input's symbols. prompt: The beginning of the text that it was trained on;
    None where the weights' file does not say it.
    """

    model: Model
    run: Run
    vocabulary: Vocabulary | None
    targets: Targets | None
    prompt: str | None


def load(folder: Path) -> Trained:
    """What a finished run has learned, where it writes symbols.

    Raises:
        UserError: no finished run there, weights that are not plain tensors or not finite, or a run that writes no
            symbols.
    """
    found = finished(folder)
    task, saved = found.task, found.saved
    vocabulary = Vocabulary(saved["vocabulary"]) if saved.get("vocabulary") else None
    targets = Targets(saved["targets"]) if saved.get("targets") else None
    goes_on = task.stateful and task.predicts == "symbols" and vocabulary is not None
    if not (goes_on or (task.writes and targets is not None)):
        raise UserError(f"the run in {folder} is neither a character model nor a decoder; only those generate text.")
    model, prompt = found.trained(), saved.get("prompt")
    if not all(bool(weight.isfinite().all()) for weight in model.state_dict().values()):
        raise UserError(f"the run in {folder} diverged: its weights are not finite numbers, so it cannot write.")
    return Trained(model, found.run, vocabulary, targets, prompt if isinstance(prompt, str) and prompt else None)


def write(
    model: SequenceModel,
    vocabulary: Vocabulary,
    prompt: str,
    length: int,
    temperature: float = 0.8,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Yield ``length`` symbols that go on from a prompt; of bytes, each character with its last byte.

    Each is drawn from softmax(logits / temperature) over the ``top_k`` likeliest; temperature 0 takes the likeliest.
    The unknown symbol is never written.

    Raises:
        UserError: the model's output is not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    x = vocabulary.encode(prompt)[None]
    show = vocabulary.decoder()
    state = None
    for written in range(length):
        with torch.inference_mode():
            out, state = model(x, state)
        logits = out[0, -1].double()
        if not bool(logits.isfinite().all()):
            raise UserError(f"the model diverged: its output after {written} symbols is not finite.")
        if vocabulary.symbols[0] == UNKNOWN:
            logits[0] = -torch.inf
        if temperature == 0:
            index = int(logits.argmax())
        else:
            if top_k is not None and top_k < len(logits):
                logits[logits < logits.topk(top_k).values[-1]] = -torch.inf
            scaled = (logits - logits.max()) / temperature  # the likeliest is 0 however small the temperature is
            index = int(torch.multinomial(scaled.softmax(0), 1, generator=generator))
        yield show(index)
        x = torch.tensor([[index]])


def translate(trained: Trained, prompt: str | None = None, sample: int = 0, beam: int = 1) -> dict[str, Any]:
    """What a decoder writes of a source: a prompt of the user's, or where that is None an example of the test part.

    Args:
        trained: A decoder's run.
        prompt: The source.
        sample: Which of the examples that were written out after the training, by rising length.
        beam: Hypotheses that the search keeps; 1 is greedy.

    Returns:
        ``source``, of an example ``target``, and what `rnnbench.models.decoding.told` says.

    Raises:
        UserError: a prompt for a model that reads numbers, no such example, or an output that is not finite.
    """
    model, run, vocabulary, targets, _ = trained
    assert isinstance(model, EncoderDecoder)
    assert targets is not None
    if prompt is not None:
        if vocabulary is None:
            raise UserError(
                f"a model of {run.data.label!r} reads no text; give --sample, the number of a test example."
            )
        x, shown = vocabulary.encode(prompt), {"source": prompt}
    else:
        source = load_data(run.data, run.order_seed)
        assert isinstance(source, PairData)
        pairs = source.to_write()
        if not 0 <= sample < len(pairs):
            raise UserError(f"--sample must be in 0 … {len(pairs) - 1}, got {sample}.")
        x, shown = pairs[sample].x, source.shown(pairs[sample])
    (written,) = search(model, x[None], beam=beam)
    if not math.isfinite(written.score):
        raise UserError("the model diverged: what it makes of this source is not finite.")
    return shown | told(model, x, written, targets)

"""Text from a trained model: a character model continues a prompt, a decoder writes what a source asks for."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

from rnnbench.config import Run
from rnnbench.data.load import load as load_data
from rnnbench.data.seq2seq.pairs import PairData, Targets, chrf, collate
from rnnbench.data.source import evenly
from rnnbench.data.text.streams import TextData
from rnnbench.data.text.vocabulary import UNKNOWN, Vocabulary
from rnnbench.errors import UserError
from rnnbench.models import EncoderDecoder, Model, SequenceModel
from rnnbench.models.decoding import described, search
from rnnbench.runs import SAMPLE, SAMPLE_MARK, SAMPLES, finite, write_atomic
from rnnbench.training.checkpoints import finished


class Trained(NamedTuple):
    """A finished run: the model, in evaluation mode, and the symbols of its input (None: it reads numbers).

    targets: None where the targets are the input's symbols. prompt: The beginning of the text that it was trained on;
    None where the weights' file does not say it.
    """

    model: Model
    run: Run
    vocabulary: Vocabulary | None
    targets: Targets | None
    prompt: str | None


def load(folder: Path) -> Trained:
    """A finished run that writes symbols.

    Raises:
        UserError: no such run there, or weights that are not plain tensors or not finite.
    """
    run = finished(folder)
    task, saved = run.task, run.saved
    vocabulary = Vocabulary(saved["vocabulary"]) if saved.get("vocabulary") else None
    targets = Targets(saved["targets"]) if saved.get("targets") else None
    continues = task.stateful and task.predicts == "symbols" and vocabulary is not None
    if not (continues or (task.writes and targets is not None)):
        raise UserError(f"the run in {folder} is neither a character model nor a decoder; only those generate text.")
    model, prompt = run.trained(), saved.get("prompt")
    if not all(bool(weight.isfinite().all()) for weight in model.state_dict().values()):
        raise UserError(f"the run in {folder} diverged: its weights are not finite numbers, so it cannot write.")
    return Trained(model, run.run, vocabulary, targets, prompt if isinstance(prompt, str) and prompt else None)


def write(
    model: SequenceModel,
    vocabulary: Vocabulary,
    prompt: str,
    length: int,
    temperature: float = 0.8,
    top_k: int | None = None,
    seed: int = 0,
) -> Iterator[str]:
    """Yield ``length`` symbols that continue a prompt; of bytes, each character with its last byte.

    Each is drawn from softmax(logits / temperature) over the ``top_k`` likeliest; temperature 0 takes the likeliest.
    The unknown symbol is never written.

    Raises:
        UserError: the model's output is not finite.
    """
    generator = torch.Generator().manual_seed(seed)
    x = vocabulary.encode(prompt)[None]
    show = vocabulary.decoder()
    state, begin = None, 0
    for written in range(length):
        with torch.inference_mode():
            out, state = model(x, state, begin=begin)
        begin += x.shape[1]
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
    """What a decoder writes of a source: of the prompt, or where that is None of an example of the test part.

    Args:
        trained: A decoder's run.
        prompt: The source.
        sample: Which of the examples that were written out after the training, by rising length.
        beam: Hypotheses that the search keeps; 1 is greedy.

    Returns:
        ``source``, of an example ``target``, and what `rnnbench.models.decoding.described` returns.

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
    return shown | described(model, x, written, targets)


#: How many examples are kept, from short to long, and which of them with their attention.
EXAMPLES, ATTENDED = 8, (2, 3)


def decoded(model: EncoderDecoder, source: PairData, folder: Path) -> dict[str, float]:
    """Write out test pairs greedily, without a teacher, and keep some of them as ``samples.json`` in a run's folder.

    Returns:
        ``test/sequence_error``, the share of the test pairs (`PairData.to_write`) not written exactly right; of natural
        language ``test/chrf`` too, 0 to 1, of which more is better.
    """
    model.eval()
    device = next(model.parameters()).device
    pairs = source.to_write()
    batch = collate(pairs)
    written = search(model, batch.x.to(device), None if batch.lengths is None else batch.lengths.to(device))
    targets = [source.targets.decode(pair.y) for pair in pairs]
    outputs = [source.targets.decode(one.symbols) for one in written]
    figures = {"test/sequence_error": sum(a != b for a, b in zip(outputs, targets, strict=True)) / len(pairs)}
    if source.language:
        figures["test/chrf"] = chrf(outputs, targets)
    examples = [
        source.shown(pairs[index])
        | described(model, pairs[index].x.to(device), written[index], source.targets, attention=place in ATTENDED)
        for place, index in enumerate(evenly(EXAMPLES, len(pairs)).tolist())
    ]
    write_atomic(folder / SAMPLES, json.dumps(finite(examples), indent=1, ensure_ascii=False).encode())
    return figures


#: Symbols written after the prompt, and how boldly.
LENGTH, TEMPERATURE = 300, 0.8


def write_sample(model: Model, source: TextData, seed: int, folder: Path) -> None:
    """Write ``sample.txt``: the data's prompt, `SAMPLE_MARK`, and how the model continues it, drawn by the run's seed.

    A copy of the model on the CPU writes, so that a GPU's run writes the same text. torch's own random numbers are left
    as they are.
    """
    assert isinstance(model, SequenceModel)
    copied = copy.deepcopy(model).cpu().eval()
    copied.probed.backend = "auto"  # the one it was trained by may be a GPU's
    assert source.prompt is not None
    before = source.prompt.replace(SAMPLE_MARK, "") or source.prompt
    written: list[str] = []
    with suppress(UserError):  # an output that is not finite: what was written until then is shown
        written.extend(write(copied, source.vocabulary, before, LENGTH, TEMPERATURE, seed=seed))
    write_atomic(folder / SAMPLE, f"{before}{SAMPLE_MARK}{''.join(written)}\n".encode("utf-8", "replace"))

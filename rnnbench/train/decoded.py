"""What a trained decoder writes when left to itself: how often it is exactly right, and examples to look at."""

from __future__ import annotations

import json
from pathlib import Path

from rnnbench.data.sequences.chrf import chrf
from rnnbench.data.sequences.pairs import PairData, collate
from rnnbench.data.source import evenly
from rnnbench.ledger import SAMPLES, finite, write_atomic
from rnnbench.models.decoding import told, write
from rnnbench.models.translation import EncoderDecoder

#: How many examples are kept, from short to long, and which of them with their attention.
EXAMPLES, ATTENDED = 8, (2, 3)


def decoded(model: EncoderDecoder, source: PairData, folder: Path) -> dict[str, float]:
    """Write out test pairs greedily, without a teacher, and keep some of them as ``samples.json``.

    Args:
        model: Trained; as it is, on its own device.
        source: What it was trained on.
        folder: The run's.

    Returns:
        ``test/sequence_error``, the share of the test pairs (`PairData.to_write`) not written exactly right; of natural
        language ``test/chrf`` too, 0 to 1, of which more is better.
    """
    model.eval()
    device = next(model.parameters()).device
    pairs = source.to_write()
    batch = collate(pairs)
    written = write(model, batch.x.to(device), None if batch.lengths is None else batch.lengths.to(device))
    wanted = [source.targets.decode(pair.y) for pair in pairs]
    found = [source.targets.decode(one.symbols) for one in written]
    figures = {"test/sequence_error": sum(a != b for a, b in zip(found, wanted, strict=True)) / len(pairs)}
    if source.language:
        figures["test/chrf"] = chrf(found, wanted)
    examples = [
        source.shown(pairs[index])
        | told(model, pairs[index].x.to(device), written[index], source.targets, attention=place in ATTENDED)
        for place, index in enumerate(evenly(EXAMPLES, len(pairs)).tolist())
    ]
    write_atomic(folder / SAMPLES, json.dumps(finite(examples), indent=1, ensure_ascii=False).encode())
    return figures

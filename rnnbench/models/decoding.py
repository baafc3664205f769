"""Decoding without a teacher: each symbol from those that the model itself has written before."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from rnnbench.models.translation import EncoderDecoder

if TYPE_CHECKING:
    from rnnbench.data.text.vocabulary import Vocabulary

#: The symbol of every vocabulary of targets that ends what is written.
END = 0


class Written(NamedTuple):
    """symbols: indices, the end symbol last unless the limit came first. score: their mean log-probability (nats)."""

    symbols: list[int]
    score: float


@torch.inference_mode()
def search(
    model: EncoderDecoder, x: Tensor, lengths: Tensor | None = None, beam: int = 1, limit: int | None = None
) -> list[Written]:
    """The likeliest targets that a beam search finds, a sample by itself whatever else is in the batch.

    With ``beam`` 1 the search is greedy. With more it keeps so many hypotheses; of each step's 2 · beam best
    continuations those that end among the first ``beam`` are done, the best others continue, and it stops when ``beam``
    are done. The best by length-normalised log-probability is returned: of these and of what the greedy search finds,
    for a beam may lose the latter on its way.

    Args:
        model: In evaluation mode.
        x: (B, S) indices or (B, S, C) values.
        lengths: (B,) steps of x that are data.
        beam: Hypotheses kept.
        limit: Symbols written at most; twice the source's length and 20 more where not given.
    """
    best = _search(model, x, lengths, beam, limit)
    if beam > 1:
        greedy = _search(model, x, lengths, 1, limit)
        best = [max(pair, key=lambda one: one.score) for pair in zip(best, greedy, strict=True)]
    return best


def _search(model: EncoderDecoder, x: Tensor, lengths: Tensor | None, beam: int, limit: int | None) -> list[Written]:
    size, device = len(x), x.device
    steps = lengths if lengths is not None else torch.full((size,), x.shape[1], device=device)
    limits = 2 * steps + 20 if limit is None else torch.full((size,), limit, device=device)
    memory = model.encode(x, lengths).repeated(beam)
    reads, state = memory.begin, None
    # One hypothesis to begin with: the empty one.
    scores = torch.full((size, beam), -torch.inf, dtype=torch.float64, device=device)
    scores[:, 0] = 0.0
    written = torch.empty(size, beam, 0, dtype=torch.long, device=device)
    rank = torch.arange(2 * beam, device=device)
    rows = torch.arange(size, device=device)[:, None]
    done: list[list[Written]] = [[] for _ in range(size)]
    for length in range(1, int(limits.max()) + 1):
        logits, _, state = model.decode(reads, memory, state, length - 1)
        likely = logits[:, -1].double().log_softmax(dim=-1)
        symbols = likely.shape[-1]
        best, at = (scores[:, :, None] + likely.view(size, beam, symbols)).flatten(1).topk(2 * beam)
        origin, symbol = at // symbols, at % symbols
        extended = torch.cat((written[rows, origin], symbol[:, :, None]), dim=-1)

        over = (length >= limits)[:, None]
        full = torch.tensor([len(ones) >= beam for ones in done], device=device)[:, None]
        closing = ((symbol == END) | over) & (rank < beam) & best.isfinite() & ~full & (length <= limits)[:, None]
        for sample, place in closing.nonzero().tolist():
            done[sample].append(Written(extended[sample, place].tolist(), float(best[sample, place]) / length))
        if all(len(ones) >= beam or length >= most for ones, most in zip(done, limits.tolist(), strict=True)):
            break

        scores, going = best.masked_fill(symbol == END, -torch.inf).topk(beam)
        written, parents = extended[rows, going], origin[rows, going]
        reads = model.symbols(written[:, :, -1].flatten())[:, None]
        state = [part[(rows * beam + parents).flatten()] for part in state]
    nothing = Written([], math.nan)  # weights that are NaN
    return [max(ones, key=lambda one: one.score, default=nothing) for ones in done]


def described(
    model: EncoderDecoder, x: Tensor, written: Written, targets: Vocabulary, attention: bool = True
) -> dict[str, Any]:
    """What was written of one source x, (S,) or (S, C), as plain values.

    Returns:
        ``decoded``, ``score`` and, where the model has it over more than one step, ``attention``: the weights, a row
        for each symbol decoded and, if it was written, one for the end; a column for each step of the source.
    """
    plain = {"decoded": targets.decode(written.symbols), "score": written.score}
    if model.attention is None or len(x) < 2 or not written.symbols or not attention:
        return plain
    with torch.inference_mode():
        _, weights = model(x[None], torch.tensor([written.symbols], device=x.device))
    return plain | {"attention": [[round(weight, 3) for weight in row] for row in weights[0].tolist()]}

"""The loop that everyone writes, as a baseline: is rnnbench as good, and as fast?

Embedding → nn.RNN / nn.LSTM / nn.GRU → Linear on the King James text, contiguous streams, state carried and detached,
Adam 2e-3, clip 1. It shares no code with rnnbench but the text. One process, one thread:

    python benchmarks/plain_loop.py lstm --seed 0
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Net(nn.Module):
    """Characters in, logits out."""

    def __init__(self, cell: str, vocabulary: int, hidden: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, hidden)
        self.rnn = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell](hidden, hidden, batch_first=True)
        self.readout = nn.Linear(hidden, vocabulary)

    def forward(self, x: Tensor, state: object = None) -> tuple[Tensor, object]:
        y, state = self.rnn(self.embedding(x), state)
        return self.readout(y), state


def detached(state: object) -> object:
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()  # type: ignore[attr-defined]


def step(net: Net, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor, state: object) -> object:
    """One update on a batch of (B, T) indices, from a state to the next; None starts from zero."""
    out, state = net(x, state)
    loss = F.cross_entropy(out.flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    optimizer.step()
    return detached(state)


def bpc(net: Net, ids: Tensor, chunk: int = 4096) -> float:
    """One stream, state carried, every character scored once."""
    total, state = 0.0, None
    with torch.inference_mode():
        for i in range(0, len(ids) - 1, chunk):
            x, y = ids[i : i + chunk][: len(ids) - 1 - i], ids[i + 1 : i + 1 + chunk]
            out, state = net(x[None], state)
            total += float(F.cross_entropy(out[0], y, reduction="sum"))
    return total / (len(ids) - 1) / math.log(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cell", choices=["rnn", "lstm", "gru"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=1_500_000)
    parser.add_argument("--text", help="a text file; kjv from rnnbench's cache where not given")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    if args.text:
        text = Path(args.text).read_text(encoding="utf-8")
    else:
        from rnnbench.data.text.readers import read_kjv

        text = read_kjv()
    symbols = sorted(set(text[: int(0.9 * len(text))]))
    index = {symbol: i for i, symbol in enumerate(symbols)}
    ids = torch.tensor([index.get(symbol, 0) for symbol in text])
    train, test = ids[: int(0.9 * len(ids))], ids[int(0.95 * len(ids)) :]
    batch, length = 32, 64
    streams = train[: (len(train) - 1) // batch * batch + 1]
    width = (len(streams) - 1) // batch
    x, y = streams[:-1].view(batch, width), streams[1:].view(batch, width)
    net = Net(args.cell, len(symbols), 128)
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    state: object = None
    steps = math.ceil(args.tokens / (batch * length))
    begin, times = time.perf_counter(), []
    for i in range(steps):
        tick = time.perf_counter()
        at = i % (width // length) * length
        state = step(net, adam, x[:, at : at + length], y[:, at : at + length], state if at else None)
        times.append(time.perf_counter() - tick)
    seconds = time.perf_counter() - begin
    times.sort()
    figures = {"cell": args.cell, "bpc": bpc(net, test), "train_seconds": seconds}
    print(json.dumps(figures | {"step_ms": 1e3 * times[len(times) // 2]}))


if __name__ == "__main__":
    main()

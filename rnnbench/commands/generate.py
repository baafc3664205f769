"""``rnnbench generate RUN``: a character model goes on with a prompt."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path

from rnnbench.commands.arguments import Parser
from rnnbench.errors import UserError


def main(argv: Sequence[str]) -> int:
    """Stream text to the terminal."""
    parser = Parser(prog="rnnbench generate", description="Let a trained character model write.")
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--prompt", default="In the beginning", help="what to go on with")
    parser.add_argument("--length", type=int, default=400, help="characters to write")
    parser.add_argument("--temperature", type=float, default=0.8, help="0 always takes the likeliest character")
    parser.add_argument("--top_k", type=int, help="choose among the k likeliest characters only")
    parser.add_argument("--seed", type=int, default=0, help="same seed, same text")
    parser.add_argument("--json", action="store_true", help="print a JSON object at the end instead of streaming")
    arguments = parser.parse_args(argv)
    if arguments.length < 1:
        raise UserError(f"--length must be positive, got {arguments.length}.")
    if not arguments.prompt:
        raise UserError("--prompt must have at least one character.")
    if not 0 <= arguments.temperature < math.inf:
        raise UserError(f"--temperature must be a number, 0 or more, got {arguments.temperature}.")
    if not 0 <= arguments.seed < 2**31:
        raise UserError(f"--seed must be in 0 … 2³¹ − 1, got {arguments.seed}.")
    if arguments.top_k is not None and arguments.top_k < 1:
        raise UserError(f"--top_k must be positive, got {arguments.top_k}.")

    from rnnbench.generate import load, write

    model, vocabulary = load(arguments.run)
    unknown = sorted({symbol for symbol in arguments.prompt if symbol not in vocabulary.symbols})
    if unknown:
        print(f"rnnbench: the model has never seen {' '.join(map(repr, unknown))}; read as unknown.", file=sys.stderr)
    text = write(
        model, vocabulary, arguments.prompt, arguments.length, arguments.temperature, arguments.top_k, arguments.seed
    )
    if arguments.json:
        print(json.dumps({"prompt": arguments.prompt, "text": "".join(text)}, ensure_ascii=False))
        return 0
    sys.stdout.write(arguments.prompt)
    for symbol in text:
        sys.stdout.write(symbol)
        sys.stdout.flush()
    sys.stdout.write("\n")
    return 0

"""``rnnbench generate RUN``: a character model goes on with a prompt, a decoder writes what it makes of a source."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.cli.arguments import Parser
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.training.generate import Trained

#: What goes with one kind of model only, by the option's name, and what it is where it is not given.
GOING_ON = {"length": 400, "temperature": 0.8, "top_k": None, "seed": 0}
DECODING = {"beam": 1, "sample": None, "attention": None}
#: Unknown characters of a prompt that are named.
LISTED = 20


def main(argv: Sequence[str]) -> int:
    """Stream text to the terminal."""
    parser = Parser(prog="rnnbench generate", description="Let a trained model write.")
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--prompt", help="what to go on with (the training text's beginning), or what to translate")
    parser.add_argument("--json", action="store_true", help="print a JSON object at the end instead of streaming")
    one = parser.add_argument_group("a character model goes on with the prompt")
    one.add_argument("--length", type=int, help="characters to write (400)")
    one.add_argument("--temperature", type=float, help="0 always takes the likeliest character (0.8)")
    one.add_argument("--top_k", type=int, help="choose among the k likeliest characters only")
    one.add_argument("--seed", type=int, help="same seed, same text (0)")
    other = parser.add_argument_group("a decoder (seq2seq, one_to_many) writes what it makes of a source")
    other.add_argument("--beam", type=int, help="hypotheses that the search keeps; 1 takes the likeliest symbol (1)")
    other.add_argument("--sample", type=int, help="instead of a prompt, this example of the test part (0)")
    other.add_argument("--attention", type=Path, help="a picture to write (.png or .svg): where the decoder looked")
    arguments = parser.parse_args(argv)
    given = {name for name in (*GOING_ON, *DECODING) if getattr(arguments, name) is not None}
    for name, value in (GOING_ON | DECODING).items():
        if name not in given:
            setattr(arguments, name, value)
    _check(arguments)

    from rnnbench.training.generate import load

    trained = load(arguments.run)
    others, kind = (GOING_ON, "a decoder") if trained.targets is not None else (DECODING, "a character model")
    if wrong := sorted(given & set(others)):
        raise UserError(f"the run in {arguments.run} is {kind}, to which --{wrong[0]} is nothing; leave it out.")
    return _translate(arguments, trained) if trained.targets is not None else _go_on(arguments, trained)


def _check(arguments: argparse.Namespace) -> None:
    if arguments.length < 1:
        raise UserError(f"--length must be positive, got {arguments.length}.")
    if arguments.prompt == "":
        raise UserError("--prompt must have at least one character.")
    if not 0 <= arguments.temperature < math.inf:
        raise UserError(f"--temperature must be a number, 0 or more, got {arguments.temperature}.")
    if not 0 <= arguments.seed < 2**31:
        raise UserError(f"--seed must be in 0 … 2³¹ − 1, got {arguments.seed}.")
    if arguments.top_k is not None and arguments.top_k < 1:
        raise UserError(f"--top_k must be positive, got {arguments.top_k}.")
    if not 1 <= arguments.beam <= 64:
        raise UserError(f"--beam must be in 1 … 64, got {arguments.beam}.")
    if arguments.sample is not None and arguments.prompt is not None:
        raise UserError("--prompt and --sample are two ways to give a source; leave one of them out.")
    if arguments.attention is not None and arguments.attention.suffix not in (".png", ".svg"):
        raise UserError(f"--attention must end in .png or .svg, got {str(arguments.attention)!r}.")


def _warn(trained: Trained, prompt: str) -> None:
    unknown = trained.vocabulary.unknown(prompt) if trained.vocabulary is not None else []
    if unknown:
        more = f" and {len(unknown) - LISTED} more" if len(unknown) > LISTED else ""
        listed = " ".join(map(repr, unknown[:LISTED]))
        print(f"rnnbench: the model has never seen {listed}{more}; read as unknown.", file=sys.stderr)


def _go_on(arguments: argparse.Namespace, trained: Trained) -> int:
    from rnnbench.models import SequenceModel
    from rnnbench.training.generate import write

    assert isinstance(trained.model, SequenceModel)
    assert trained.vocabulary is not None
    prompt = arguments.prompt
    if prompt is None:
        symbols = trained.vocabulary.symbols
        prompt = trained.prompt or next((symbol for symbol in "\n " if symbol in symbols), symbols[-1])
        what = "the beginning of its training text" if trained.prompt else "as its training text's beginning is unknown"
        print(f"rnnbench: the model goes on with {prompt!r}, {what}; --prompt gives another.", file=sys.stderr)
    _warn(trained, prompt)
    text = write(
        trained.model, trained.vocabulary, prompt, arguments.length, arguments.temperature, arguments.top_k,
        arguments.seed,
    )  # fmt: skip
    if arguments.json:
        print(json.dumps({"prompt": prompt, "text": "".join(text)}))
        return 0
    sys.stdout.write(prompt)
    for symbol in text:
        sys.stdout.write(symbol)
        sys.stdout.flush()
        if getattr(sys.stdout, "failures", None):
            break  # nobody reads on
    sys.stdout.write("\n")
    return 0


def _translate(arguments: argparse.Namespace, trained: Trained) -> int:
    from rnnbench.training.generate import translate

    if arguments.prompt is not None:
        _warn(trained, arguments.prompt)
    found = translate(trained, arguments.prompt, arguments.sample or 0, arguments.beam)
    if arguments.attention is not None:
        from rnnbench.report.figures.attention_map import picture

        if "attention" not in found:
            raise UserError(f"the run in {arguments.run} has no attention over its source; leave --attention out.")
        picture(found, arguments.attention)
    if arguments.json:
        print(json.dumps(found))
        return 0
    for name in ("source", "target", "decoded"):
        if name in found:
            print(f"{name:<8} {_shown(found[name])}")
    return 0


def _shown(value: str | list[list[float]]) -> str:
    """A string as it is; numbers as a picture, dark to bright."""
    if isinstance(value, str):
        return value
    low, high = min(map(min, value)), max(map(max, value))
    shades = " .:-=+*#%@"
    rows = (
        "".join(shades[round(9 * (number - low) / max(high - low, 1e-9))] * 2 for number in row).rstrip()
        for row in value
    )
    return "".join(f"\n         {row}" for row in rows)

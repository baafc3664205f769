"""``rnnbench generate RUN``: a character model continues a prompt, a decoder translates a source."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rnnbench.cli.arguments import Parser
from rnnbench.config import check_value
from rnnbench.config.plain import Amount, Seed
from rnnbench.errors import UserError

if TYPE_CHECKING:
    from rnnbench.training.generate import Trained

#: The options that go with one kind of model only, and their values where they are not given.
TEXT = {"length": 400, "temperature": 0.8, "top_k": None, "seed": 0}
DECODER = {"beam": 1, "sample": None, "attention": None}
#: Unknown characters of a prompt that are named.
LISTED = 20


def main(argv: Sequence[str]) -> int:
    """Stream text to the terminal."""
    parser = Parser("generate", "Let a trained model write.", "a JSON object at the end instead of streaming")
    parser.add_argument("run", type=Path, help="a finished run's folder")
    parser.add_argument("--prompt", help="what to go on with (the training text's beginning), or what to translate")
    text = parser.add_argument_group("a character model continues the prompt")
    text.add_argument("--length", type=int, help="characters to write (400)")
    text.add_argument("--temperature", type=float, help="0 always takes the likeliest character (0.8)")
    text.add_argument("--top_k", type=int, help="choose among the k likeliest characters only")
    text.add_argument("--seed", type=int, help="same seed, same text (0)")
    decoder = parser.add_argument_group("a decoder (seq2seq, one_to_many) writes what it makes of a source")
    decoder.add_argument("--beam", type=int, help="hypotheses that the search keeps; 1 takes the likeliest symbol (1)")
    decoder.add_argument("--sample", type=int, help="instead of a prompt, this example of the test part (0)")
    decoder.add_argument("--attention", type=Path, help="a picture to write (.png or .svg): where the decoder looked")
    arguments = parser.parse_args(argv)
    chosen = {name for name in (*TEXT, *DECODER) if getattr(arguments, name) is not None}
    for name, value in (TEXT | DECODER).items():
        if name not in chosen:
            setattr(arguments, name, value)
    _check(arguments)

    from rnnbench.training.generate import load

    trained = load(arguments.run)
    foreign, kind = (TEXT, "a decoder") if trained.targets is not None else (DECODER, "a character model")
    if wrong := sorted(chosen & foreign.keys()):
        raise UserError(f"the run in {arguments.run} is {kind}, to which --{wrong[0]} is nothing; leave it out.")
    return _translate(arguments, trained) if trained.targets is not None else _continue(arguments, trained)


def _check(arguments: argparse.Namespace) -> None:
    for name in ("length", "top_k"):
        if getattr(arguments, name) is not None:
            check_value(getattr(arguments, name), Amount, f"--{name}")
    if arguments.prompt == "":
        raise UserError("--prompt must have at least one character.")
    if not 0 <= arguments.temperature < math.inf:
        raise UserError(f"--temperature must be a number, 0 or more, got {arguments.temperature}.")
    check_value(arguments.seed, Seed, "--seed")
    if not 1 <= arguments.beam <= 64:
        raise UserError(f"--beam must be in 1 … 64, got {arguments.beam}.")
    if arguments.sample is not None and arguments.prompt is not None:
        raise UserError("--prompt and --sample are two ways to give a source; leave one of them out.")
    if arguments.attention is not None and arguments.attention.suffix not in (".png", ".svg"):
        raise UserError(f"--attention must end in .png or .svg, got {str(arguments.attention)!r}.")


def _warn(trained: Trained, prompt: str) -> None:
    if unknown := trained.vocabulary.unknown(prompt) if trained.vocabulary is not None else []:
        more = f" and {len(unknown) - LISTED} more" if len(unknown) > LISTED else ""
        listed = " ".join(map(repr, unknown[:LISTED]))
        print(f"rnnbench: the model has never seen {listed}{more}; read as unknown.", file=sys.stderr)


def _continue(arguments: argparse.Namespace, trained: Trained) -> int:
    from rnnbench.models import SequenceModel
    from rnnbench.training.generate import write

    assert isinstance(trained.model, SequenceModel)
    assert trained.vocabulary is not None
    prompt = arguments.prompt
    if prompt is None:
        symbols = trained.vocabulary.symbols
        prompt = trained.prompt or next((symbol for symbol in "\n " if symbol in symbols), symbols[-1])
        what = "the beginning of its training text" if trained.prompt else "as its training text's beginning is unknown"
        print(f"rnnbench: the model continues {prompt!r}, {what}; --prompt sets another.", file=sys.stderr)
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
    result = translate(trained, arguments.prompt, arguments.sample or 0, arguments.beam)
    if arguments.attention is not None:
        from rnnbench.report.figures.attention_map import picture

        if "attention" not in result:
            raise UserError(f"the run in {arguments.run} has no attention over its source; leave --attention out.")
        picture(result, arguments.attention)
    if arguments.json:
        print(json.dumps(result))
        return 0
    for name in ("source", "target", "decoded"):
        if name in result:
            print(f"{name:<8} {_shown(result[name])}")
    return 0


def _shown(value: str | list[list[float]]) -> str:
    """A string as it is; numbers as a picture, dark to bright."""
    if isinstance(value, str):
        return value
    low, high = min(map(min, value)), max(map(max, value))
    shades = " .:-=+*#%@"
    scale = 9 / max(high - low, 1e-9)
    rows = ("".join(shades[round(scale * (number - low))] * 2 for number in row).rstrip() for row in value)
    return "".join(f"\n         {row}" for row in rows)

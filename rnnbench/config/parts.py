"""What a `Run` is made of, beside the cell."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from rnnbench.catalog import DATA_SETS
from rnnbench.config.plain import (
    LONGEST,
    MOST,
    WIDEST,
    Amount,
    Bounds,
    Depth,
    Length,
    NonNegative,
    Positive,
    Share,
    Width,
)
from rnnbench.config.values import check_fields
from rnnbench.errors import UserError


class Exclusion(NamedTuple):
    """Two settings of one part that exclude each other.

    Args:
        part: Of a `Run`.
        names: The settings.
        idle: Of each the values with which the other may be set, beside its default.
        reason: An error's sentence, from both values.
    """

    part: str
    names: tuple[str, str]
    idle: tuple[tuple[Any, ...], tuple[Any, ...]]
    reason: str


#: What a setting follows from where nobody has said it, by its part.
FOLLOWS = {"data": {"name": ("path",), "seq_len": ("path", "name")}}
EXCLUSIONS = (
    Exclusion(
        "model",
        ("parameters", "hidden_size"),
        ((None,), ()),
        "model.parameters {} decides the width, so model.hidden_size {} cannot; leave one of them out.",
    ),
    Exclusion(
        "data",
        ("path", "name"),
        ((None,), (None, "text", "csv")),
        'data.path goes with data.name "text" or "csv", not "{1}"; leave data.name out.',
    ),
    Exclusion(
        "data",
        ("missing", "max_gap"),
        (("segment",), (0,)),
        "data.missing {} fills holes on a line, and data.max_gap {} with the last value; leave one of them out.",
    ),
    Exclusion("budget", ("tokens", "steps"), ((None,), (None,)), "give budget.tokens or budget.steps, not both."),
    *(
        Exclusion(
            "probes",
            ("gradient_flow", name),
            ((True,), (idle,)),
            f"probes.{name} goes with probes.gradient_flow, which is off; leave one of them out.",
        )
        for name, idle in (("every", None), ("lyapunov", 0), ("detail", False))
    ),
)

Match = Literal["trainable", "all"]
Steps = Annotated[int, Bounds("≥ 0 (0 measures at initialisation only)", lambda value: value >= 0, MOST)]
Gap = Annotated[int, Bounds("≥ 0", lambda value: value >= 0, LONGEST)]


@dataclass(frozen=True)
class ModelConfig:
    """What surrounds the cell.

    Args:
        hidden_size: Width H of every recurrent layer.
        num_layers: Recurrent layers on top of each other.
        embedding_size: Width of the embedding (characters) or input projection (series); hidden_size where not given.
        dropout: Probability of dropping an activation between layers and before the readout.
        backend: How the cell is run over time: auto takes the fastest that can.
        residual: Add each layer's input to its output; an input of another width is first projected to that of the
            layers.
        norm: Before each cell and once more after the last layer: layer (Ba et al. 2016) or rms (Zhang & Sennrich
            2019).
        bidirectional: A second cell reads each window backwards, its outputs beside the first one's (2H wide; Schuster
            & Paliwal 1997), in a decoder's encoder; not where the targets are inputs to come.
        tie: Read out with the embedding's own weight (Press & Wolf 2017).
        pooling: What of a window's outputs is read out where it has one target: the last, their mean, or a learned
            average (additive attention, Bahdanau et al. 2015).
        attention: How a decoder scores what the encoder read: additive (Bahdanau et al. 2015), dot (scaled; Vaswani et
            al. 2017), or none, when all passes through one vector (Cho et al. 2014).
        init: How the cells' weights start: as the cell says (default), or orthogonal (Saxe et al. 2014), identity (Le
            et al. 2015), glorot (Glorot & Bengio 2010), forget_bias (+1, Jozefowicz et al. 2015) or chrono (Tallec &
            Ollivier 2018).
        parameters: Weights to spend on all but the input (the cells and the readout, mostly): the hidden_size that
            comes within 2 % is solved for and hidden_size is not to be given.
        match: Which weights are counted to be the same for every cell: those that are trained, or all, frozen ones (a
            reservoir's) too.
    """

    hidden_size: Width = 128
    num_layers: Depth = 1
    embedding_size: Width | None = None
    dropout: Share = 0.0
    backend: str = "auto"
    residual: bool = False
    norm: Literal["none", "layer", "rms"] = "none"
    bidirectional: bool = False
    tie: bool = False
    pooling: Literal["last", "mean", "attention"] = "last"
    attention: Literal["additive", "dot", "none"] = "additive"
    init: Literal["default", "orthogonal", "identity", "glorot", "forget_bias", "chrono"] = "default"
    parameters: Amount | None = None
    match: Match = "trainable"

    def __post_init__(self) -> None:
        check_fields(self, "model")
        _check_exclusions("model", self)


@dataclass(frozen=True)
class DataConfig:
    """What the model reads.

    Args:
        name: Data set, see `rnnbench data list`; kjv where neither name nor path is given.
        path: Your own file, compressed or not: a text, or a table of numbers (name csv: CSV, TSV, Parquet, Excel).
        val_path: A file of its own to validate on (your text or table).
        test_path: A file of its own to test on (your text or table).
        split: Shares of the train, val and test parts of your file, as 80/10/10; a text's is 90/5/5, a table's
            70/10/20 where not given.
        encoding: Of your text or table, as Python calls it (utf-8, cp1252 …); found out where not given.
        column: The column of your table to forecast, several separated by commas, or all; its only one where not given.
        entity: The column of your table that says whose row it is, where several series are stacked.
        date_format: How your table writes its times, as Python's strptime has it (%d/%m/%Y %H:%M).
        sort: Put the rows of your table in the order of their times.
        missing: What is done about values that your table lacks: refuse it, interpolate (fill up to three steps in a
            row on a line, split the record at longer holes) or segment (split the record at every hole).
        seq_len: Length T of what is read: steps of each stream in one update (text), inputs of a forecast
            (series), steps to remember over (memory), the longest sequence (the others); the data set's own
            where not given.
        batch_size: Sequences B side by side in a batch.
        horizon: Steps ahead to forecast (series).
        period: Seasonal period in steps, for the seasonal-naive reference (your CSV).
        time_features: Time of day, weekday and day of the year as further inputs (series that have a clock).
        max_gap: Longest hole, in time steps, that windows go across: the last measured value stands in it, of which a
            cell that needs to know is told (series with holes). Targets are measured values always; 0 takes windows
            without a hole.
        relative: Each window less its last value, input and forecast alike (NLinear, Zeng et al. 2023), so that a level
            never seen in training is none (series); errors are what they are without.
        symbols: What a text is made of: its characters, or the bytes of its UTF-8 (256 of them, none unknown).
        final: Score on the part of a corpus that is held out for good, in the test part's place: for the last study of
            a project alone (half of what else would validate).
        permuted: Show a picture's pixels in one fixed random order (Le et al. 2015).
        items: Things to remember, pairs, bits or brackets deep, as the memory task says; its own number where not
            given.
    """

    name: str | None = None
    path: str | None = None
    val_path: str | None = None
    test_path: str | None = None
    split: str | None = None
    encoding: str | None = None
    column: str | None = None
    entity: str | None = None
    date_format: str | None = None
    sort: bool = False
    missing: Literal["refuse", "interpolate", "segment"] = "refuse"
    seq_len: Length = None  # type: ignore[assignment]  # a number from __post_init__ on
    batch_size: Width = 32
    horizon: Length = 6
    period: Length | None = None
    time_features: bool = False
    max_gap: Gap = 0
    relative: bool = False
    symbols: Literal["characters", "bytes"] = "characters"
    final: bool = False
    permuted: bool = False
    items: Width | None = None

    def __post_init__(self) -> None:
        check_fields(self, "data")
        if self.name is None:
            of_file = "csv" if is_table(str(self.path)) else "text"
            object.__setattr__(self, "name", of_file if self.path else "kjv")
        shares(self.split)
        if self.split is not None and self.test_path is not None and self.val_path is not None:
            raise UserError(
                f"data.split {self.split!r} has nothing to divide where data.val_path and data.test_path are given; "
                "leave it out."
            )
        _check_exclusions("data", self)
        if self.path is None and self.name in ("text", "csv"):
            raise UserError(f'data.name "{self.name}" needs data.path, the file to read.')
        if self.seq_len is None:
            known = DATA_SETS.get(str(self.name))  # an unknown one is refused later
            object.__setattr__(self, "seq_len", known.seq_len if known else 64)

    @property
    def label(self) -> str:
        """The data set's name, or the stem of the user's file."""
        return Path(self.path).stem if self.path else str(self.name)


@dataclass(frozen=True)
class OptimConfig:
    """How the weights are moved.

    Args:
        name: Optimiser.
        lr: Learning rate (peak, where a schedule or warm-up is used).
        clip: Largest global gradient norm, or largest gradient of a single weight (clip_by); null for no clipping. The
            norm is recorded before clipping.
        clip_by: norm shrinks the whole gradient and keeps its direction (Pascanu et al. 2013); value cuts each weight's
            gradient off by itself (Graves 2013).
        weight_decay: Decoupled for adamw, L2 for the others.
        truncate: Time steps that the gradient goes back, at most data.seq_len, and all of these where not given: the
            state is carried on past every such many steps, the gradient is not (truncated backpropagation through
            time, Williams & Peng 1990). What is read, and when the weights are moved, stays the same. Pieces are
            counted from the first step: where one output follows the last, let it divide the steps.
        schedule: Learning rate after the warm-up: constant, or cosine/linear decay to zero at the budget's end.
        warmup: Share of the steps over which the learning rate rises linearly from zero.
    """

    name: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    lr: Positive = 2e-3
    clip: Positive | None = 1.0
    clip_by: Literal["norm", "value"] = "norm"
    truncate: Length | None = None
    weight_decay: NonNegative = 0.0
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup: Share = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "optim")


@dataclass(frozen=True)
class BudgetConfig:
    """How long to train: one of tokens or steps (1.5 M tokens where neither is given).

    Args:
        tokens: Time steps seen in training, padding included: steps = tokens / (batch_size · seq_len). The history's
            ``tokens`` leaves the padding out.
        steps: Optimiser updates.
        evals: Validations along the training, evenly spread, the last at its end; at most one an update.
        val_tokens: Tokens of the validation part scored at each of these (the last, final figures use all of it).
        keep: Which weights are evaluated and saved: the last, or the best of those validations (early stopping without
            stopping).
    """

    tokens: Amount | None = None
    steps: Steps | None = None
    evals: Amount = 4
    val_tokens: Amount = 50_000
    keep: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        check_fields(self, "budget")
        _check_exclusions("budget", self)
        if self.tokens is None and self.steps is None:
            object.__setattr__(self, "tokens", 1_500_000)


@dataclass(frozen=True)
class ProbeConfig:
    """What is measured on a fixed probe batch, at initialisation and at the end.

    Args:
        gradient_flow: Measure how much of the last step's loss reaches each earlier state.
        seq_len: Length of the probe's sequences, hence the largest lag (text; windows of series have data.seq_len).
        batch_size: Sequences in the probe batch.
        every: Steps between further measurements of gradient flow along the training; null for none. What they cost is
            recorded, and is no part of the training's time.
        lyapunov: Lyapunov exponents to measure beside each gradient flow, the largest first; 0 for none.
        detail: Measure at both ends also what depends on each input, which lags the gradient of the weights comes
            from, how far open the gates are, the leading singular values of state-to-state Jacobians, and what a loss
            averaged over time would have shown.
    """

    gradient_flow: bool = True
    seq_len: Annotated[int, Bounds("at least 2", lambda value: value >= 2, LONGEST)] = 256
    batch_size: Width = 16
    every: Amount | None = None
    lyapunov: Annotated[int, Bounds("≥ 0", lambda value: value >= 0, WIDEST)] = 0
    detail: bool = False

    def __post_init__(self) -> None:
        check_fields(self, "probes")
        _check_exclusions("probes", self)


def _check_exclusions(part: str, config: Any) -> None:
    for one in [one for one in EXCLUSIONS if one.part == part]:
        values = [getattr(config, name) for name in one.names]
        idle = [(getattr(type(config), name), *more) for name, more in zip(one.names, one.idle, strict=True)]
        if all(value not in allowed for value, allowed in zip(values, idle, strict=True)):
            raise UserError(one.reason.format(*values))


def is_table(path: str) -> bool:
    """Whether a file's name says that it is a table of numbers, whatever it is compressed with."""
    name = Path(path.lower())
    if name.suffix in (".gz", ".bz2", ".xz", ".zst", ".zip"):
        name = Path(name.stem)
    return name.suffix in (".csv", ".tsv", ".tab", ".parquet", ".pq", ".xlsx", ".xls")


def shares(split: str | None) -> tuple[float, float, float] | None:
    """Shares of the train, val and test parts, which add up to 1, from ``80/10/10`` or ``0.8,0.1,0.1``.

    Raises:
        UserError: They are not three positive numbers.
    """
    if split is None:
        return None
    try:
        train, val, test = (float(share) for share in re.split(r"[/,: ]+", split.strip()))
    except ValueError:
        train = val = test = math.nan
    total = train + val + test
    if not (min(train, val, test) > 0 and math.isfinite(total)):
        raise UserError(f"data.split must be three positive shares such as 80/10/10, got {split!r}.")
    return train / total, val / total, test / total

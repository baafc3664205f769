"""A `Run`: everything that decides a training run's numbers, as a tree of frozen dataclasses.

The same object is the command line, the YAML file, the row of a sweep, the W&B config and, hashed, the run's identity.
Nothing here imports torch: a finished sweep of a thousand runs is recognised without it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from rnnbench.data.catalog import DATASETS
from rnnbench.errors import UserError, unknown

#: Part of every identity. Raise it when a default or a definition changes what a Run's numbers mean.
PROTOCOL = 1

Scalar = str | int | float | bool | None
T = TypeVar("T")


@dataclass(frozen=True)
class CellConfig:
    """Which cell, and the options that its constructor takes: ``lstm`` or ``{name: lstm, forget_bias: 3.0}``."""

    name: str = "lstm"
    options: Mapping[str, Scalar] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """``lstm`` or ``lstm(forget_bias=3.0)``: how tables and figures name it."""
        inside = ", ".join(f"{key}={value}" for key, value in sorted(self.options.items()))
        return f"{self.name}({inside})" if inside else self.name

    @classmethod
    def parse(cls, value: str | Mapping[str, Any] | CellConfig) -> CellConfig:
        """From a name, from ``{"name": …, option: …}``, or from itself."""
        if isinstance(value, CellConfig):
            return value
        if isinstance(value, str):
            text = value.strip()
            if not text.startswith("{"):
                return cls(text)
            with suppress(ValueError):
                value = json.loads(text)
        if not isinstance(value, Mapping) or not isinstance(value.get("name", "lstm"), str):
            raise UserError(f"cell must be a name or a mapping with a name, got {value!r}.")
        options = {str(key): item for key, item in value.items() if key != "name"}
        for key, item in options.items():
            if not isinstance(item, str | int | float | bool | None):
                raise UserError(f"cell option {key} must be a plain value, got {item!r}.")
        return cls(value.get("name", "lstm"), options)

    def plain(self) -> str | dict[str, Scalar]:
        """The inverse of `parse`."""
        return {"name": self.name, **self.options} if self.options else self.name


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
    """

    hidden_size: int = 128
    num_layers: int = 1
    embedding_size: int | None = None
    dropout: float = 0.0
    backend: str = "auto"
    residual: bool = False
    norm: Literal["none", "layer", "rms"] = "none"
    bidirectional: bool = False
    tie: bool = False
    pooling: Literal["last", "mean", "attention"] = "last"
    attention: Literal["additive", "dot", "none"] = "additive"
    init: Literal["default", "orthogonal", "identity", "glorot", "forget_bias", "chrono"] = "default"
    parameters: int | None = None

    def __post_init__(self) -> None:
        _positive("model", self, "hidden_size", "num_layers", "embedding_size", "parameters")
        if not 0.0 <= self.dropout < 1.0:
            raise UserError(f"model.dropout must be in [0, 1), got {self.dropout}.")
        if self.parameters is not None and self.hidden_size != type(self).hidden_size:
            raise UserError(
                f"model.parameters {self.parameters} decides the width, so model.hidden_size {self.hidden_size} "
                "cannot; leave one of them out."
            )


@dataclass(frozen=True)
class DataConfig:
    """What the model reads.

    Args:
        name: Data set, see `rnnbench data list`; kjv where neither name nor path is given.
        path: Your own file: UTF-8 text, or a CSV of numbers (name csv) with a header line.
        column: The column of a CSV to forecast; its only numeric one where not given.
        seq_len: Length T of what is read: steps between truncations of backpropagation (text), inputs of a forecast
            (series), steps to remember over (memory), the longest sequence (the others); the data set's own
            where not given.
        batch_size: Sequences B side by side in a batch.
        horizon: Steps ahead to forecast (series).
        period: Seasonal period in steps, for the seasonal-naive reference (your CSV).
        time_features: Time of day, weekday and day of the year as further inputs (series that have a clock).
        relative: Each window less its last value, input and forecast alike (NLinear, Zeng et al. 2023), so that a level
            never seen in training is none (series); errors are what they are without.
        symbols: What a text is made of: its characters, or the bytes of its UTF-8 (256 of them, none unknown).
        permuted: Show a picture's pixels in one fixed random order (Le et al. 2015).
        items: Things to remember, pairs, bits or brackets deep, as the memory task says; its own number where not
            given.
    """

    name: str | None = None
    path: str | None = None
    column: str | None = None
    seq_len: int = None  # type: ignore[assignment]  # an int from __post_init__ on
    batch_size: int = 32
    horizon: int = 6
    period: int | None = None
    time_features: bool = False
    relative: bool = False
    symbols: Literal["characters", "bytes"] = "characters"
    permuted: bool = False
    items: int | None = None

    def __post_init__(self) -> None:
        _positive("data", self, "batch_size", "horizon", "period", "items")
        if self.name is None:
            own = "csv" if str(self.path).lower().endswith(".csv") else "text"
            object.__setattr__(self, "name", own if self.path else "kjv")
        if self.path is not None and self.name not in ("text", "csv"):
            raise UserError(f'data.path goes with data.name "text" or "csv", not "{self.name}"; leave data.name out.')
        if self.path is None and self.name in ("text", "csv"):
            raise UserError(f'data.name "{self.name}" needs data.path, the file to read.')
        if self.seq_len is None:
            own_length = DATASETS[self.name].seq_len if self.name in DATASETS else 64  # an unknown one is refused later
            object.__setattr__(self, "seq_len", own_length)
        _positive("data", self, "seq_len")

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
        clip: Largest global gradient norm; null for no clipping. The norm is recorded before clipping.
        weight_decay: Decoupled for adamw, L2 for the others.
        schedule: Learning rate after the warm-up: constant, or cosine/linear decay to zero at the budget's end.
        warmup: Share of the steps over which the learning rate rises linearly from zero.
    """

    name: Literal["adam", "adamw", "sgd", "rmsprop"] = "adam"
    lr: float = 2e-3
    clip: float | None = 1.0
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    warmup: float = 0.0

    def __post_init__(self) -> None:
        _positive("optim", self, "lr", "clip")
        if not self.weight_decay >= 0:
            raise UserError(f"optim.weight_decay must be ≥ 0, got {self.weight_decay}.")
        if not 0.0 <= self.warmup < 1.0:
            raise UserError(f"optim.warmup must be in [0, 1), got {self.warmup}.")


@dataclass(frozen=True)
class BudgetConfig:
    """How long to train: one of tokens or steps (1.5 M tokens where neither is given).

    Args:
        tokens: Time steps seen in training, padding included: steps = tokens / (batch_size · seq_len). The history's
            ``tokens`` leaves the padding out.
        steps: Optimiser updates.
        evals: Validations along the training, the last at its end.
        val_tokens: Tokens of the validation part scored at each of these (the last, final figures use all of it).
        keep: Which weights are evaluated and saved: the last, or the best of those validations (early stopping without
            stopping).
    """

    tokens: int | None = None
    steps: int | None = None
    evals: int = 4
    val_tokens: int = 50_000
    keep: Literal["last", "best"] = "last"

    def __post_init__(self) -> None:
        _positive("budget", self, "tokens", "evals", "val_tokens")
        if self.steps is not None and self.steps < 0:
            raise UserError(f"budget.steps must be ≥ 0 (0 measures at initialisation only), got {self.steps}.")
        if self.tokens is not None and self.steps is not None:
            raise UserError("give budget.tokens or budget.steps, not both.")
        if self.tokens is None and self.steps is None:
            object.__setattr__(self, "tokens", 1_500_000)


@dataclass(frozen=True)
class ProbeConfig:
    """What is measured on a fixed probe batch at initialisation and at the end.

    Args:
        gradient_flow: Measure how much of the last step's loss reaches each earlier state.
        seq_len: Length of the probe's sequences, hence the largest lag (text; windows of series have data.seq_len).
        batch_size: Sequences in the probe batch.
    """

    gradient_flow: bool = True
    seq_len: int = 256
    batch_size: int = 16

    def __post_init__(self) -> None:
        _positive("probes", self, "seq_len", "batch_size")
        if self.seq_len < 2:
            raise UserError(f"probes.seq_len must be at least 2, got {self.seq_len}.")


@dataclass(frozen=True)
class Run:
    """One training run.

    Args:
        cell: The recurrent cell, see `rnnbench cells`; its options follow as --cell.OPTION.
        model: What surrounds the cell.
        data: What the model reads.
        optim: How the weights are moved.
        budget: How long to train.
        probes: What is measured beside the losses.
        seed: Decides the initial weights and the order of the data.
        device: cpu, cuda, or auto: a GPU where there is one.
    """

    cell: CellConfig = field(default_factory=CellConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    probes: ProbeConfig = field(default_factory=ProbeConfig)
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"

    #: The job's kind, for the ledger; a `Timing` is the other kind.
    kind = "train"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cell", CellConfig.parse(self.cell))
        if not 0 <= self.seed < 2**31:
            raise UserError(f"seed must be in 0 … 2³¹ − 1, got {self.seed}.")

    @property
    def steps(self) -> int:
        """Optimiser updates that the budget pays for: the tokens rounded up to whole batches."""
        if self.budget.steps is not None:
            return self.budget.steps
        assert self.budget.tokens is not None
        return math.ceil(self.budget.tokens / (self.data.batch_size * self.data.seq_len))

    @cached_property
    def id(self) -> str:
        """``lstm-kjv-T64-s0-1f2e3d4c``: readable, and unique by the hash of everything that decides the numbers."""
        name = f"{self.cell.name}-{self.data.label}-T{self.data.seq_len}-s{self.seed}-{identity(self)}"
        return name.replace("/", "_").replace(":", "_")  # it names a folder: torchrecurrent:MGU has a colon

    @property
    def label(self) -> str:
        """For progress bars: ``lstm kjv T=64 seed 0``."""
        return f"{self.cell.label} {self.data.label} T={self.data.seq_len} seed {self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Plain nested values, for YAML, JSON and W&B."""
        return to_dict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Run:
        """The inverse of `to_dict`; raises `UserError` on an unknown key or a value of the wrong type."""
        return from_dict(cls, values)


def identity(job: Any) -> str:
    """Eight hexadecimal digits of the SHA-256 of what differs from the defaults.

    Only what differs, so that a field added later, with a default, leaves older results valid.
    """
    values, defaults = to_dict(job), to_dict(type(job)())
    what = _canonical({"protocol": PROTOCOL, **_difference(values, defaults)})
    text = json.dumps(what, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def to_dict(config: Any) -> dict[str, Any]:
    """A tree of dataclasses as plain nested values."""
    out: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if isinstance(value, CellConfig):
            value = value.plain()
        elif dataclasses.is_dataclass(value):
            value = to_dict(value)
        elif isinstance(value, tuple):
            value = [v.plain() if isinstance(v, CellConfig) else v for v in value]
        out[item.name] = value
    return out


def from_dict(cls: type[T], values: Mapping[str, Any], prefix: str = "") -> T:
    """A dataclass tree from nested values, with every unknown key refused by its dotted name."""
    if not isinstance(values, Mapping):
        raise UserError(f"{prefix.rstrip('.') or cls.__name__} must be a mapping of keys to values, got {values!r}.")
    hints = get_type_hints(cls)
    names = [item.name for item in dataclasses.fields(cls)]  # type: ignore[arg-type]
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in names:
            raise unknown("key", f"{prefix}{key}", [f"{prefix}{name}" for name in names])
        hint = hints[key]
        if hint is CellConfig:
            arguments[key] = CellConfig.parse(value)
        elif isinstance(hint, type) and dataclasses.is_dataclass(hint):
            arguments[key] = from_dict(hint, value, f"{prefix}{key}.")
        else:
            arguments[key] = check_value(value, hint, f"{prefix}{key}")
    return cls(**arguments)


def check_value(value: Any, hint: Any, name: str) -> Any:
    """The value, if it is what the annotation says (an int may stand for a float, a list for a tuple)."""
    origin, options = get_origin(hint), get_args(hint)
    if origin is Literal:
        if value in options:
            return value
        raise UserError(f"{name} must be one of {', '.join(map(str, options))}, got {value!r}.")
    if origin in (UnionType, Union):
        if value is None and type(None) in options:
            return None
        return check_value(value, next(option for option in options if option is not type(None)), name)
    if origin is tuple:
        if isinstance(value, list | tuple):
            return tuple(
                CellConfig.parse(v) if options[0] is CellConfig else check_value(v, options[0], name) for v in value
            )
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UserError(f"{name} must be {getattr(hint, '__name__', hint)}, got {value!r}.")


def _difference(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """The entries of a nested mapping that are not the default's."""
    out: dict[str, Any] = {}
    for key, value in values.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            if inner := _difference(value, default):
                out[key] = inner
        elif value != default:
            out[key] = value
    return out


def _canonical(value: Any) -> Any:
    """3 and 3.0 are equal, so the identity must see the same in them."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _positive(room: str, config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise UserError(f"{room}.{name} must be positive, got {value}.")

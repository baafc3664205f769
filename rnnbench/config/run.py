"""A `Run`: everything that decides a training run's numbers, as a tree of frozen dataclasses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from rnnbench.catalog import DATA_SETS
from rnnbench.config.parts import EXCLUSIONS, FOLLOWS, BudgetConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig
from rnnbench.config.plain import Seed, quoted
from rnnbench.config.values import CellConfig, Job, check_fields, from_dict, hints_of, identity, is_part
from rnnbench.errors import UserError


@dataclass(frozen=True)
class Run(Job):
    """One training run.

    Args:
        cell: The recurrent cell, see `rnnbench cells`; its options follow as --cell.OPTION.
        model: What surrounds the cell.
        data: What the model reads.
        optim: How the weights are moved.
        budget: How long to train.
        probes: What is measured beside the losses.
        seed: Decides the initial weights and the order of the data.
        data_seed: Decides the order of the data in the seed's place, so that the two can vary apart.
        device: cpu, cuda, or auto: a GPU where there is one.
    """

    cell: CellConfig = field(default_factory=CellConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    budget: BudgetConfig = field(default_factory=BudgetConfig)
    probes: ProbeConfig = field(default_factory=ProbeConfig)
    seed: Seed = 0
    data_seed: Seed | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"

    #: The job's kind, for its run directory; a `Timing` is the other kind.
    kind = "train"

    def __post_init__(self) -> None:
        check_fields(self)
        truncate, seq_len = self.optim.truncate, self.data.seq_len
        if truncate is not None and truncate > seq_len:
            raise UserError(
                f"optim.truncate {truncate} is more than data.seq_len {seq_len}, the time steps of one update: no "
                "gradient goes back further; lower it, or leave it out for all of them."
            )

    @property
    def steps(self) -> int:
        """Optimiser updates that the budget pays for: the tokens rounded up to whole batches."""
        if self.budget.steps is not None:
            return self.budget.steps
        assert self.budget.tokens is not None
        return math.ceil(self.budget.tokens / (self.data.batch_size * self.data.seq_len))

    def validates(self, step: int) -> bool:
        """Is there a validation after so many updates, of 0 … steps?

        There are n = min(budget.evals, steps), the i-th after ⌊i · steps / n⌋: evenly spread, the last at the end.
        """
        count = min(self.budget.evals, self.steps)
        return step > 0 and -step * count % self.steps < count

    @property
    def order_seed(self) -> int:
        """What decides the order (or the drawing) of the training data."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def replicates(self) -> Run:
        """The same for all runs that differ by their seeds alone: this run with the first seed."""
        return replace(self, seed=0, data_seed=None)

    def id_under(self, protocol: int) -> str:
        """``lstm-kjv-T64-s0-1f2e3d4c``: a folder's name, so without ``/``, ``:`` (torchrecurrent:MGU) or line ends."""
        data, rest = self.data.label, f"T{self.data.seq_len}-s{self.seed}-{identity(self, protocol)}"
        cell = self.cell.short_name
        while data and len(f"{cell}-{data}-{rest}".encode()) > 255:
            data = data[:-1]
        name = f"{cell}-{data}-{rest}"
        return "".join(c if c.isprintable() and c not in "/:" else "_" for c in name)

    @property
    def label(self) -> str:
        """For progress bars: ``lstm kjv T=64 seed 0``."""
        length = f"T={self.data.seq_len}"
        if self.optim.truncate is not None:
            length += f" K={self.optim.truncate}"
        return f"{self.cell.short} {self.data.label} {length} seed {self.seed}"


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted values as the tree of a Run, the cell as a mapping; ``data.name`` goes over what ``data`` says."""
    tree: dict[str, Any] = {}
    for key in sorted(values, key=lambda key: key.count(".")):
        part, _, name = key.partition(".")
        value = values[key]
        if key == "cell":
            cell = CellConfig.parse(value)
            value = {"name": cell.name, **cell.options}
        if not name:
            tree[part] = value
        elif isinstance(tree.get(part, {}), Mapping):
            tree[part] = {**tree.get(part, {}), name: value}
        else:
            raise UserError(f"{part} must be a mapping of keys to values, got {quoted(tree[part])}.")
    return tree


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Nested values laid over those of a Run, or of parts of one, as flags are laid over a file.

    A Run that was written down as a whole holds more than anybody has set. So left out of what lies below is, beside
    what is set anew: what that excludes (tokens, where steps are set now); what was there because it follows from a
    value that is replaced (a data set's usual length); and options that another data set or cell has, and the new one
    has not.

    Args:
        below: From which a Run can be made.
        above: Of ``cell`` a mapping, whose name may be missing.
    """
    out = {**below, **above}
    for name, kind in hints_of(Run).items():
        if kind is CellConfig and name in above:
            cell = CellConfig.parse(below.get(name, {}))
            options = cell.options if above[name].get("name", cell.name) == cell.name else {}
            out[name] = {"name": cell.name, **options, **above[name]}
        elif is_part(kind) and name in below and isinstance(above.get(name), Mapping):
            mapping = isinstance(below[name], Mapping)  # anything else is for `Run.from_dict` to refuse
            out[name] = _part(name, kind, below[name], above[name]) if mapping else below[name]
    return out


def _part(part: str, kind: type, below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    kept = {
        key: value
        for key, value in below.items()
        if not (_follows(part, kind, key, below, above) or _excluded(part, key, value, above))
    }
    out = {**kept, **above}
    if kind is DataConfig and out.get("val_path") and out.get("test_path") and "split" not in above:
        out.pop("split", None)  # nothing is left to divide
    if kind is DataConfig and {"path", "name"} & above.keys():
        data = DATA_SETS.get(str(from_dict(DataConfig, {key: out[key] for key in ("path", "name") if key in out}).name))
        out = {key: value for key, value in out.items() if key in above or data is None or data.understands(key)}
    return out


def _follows(part: str, kind: type, key: str, below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    """Whether a value is the one that follows from others written beside it, of which one is replaced."""
    sources = FOLLOWS.get(part, {}).get(key, ())
    if not (below.keys() & sources and above.keys() & sources):
        return False
    try:
        rest: Any = from_dict(kind, {name: value for name, value in below.items() if name != key})
    except UserError:
        return False
    return bool(getattr(rest, key) == below[key])


def _excluded(part: str, key: str, value: Any, above: Mapping[str, Any]) -> bool:
    """Whether a value excludes, or is excluded by, one of those above it."""
    for one in EXCLUSIONS:
        if one.part == part and key in one.names:
            this = one.names.index(key)
            rival = one.names[1 - this]
            if value not in one.idle[this] and rival in above and above[rival] not in one.idle[1 - this]:
                return True
    return False


#: Bytes of a float32; how often an optimiser holds each weight: with its gradient, and Adam's two moments.
FLOAT, COPIES = 4, {"sgd": 2, "rmsprop": 3, "adam": 4, "adamw": 4}


def least_weights(run: Run) -> int:
    """Bytes of weights, gradients and moments that every cell needs at the least.

    The first layer reads the embedding, each further one the layer below; where the width follows from
    ``model.parameters``, these are they.
    """
    model = run.model
    count = model.parameters
    if count is None:
        width = model.hidden_size
        count = width * (model.embedding_size or width) + (model.num_layers - 1) * width**2
    return FLOAT * COPIES[run.optim.name] * count


def check_size(run: Run, memory: int) -> None:
    """Refuse a run whose weights, or whose batch of inputs, alone need more than the device's bytes of memory."""
    model, data = run.model, run.data
    weights = f"model.hidden_size {model.hidden_size} in {model.num_layers} layers"
    weights = weights if model.parameters is None else f"model.parameters {model.parameters}"
    batch = f"data.batch_size {data.batch_size} × data.seq_len {data.seq_len}"
    for what, need, use, advice in (
        (weights, least_weights(run), "weights and optimiser", "make the model smaller"),
        (batch, FLOAT * data.batch_size * data.seq_len, "a batch of inputs", "make one of them smaller"),
    ):
        if need > memory:
            raise UserError(
                f"{what} needs {need / 2**30:,.1f} GiB for {use}, and there are {memory / 2**30:,.1f}; {advice}."
            )

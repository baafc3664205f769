"""A Run: nothing is lost on the way to a file and back, its identity tells apart what differs, and it must fit."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rnnbench.cells.registry import cell_names, make_cell
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run, identity
from rnnbench.config.run import check_size, least_weights
from rnnbench.config.timing import Timing
from rnnbench.config.values import hints_of, is_part
from rnnbench.errors import UserError

positive = st.integers(1, 10**6)
plain_text = st.text(st.characters(codec="ascii", min_codepoint=32), max_size=8)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | plain_text
options = st.dictionaries(
    st.from_regex("[a-z_]{1,8}", fullmatch=True).filter(lambda key: key != "name"),
    scalars.filter(lambda value: not isinstance(value, int) or abs(value) < 2**63),
)
cells = st.builds(CellConfig, st.from_regex("[a-z]{1,6}", fullmatch=True), options)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(2, 1000),
    float: st.floats(1e-3, 0.999),
    bool: st.booleans(),
    str: st.sampled_from(["auto", "loop", "torch"]),
}


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values that an annotation allows."""
    kinds = get_args(hint)
    if get_origin(hint) is Literal:
        return st.sampled_from(kinds)
    if type(None) in kinds:
        return st.none() | values_of(kinds[0])
    return VALUES[kinds[0] if kinds else hint]


def built(cls: Any, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A dataclass with any values, but for the fields that are fixed."""
    return st.builds(cls, **{key: values_of(hint) for key, hint in hints_of(cls).items() if key not in fixed}, **fixed)


data_sets = st.builds(
    DataConfig, name=st.sampled_from([None, "kjv", "glucose", "adding"]), seq_len=positive, batch_size=positive
) | st.builds(DataConfig, path=st.sampled_from(["a.txt", "b.csv", "c d/é.TXT"]), column=st.none() | plain_text)
runs = built(
    Run,
    cell=cells,
    model=built(ModelConfig, parameters=st.none()),
    data=data_sets,
    optim=built(OptimConfig, truncate=st.none()),
    budget=built(BudgetConfig, steps=st.none()) | built(BudgetConfig, tokens=st.none()),
    probes=built(ProbeConfig, gradient_flow=st.just(True)),
)
cell_lists = st.lists(cells, max_size=3).map(tuple)
backends = st.lists(st.sampled_from(["loop", "torch"]), unique=True).map(tuple)
timings = built(Timing, cells=cell_lists, backends=backends, bidirectional=st.just(False))


@settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])  # on a busy machine it would be
@given(runs | timings)
def test_round_trip(job: Run | Timing) -> None:
    """to_dict → YAML or JSON → from_dict is the job itself, with its identity."""
    values = job.to_dict()
    for text, read in ((yaml.safe_dump(values, allow_unicode=True), yaml.safe_load), (json.dumps(values), json.loads)):
        again = type(job).from_dict(read(text))
        assert again == job
        assert again.id == job.id
        assert again.to_dict() == values


def test_a_whole_number_is_the_same_number() -> None:
    """3 and 3.0 make equal Runs, so they are one run directory, with one label and one form in every file."""
    one = Run(cell=CellConfig("lstm", {"forget_bias": 3}), optim=OptimConfig(lr=1, clip=5))
    other = Run(cell=CellConfig("lstm", {"forget_bias": 3.0}), optim=OptimConfig(lr=1.0, clip=5.0))
    assert one == other
    assert one.id == other.id == "lstm-kjv-T64-s0-7188e908"
    assert one.label == other.label == "lstm(forget_bias=3) kjv T=64 seed 0"
    assert (
        json.dumps(one.to_dict()) == json.dumps(other.to_dict()) == json.dumps(Run.from_dict(one.to_dict()).to_dict())
    )
    assert json.dumps(one.to_dict()["optim"]).startswith('{"name": "adam", "lr": 1.0, "clip": 5.0')


@pytest.mark.parametrize("value", [2.5, 1e300, -0.5, True, False, None, "3.0", 2**60])
def test_what_is_no_whole_float_stays_what_it_is(value: Any) -> None:
    (kept,) = CellConfig("lstm", {"x": value}).options.values()
    assert (kept, type(kept)) == (value, type(value))


#: Texts that differ from their defaults.
TEXTS = {
    "backend": "loop",
    "name": "glucose",
    "path": "a.txt",
    "val_path": "v.txt",
    "test_path": "t.txt",
    "split": "8/1/1",
}


def changed(name: str, value: Any, hint: Any) -> Any:
    """Another value than a field's default, as from_dict takes it."""
    kinds = [kind for kind in get_args(hint) or [hint] if kind is not type(None)]
    if get_origin(hint) is Literal:
        return next(kind for kind in kinds if kind != value)
    if hint is bool:
        return not value
    if name in ("cell", "cells", "backends"):
        return {"cell": "gru", "cells": ["rnn"], "backends": ["loop"]}[name]
    if str in kinds:
        return TEXTS.get(name, "x")
    return 16 if value is None else value + (1 if isinstance(value, int) else 0.001)


def nested(key: str, value: Any) -> dict[str, Any]:
    part, _, name = key.partition(".")
    return {part: {name: value}} if name else {part: value}


#: For every field of a Run its default and its annotation.
FIELDS: dict[str, tuple[Any, Any]] = {}
for part, hint in hints_of(Run).items():
    if is_part(hint):
        FIELDS |= {f"{part}.{name}": (getattr(getattr(Run(), part), name), h) for name, h in hints_of(hint).items()}
    else:
        FIELDS[part] = (getattr(Run(), part), hint)


def test_every_field_is_part_of_the_identity() -> None:
    found = {
        key: identity(Run.from_dict(nested(key, changed(key.split(".")[-1], value, hint))))
        for key, (value, hint) in FIELDS.items()
    }
    found["nothing"] = identity(Run())
    found["an option"] = identity(Run(cell=CellConfig("lstm", {"forget_bias": 1.0})))
    found["another option"] = identity(Run(cell=CellConfig("lstm", {"forget_bias": 2.0})))
    timing = [
        identity(Timing.from_dict({name: changed(name, getattr(Timing(), name), hint)}))
        for name, hint in hints_of(Timing).items()
    ]
    assert len(set(found.values())) == len(found)
    assert len({*timing, identity(Timing())}) == len(timing) + 1


@pytest.mark.parametrize("key", sorted(FIELDS.keys() - {"budget.steps"}))
def test_a_default_spelled_out_changes_nothing(key: str) -> None:
    value = Run().to_dict()
    for name in key.split("."):
        value = value[name]
    assert Run.from_dict(nested(key, value)).id == Run().id


def test_the_id_is_readable_and_a_folder_name() -> None:
    run = Run(cell=CellConfig("gru"), data=DataConfig(path="a b/my.book.txt", seq_len=16), seed=7)
    assert re.fullmatch(r"gru-my\.book-T16-s7-[0-9a-f]{8}", run.id)
    assert "/" not in Run(cell=CellConfig("my/cell")).id


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"modle": {}}, 'unknown key "modle". Did you mean "model"?'),
        ({"model": {"hiden_size": 3}}, 'unknown key "model.hiden_size". Did you mean "model.hidden_size"?'),
        ({"data": {"seqlen": 3}}, 'unknown key "data.seqlen". Did you mean "data.seq_len"?'),
        ({"optim": {"rl": 3}}, 'unknown key "optim.rl". Did you mean "optim.lr"?'),
        ({"budget": {"step": 3}}, 'unknown key "budget.step". Did you mean "budget.steps"?'),
        ({"probes": {"gradientflow": 3}}, 'unknown key "probes.gradientflow". Did you mean "probes.gradient_flow"?'),
        ({"model": 3}, "model must be a mapping of keys to values, got 3."),
        ({"model": {"hidden_size": 3.5}}, "model.hidden_size must be int, got 3.5."),
        ({"model": {"hidden_size": True}}, "model.hidden_size must be int, got True."),
        ({"model": {"hidden_size": None}}, "model.hidden_size must be int, got None."),
        ({"model": {"dropout": "0.1"}}, "model.dropout must be float, got '0.1'."),
        ({"model": {"embedding_size": "all"}}, "model.embedding_size must be int, got 'all'."),
        ({"probes": {"gradient_flow": 1}}, "probes.gradient_flow must be bool, got 1."),
        ({"optim": {"name": "adma"}}, "optim.name must be one of adam, adamw, sgd, rmsprop, got 'adma'."),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, got 'tpu'."),
        ({"cell": 3}, "cell must be a name or a mapping with a name, got 3."),
        ({"cell": {"name": 3}}, "cell must be a name or a mapping with a name, got {'name': 3}."),
        ({"cell": "{name: lstm"}, "cell must be a name or a mapping with a name, got '{name: lstm'."),
        ({"cell": {"name": "lstm", "a": [[1]]}}, "cell option a must be a plain value or a list of them, got [1]."),
        ({"seed": -1}, "seed must be in 0 … 2³¹ − 1, got -1."),
        ({"model": {"dropout": 1.0}}, "model.dropout must be in [0, 1), got 1.0."),
        ({"model": {"dropout": math.nan}}, "model.dropout must be a finite number, got nan."),
        ({"optim": {"lr": math.nan}}, "optim.lr must be a finite number, got nan."),
        ({"optim": {"weight_decay": math.nan}}, "optim.weight_decay must be a finite number, got nan."),
        ({"optim": {"warmup": 1.0}}, "optim.warmup must be in [0, 1), got 1.0."),
        ({"budget": {"steps": -1}}, "budget.steps must be ≥ 0"),
        ({"budget": {"steps": 1, "tokens": 1}}, "give budget.tokens or budget.steps, not both."),
        ({"probes": {"seq_len": 1}}, "probes.seq_len must be at least 2, got 1."),
        ({"data": {"name": "kjv", "path": "a.txt"}}, "data.path goes with data.name"),
        ({"data": {"name": "text"}}, "needs data.path"),
    ],
)
def test_what_is_not_a_run_is_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        Run.from_dict(values)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


SIZES = [
    "model.hidden_size", "model.num_layers", "model.embedding_size", "model.parameters", "data.seq_len",
    "data.batch_size", "data.horizon", "optim.lr", "optim.clip", "budget.tokens", "budget.evals", "budget.val_tokens",
    "probes.seq_len", "probes.batch_size",
]  # fmt: skip


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("value", [0, -3])
def test_sizes_are_positive(key: str, value: int) -> None:
    with pytest.raises(UserError, match=f"{key} must be (positive|at least 2), got {value}"):
        Run.from_dict(nested(key, value))


@pytest.mark.parametrize("key", ["seq_len", "batch_size", "hidden_size", "samples", "warmup"])
def test_sizes_of_a_timing_are_positive(key: str) -> None:
    with pytest.raises(UserError, match=f"{key} must be .*, got -3"):
        Timing.from_dict({key: -3})
    with pytest.raises(UserError, match=f'unknown key "{key}s". Did you mean "{key}"'):
        Timing.from_dict({key + "s": 3})


def test_a_cell_is_a_name_or_a_mapping() -> None:
    """A name, a mapping, JSON in a string and a CellConfig say the same; `plain` is the inverse."""
    assert CellConfig.parse("gru") == CellConfig("gru") == CellConfig.parse({"name": "gru"})
    wanted = CellConfig("lstm", {"forget_bias": 3.0})
    assert CellConfig.parse({"name": "lstm", "forget_bias": 3.0}) == wanted
    assert CellConfig.parse('{"forget_bias": 3.0}') == wanted
    assert CellConfig.parse(wanted) is wanted
    assert wanted.plain() == {"name": "lstm", "forget_bias": 3.0}
    assert Run.from_dict({"cell": wanted.plain()}).cell == wanted
    assert wanted.label == "lstm(forget_bias=3)"


@given(cells)
def test_plain_is_the_inverse_of_parse(cell: CellConfig) -> None:
    assert CellConfig.parse(cell.plain()) == cell


@given(st.integers(0, 300), st.integers(1, 400))
@example(733, 4)
@example(11, 4)
@example(293, 4)
def test_validations_are_as_many_as_asked_for_and_evenly_spread(steps: int, evals: int) -> None:
    """One after every update at the most, the last after the last, and no two gaps differ by more than a step."""
    run = Run(budget=BudgetConfig(steps=steps, evals=evals))
    after = [step for step in range(steps + 1) if run.validates(step)]
    assert len(after) == min(evals, steps)
    assert after[-1:] == [steps][: len(after)]
    gaps = [step - before for before, step in zip([0, *after], after, strict=False)]
    assert max(gaps, default=1) - min(gaps, default=1) <= 1
    if (steps, evals) == (11, 4):
        assert after == [2, 5, 8, 11]


@given(positive, positive, positive)
def test_steps_pay_for_the_tokens(tokens: int, batch_size: int, seq_len: int) -> None:
    """The fewest whole batches that hold the tokens."""
    data = DataConfig(seq_len=seq_len, batch_size=batch_size)
    steps = Run(data=data, budget=BudgetConfig(tokens=tokens)).steps
    assert (steps - 1) * batch_size * seq_len < tokens <= steps * batch_size * seq_len
    assert Run(data=data, budget=BudgetConfig(steps=tokens)).steps == tokens
    assert Run().budget.tokens == 1_500_000


@pytest.mark.parametrize("name", cell_names())
def test_no_cell_has_fewer_weights(name: str) -> None:
    """Else a run that fits would be refused."""
    for embedding, width in ((4, 64), (64, 64), (64, 16)):
        with torch.device("meta"):
            layers = [make_cell(name, size, width) for size in (embedding, width, width)]
        weights = 4 * sum(weight.numel() for cell in layers for weight in cell.parameters())
        model = ModelConfig(hidden_size=width, embedding_size=embedding, num_layers=3)
        assert least_weights(Run(model=model, optim=OptimConfig("sgd"))) <= 2 * weights


def test_what_fits_and_what_does_not() -> None:
    check_size(Run(), 2**30)
    for run, wanted in (
        (Run(model=ModelConfig(hidden_size=2**20)), "model.hidden_size 1048576 in 1 layers needs 16,384.0 GiB"),
        (Run(model=ModelConfig(parameters=10**10)), "model.parameters 10000000000 needs 149.0 GiB"),
        (Run(data=DataConfig(batch_size=2**20, seq_len=2**20)), "data.batch_size 1048576 × data.seq_len 1048576 needs"),
    ):
        with pytest.raises(UserError, match=wanted):
            check_size(run, 100 * 2**30)

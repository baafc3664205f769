from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from rnnbench.config import CellConfig, DataConfig, OptimConfig, Run
from rnnbench.errors import UserError
from rnnbench.sweep.study import Study
from rnnbench.sweep.wandb_parameters import LISTS, NUMBERS, Parameter
from rnnbench.sweep.wandb_sweep import study_of_file, uniform


def study(path: Path, content: str | dict[str, Any], count: int | None = None) -> tuple[Study, list[str]]:
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return study_of_file(path, count)


def runs(path: Path, content: str | dict[str, Any], count: int | None = None) -> list[Run]:
    jobs = study(path, content, count)[0].jobs("quick")
    assert all(isinstance(job, Run) for job in jobs)
    return [job for job in jobs if isinstance(job, Run)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my_sweep.yaml"


GRID = """
method: grid
description: Which
  cell?
parameters:
  seed: {min: 0, max: 1}
  optim.lr: {values: [1e-3, 2e-3]}
  cell: {values: [rnn, lstm]}
  data:
    parameters:
      seq_len: {value: 16}
      batch_size: {distribution: q_uniform, min: 8, max: 24, q: 8}
"""


def test_a_grid_is_every_combination_with_the_last_name_fastest(file: Path) -> None:
    expected = [
        Run(
            cell=CellConfig(cell),
            data=DataConfig(seq_len=16, batch_size=batch),
            optim=OptimConfig(lr=lr),
            seed=seed,
        )
        for cell in ("rnn", "lstm")
        for batch in (8, 16)  # W&B's grid leaves the end of q_uniform out
        for lr in (1e-3, 2e-3)
        for seed in (0, 1)
    ]
    found, notes = study(file, GRID)
    assert [run.id for run in found.jobs("quick")] == [run.id for run in expected]
    assert (found.name, found.question, notes) == ("my_sweep", "Which cell?", [])
    assert [run.id for run in runs(file, GRID, count=3)] == [run.id for run in expected[:3]]
    assert [run.id for run in runs(file, "run_cap: 5" + GRID)] == [run.id for run in expected[:5]]


@pytest.mark.parametrize(
    "parameters",
    [
        {"cell": {"value": {"name": "lstm", "forget_bias": 3}}},
        {"cell": {"value": '{"name": "lstm", "forget_bias": 3.0}'}},
        {"cell": {"value": "lstm"}, "cell.forget_bias": {"values": [3]}},
        {"cell.forget_bias": {"value": 3.0}},
        {"cell": {"parameters": {"name": {"value": "lstm"}, "forget_bias": {"value": 3.0}}}},
        {"config": {"value": '{"cell": {"name": "lstm", "forget_bias": 3}}'}},
        {"config": {"value": {"cell": "lstm"}}, "cell.forget_bias": {"value": 3}},
    ],
)
def test_a_cell_with_options_may_be_written_in_any_way(file: Path, parameters: dict[str, Any]) -> None:
    (run,) = runs(file, {"method": "grid", "parameters": parameters})
    assert run.id == Run(cell=CellConfig("lstm", {"forget_bias": 3.0})).id


def test_dotted_flags_lie_over_a_part_of_a_run(file: Path) -> None:
    part = {"config": {"value": {"cell": {"name": "lstm", "forget_bias": 3.0}}}}
    cells = runs(file, {"method": "grid", "parameters": {**part, "cell": {"values": ["gru", "lstm"]}}})
    assert [run.cell.label for run in cells] == ["gru", "lstm(forget_bias=3)"], "another cell inherits no options"
    parts = [{"seq_len": 16, "batch_size": 128}, {"seq_len": 64, "batch_size": 32}]
    for values in ({"config": {"values": [{"data": part} for part in parts]}}, {"data": {"values": parts}}):
        jobs = runs(file, {"method": "grid", "parameters": {**values, "data.name": {"values": ["kjv", "adding"]}}})
        assert {(run.data.name, run.data.seq_len, run.data.batch_size) for run in jobs} == {
            (name, part["seq_len"], part["batch_size"]) for name in ("kjv", "adding") for part in parts
        }


RANDOM = """
name: My search / of rates
method: random
parameters:
  optim.lr: {distribution: log_uniform_values, min: 1e-4, max: 1e-1}
  model.hidden_size: {distribution: q_log_uniform_values, min: 32, max: 256, q: 16}
  model.dropout: {min: 0, max: 0.5}
  cell: {values: [rnn, lstm, gru], probabilities: [0.5, 0.3, 0.2]}
"""


def test_a_draw_depends_on_the_names_and_its_number_alone(file: Path) -> None:
    few, many = runs(file, RANDOM, count=7), runs(file, "# more\nrun_cap: 30\n" + RANDOM)
    assert [run.id for run in many[:7]] == [run.id for run in few]
    assert len({run.id for run in many}) == 30
    assert study(file, RANDOM, 1)[0].name == "My_search_of_rates"
    other = runs(file, RANDOM.replace("My search", "Another"), count=7)
    assert {run.optim.lr for run in other}.isdisjoint(run.optim.lr for run in few)
    assert all(run.model.hidden_size % 16 == 0 and isinstance(run.model.hidden_size, int) for run in many)
    narrow = runs(file, RANDOM.replace("max: 256", "max: 64"), 7)
    assert [(run.cell, run.optim.lr) for run in narrow] == [(run.cell, run.optim.lr) for run in few]
    assert [run.model.hidden_size for run in narrow] != [run.model.hidden_size for run in few]


def test_draws_are_uniform_and_of_different_parameters_independent() -> None:
    one, other = (np.array([uniform("sweep", name, i) for i in range(4000)]) for name in ("a", "b"))
    assert stats.kstest(one, "uniform").pvalue > 1e-3
    assert stats.kstest(other, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.06
    assert abs(np.corrcoef(one[:-1], one[1:])[0, 1]) < 0.06
    assert 0 < one.min() < one.max() < 1


LOG = stats.loguniform(0.1, 10)
CDFS = {
    "uniform": ({"min": -1, "max": 3.5}, stats.uniform(-1, 4.5)),
    "log_uniform": ({"min": -2.0, "max": 1}, stats.loguniform(math.exp(-2), math.e)),
    "log_uniform_values": ({"min": 0.1, "max": 10}, LOG),
    "inv_log_uniform": ({"min": -1, "max": 2}, stats.loguniform(math.exp(-2), math.e)),
    "inv_log_uniform_values": ({"min": 0.1, "max": 10}, LOG),
    "normal": ({"mu": 1, "sigma": 2}, stats.norm(1, 2)),
    "log_normal": ({"mu": 1, "sigma": 0.5}, stats.lognorm(0.5, scale=math.e)),
    "beta": ({"a": 2, "b": 0.5}, stats.beta(2, 0.5)),
}


@pytest.mark.parametrize("kind", CDFS)
def test_draws_have_the_distribution(kind: str) -> None:
    numbers, truth = CDFS[kind]
    parameter = Parameter.parse("x", {"distribution": kind, **numbers})
    shares = np.linspace(0.001, 0.999, 97)
    np.testing.assert_allclose(truth.cdf([parameter.quantile(u) for u in shares]), shares, atol=1e-9)
    draws = [parameter.quantile(uniform("sweep", "x", i)) for i in range(2000)]
    assert stats.kstest(draws, truth.cdf).pvalue > 1e-3


@pytest.mark.parametrize("kind", [kind for kind in NUMBERS if kind.startswith("q_")])
@pytest.mark.parametrize("q", [0.25, 2])
def test_a_quantised_draw_is_the_nearest_multiple(kind: str, q: float) -> None:
    numbers, truth = CDFS[kind.removeprefix("q_")]
    parameter = Parameter.parse("x", {"distribution": kind, **numbers, "q": q})
    for u in np.linspace(0.001, 0.999, 97):
        x = parameter.quantile(float(u))
        assert abs(x - truth.ppf(u)) <= q / 2 + 1e-9
        assert (x / q).is_integer()
        assert isinstance(x, int) == (q == 2)


def test_whole_numbers_and_lists_are_drawn_evenly() -> None:
    whole = Parameter.parse("x", {"min": 3, "max": 6})
    assert whole.distribution == "int_uniform"
    assert Parameter.parse("x", {"min": 3, "max": 6.0}).distribution == "uniform"
    listed = Parameter.parse("x", {"values": ["a", "b", "c"], "probabilities": [0.5, 0, 0.5]})
    shares = (np.arange(400) + 0.5) / 400
    assert np.unique([whole.quantile(u) for u in shares], return_counts=True)[1].tolist() == [100] * 4
    assert [listed.quantile(u) for u in shares] == ["a"] * 200 + ["c"] * 200
    assert listed.quantile(1 - 2**-49) == "c"
    assert whole.quantile(1 - 2**-49) == 6


def test_everything_that_wandb_knows_is_known() -> None:
    """The distributions of W&B's reference; each with the least it needs makes a parameter."""
    least: dict[str, dict[str, Any]] = {
        "constant": {"value": None}, "categorical": {"values": [1]},
        "categorical_w_probabilities": {"values": [1], "probabilities": [1]},
    }  # fmt: skip
    names = (
        "constant categorical categorical_w_probabilities int_uniform uniform q_uniform log_uniform log_uniform_values "
        "q_log_uniform q_log_uniform_values inv_log_uniform inv_log_uniform_values normal q_normal log_normal "
        "q_log_normal beta q_beta"
    )
    assert set(names.split()) == {*NUMBERS, *LISTS}
    for kind in names.split():
        bounds = {"min": 1, "max": 2} if kind.endswith(("uniform", "values")) else {}
        Parameter.parse("x", {"distribution": kind, **least.get(kind, bounds)}).quantile(0.3)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("method: bayes\nparameters: {seed: {value: 0}}", "bayes needs W&B's server.* grid or random"),
        ("method: gird\nparameters: {seed: {value: 0}}", "method must be grid or random, got 'gird'"),
        ("metod: grid\nparameters: {seed: {value: 0}}", 'unknown key of a sweep "metod". Did you mean "method"'),
        ("method: grid", "a sweep is a mapping with method and parameters"),
        ("- 1", "a sweep is a mapping with method and parameters"),
        ("method: grid\nparameters: {}", "parameters must be a mapping of names"),
        ("method: grid\nparameters: {seed: 3}", "parameter seed must be a mapping"),
        ("method: grid\nparameters: {seed: {valeus: [1]}}", "parameter seed must have value, values"),
        ("method: grid\nparameters: {seed: {values: []}}", "values of seed must be a list of at least one"),
        ("method: grid\nparameters: {seed: {value: 1, q: 3}}", 'unknown key of seed \\(constant\\) "q"'),
        ("method: grid\nparameters: {seed: {distribution: unifrom, min: 0, max: 1}}", 'Did you mean "uniform"'),
        ("method: grid\nparameters: {seed: {min: 0}}", "parameter seed \\(uniform\\) needs max"),
        ("method: grid\nparameters: {seed: {min: 3, max: 3}}", "min of seed must be less than its max"),
        ("method: grid\nparameters: {optim.lr: {min: 0.1, max: 0.3}}", "optim.lr is uniform; give values"),
        ("method: grid\nparameters: {seed: {min: 0, max: 99999999999}}", "seed has more than"),
        ("method: grid\nparameters: {seed: {min: 0, max: 200}, data.batch_size: {min: 1, max: 200}}", "40200 runs"),
        ("method: grid\nparameters: {data.seqlen: {value: 3}}", '"data.seqlen". Did you mean "data.seq_len"'),
        ("method: grid\nparameters: {data.seq_len: {value: 1.5}}", "data.seq_len must be int, got 1.5"),
        ("method: grid\nparameters: {data.name: {value: kvj}}", 'unknown data set "kvj". Did you mean "kjv"'),
        ("method: grid\nparameters: {seed.x: {value: 1}, seed: {value: 3}}", "seed.x goes into seed"),
        ("method: grid\nparameters: {a.b: {value: 1}, a: {parameters: {b: {value: 1}}}}", "a.b is given twice"),
        ("method: grid\nparameters: {config: {value: '{'}}", "config must be a part of a Run as JSON"),
        ("method: grid\nparameters: {config: {value: 3}}", "config must be a part of a Run"),
        ("method: random\nparameters: {seed: {value: 1}}", "--count N, or run_cap"),
        ("method: random\nrun_cap: many\nparameters: {seed: {value: 1}}", "run_cap must be a positive whole number"),
        ("method: random\nrun_cap: 9999999\nparameters: {seed: {value: 1}}", "too many for one sweep"),
        ("method: random\nrun_cap: 3\nparameters: {seed: {distribution: log_uniform, min: 1, max: 9999}}", "too large"),
        ("method: random\nrun_cap: 3\nparameters: {seed: {values: [1, 2], probabilities: [0.5, 0.4]}}", "add up to 1"),
        ("method: grid\nparameters: &p {x: {parameters: *p}}", "contains itself"),
        ("method: grid\nparameters: {optim.lr: {value: 1" + 400 * "0" + "}}", "optim.lr"),
        ('method: grid\nparameters: {cell: {value: "\\ud800"}}', "cell"),
        ("method: [grid", "is not YAML in line 1: "),
        ("a: 2001-99-99", "is not YAML"),
        ("method: grid\nmethod: random", "given twice"),
        ('method: grid\nparameters: {"a\\nb": {value: 1}}', "names of letters, digits"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_sentence(file: Path, text: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        study(file, text)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the sweep .*: No such file"):
        study_of_file(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"name: \xe4")
    with pytest.raises(UserError, match="cannot read the sweep"):
        study_of_file(tmp_path / "latin.yaml")
    with pytest.raises(UserError, match="the count must be at least 1, got 0"):
        study(tmp_path / "a.yaml", GRID, count=0)


def test_what_the_file_says_in_vain_is_said(file: Path) -> None:
    extra = "program: train.py\nearly_terminate: {type: hyperband, min_iter: 3}\nmetric: {name: val/bpc}"
    notes = study(file, extra + GRID)[1]
    assert [note.split()[0] for note in notes] == ["early_terminate", "program"]
    assert "whole budget" in notes[0]


scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates()
    | st.sampled_from(["grid", "random", "lstm", "kjv", "config", "data.seq_len", "uniform", "{}", "1e400"])
)  # fmt: skip
keys = st.text(max_size=4) | st.integers() | st.sampled_from(
    ["value", "values", "min", "max", "q", "distribution", "parameters", "probabilities", "config", "cell", "cell.x",
     "data", "data.seq_len", "model.hidden_size", "optim.lr", "seed", "mu", "sigma", "a", "budget", "."]
)  # fmt: skip
trees = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))
numbers = st.integers(-3, 300) | st.floats() | scalars
specs = (
    st.builds(lambda values: {"values": values}, st.lists(numbers, max_size=3))
    | st.dictionaries(st.sampled_from(["min", "max", "q"]), numbers)
    | st.fixed_dictionaries(
        {"distribution": st.sampled_from([*NUMBERS, *LISTS])},
        optional=dict.fromkeys(("min", "max", "mu", "sigma", "q", "a", "b", "value"), numbers),
    )
    | trees
)
#: Parameters of which most are right.
sensible = st.fixed_dictionaries({}, optional={
    "seed": st.builds(lambda low, more: {"min": low, "max": low + more}, st.integers(0, 3), st.integers(0, 6)),
    "optim.lr": st.builds(lambda rates: {"values": rates}, st.lists(st.floats(-0.1, 1), min_size=1, max_size=3)),
    "data": st.builds(lambda length: {"parameters": {"seq_len": {"value": length}}}, st.integers(1, 300)),
    "cell": st.builds(lambda cells: {"values": cells}, st.lists(st.sampled_from(["rnn", '{"name": "gru"}', "{"]))),
    "cell.x": st.builds(dict, value=scalars),
    "model.dropout": st.builds(dict, min=st.floats(0, 0.1), max=st.floats(0.2, 1.2)),
    "budget.steps": st.builds(dict, distribution=st.just("q_uniform"), min=st.integers(-1, 99), max=st.just(300),
                              q=st.integers(1, 300)),
    "config": st.builds(dict, value=st.sampled_from(['{"data": {"name": "adding"}}', {"seed": 3}, "{}"])),
})  # fmt: skip
sweeps = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["grid", "random"]),
        "parameters": sensible | st.builds(lambda a, b: a | b, sensible, st.dictionaries(keys, specs, max_size=2)),
    },
    optional={"name": scalars, "run_cap": st.integers(1, 9) | scalars, "command": trees, "description": trees},
)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=sweeps | trees, count=st.none() | st.integers(0, 4))
def test_whatever_the_file_says_there_are_runs_or_a_sentence(tmp_path: Path, tree: Any, count: int | None) -> None:
    sentence, jobs = "", []
    try:
        jobs = study(tmp_path / "any.yaml", yaml.safe_dump(tree, allow_unicode=True), count)[0].jobs("quick")
    except UserError as error:
        sentence = str(error)
    assert bool(jobs) != bool(sentence)
    assert len(sentence.splitlines()) <= 1
    assert len(sentence) < 1000
    assert all(isinstance(job, Run) and dataclasses.asdict(job) for job in jobs)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.text(alphabet=st.sampled_from("mp: {}[]&*!-'\"\n#1e.|>,%@?")))
def test_whatever_the_text_is_there_are_runs_or_a_sentence(tmp_path: Path, text: str) -> None:
    with pytest.raises(UserError) as caught:
        study(tmp_path / "any.yaml", text)
    assert len(str(caught.value).splitlines()) == 1

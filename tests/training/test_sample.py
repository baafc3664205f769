"""The sample of a text run, and the curves of its test text: reproducible, checksummed, and disturbing nothing."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.training import text_run

from rnnbench.config import CellConfig, DataConfig, ModelConfig, OptimConfig, Run
from rnnbench.data.text.streams import PROMPT, TextData
from rnnbench.models import SequenceModel, build
from rnnbench.runs import CURVES, SAMPLE, SAMPLE_MARK, RunDirectory
from rnnbench.runs.scan import scan
from rnnbench.runs.verify import Problem, verify
from rnnbench.training import train
from rnnbench.training.generate import LENGTH, TEMPERATURE, load, write, write_sample


@pytest.fixture(scope="module")
def recorded(small_text: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, RunDirectory, dict[str, Any]]:
    """A run, its folder and its result."""
    root = tmp_path_factory.mktemp("sample")
    (root / "small.txt").write_text(small_text, encoding="utf-8")
    run = text_run(root / "small.txt", steps=80, optim=OptimConfig(lr=1e-2), dropout=0.2)
    result = train(run, root / "runs", wandb="disabled")
    return run, RunDirectory(root / "runs", "single", run.id), result


def test_a_run_leaves_a_sample_and_the_losses_of_its_test_text(
    recorded: tuple[Run, RunDirectory, dict[str, Any]], small_text: str
) -> None:
    run, directory, result = recorded
    before, mark, after = directory.path(SAMPLE).read_text(encoding="utf-8").partition(SAMPLE_MARK)
    assert mark == SAMPLE_MARK
    assert (len(before), len(after)) == (PROMPT, LENGTH + 1)
    assert before == small_text[:PROMPT]

    trained = load(directory.folder)
    assert trained.vocabulary is not None
    assert trained.prompt == before
    assert isinstance(trained.model, SequenceModel)
    again = write(trained.model, trained.vocabulary, before, LENGTH, TEMPERATURE, seed=run.seed)
    assert "".join(again) + "\n" == after

    with np.load(directory.path(CURVES)) as curves:
        blocks, sizes = curves["test/nll_blocks"], curves["test/nll_block_sizes"]
        positions, counts = curves["test/nll_by_position"], curves["test/nll_position_sizes"]
    assert len(positions) == 16
    metrics = result["metrics"]
    assert (blocks * sizes).sum() / sizes.sum() == pytest.approx(metrics["test/nll"], rel=1e-12)
    assert (positions * counts).sum() / counts.sum() == pytest.approx(metrics["test/nll_stateless"], rel=1e-12)
    assert positions[0] > positions[8:].mean()  # with nothing read yet it can only guess


def test_checksums_include_the_sample(recorded: tuple[Run, RunDirectory, dict[str, Any]], tmp_path: Path) -> None:
    root = tmp_path / "runs"
    folder = root / "single" / recorded[0].id
    shutil.copytree(recorded[1].folder, folder)

    def problems() -> list[Problem]:
        return [problem for run in scan([root]) for problem in verify(run)]

    assert not any(problem.fault for problem in problems())
    text = (folder / SAMPLE).read_text(encoding="utf-8")
    (folder / SAMPLE).write_text(text.replace("e", "E", 1), encoding="utf-8")
    assert [problem.kind for problem in problems() if SAMPLE in problem.what] == ["edited"]
    (folder / SAMPLE).unlink()
    assert [problem.kind for problem in problems() if SAMPLE in problem.what] == ["missing"]


def test_nothing_random_is_touched(small_text: str, tmp_path: Path) -> None:
    source = TextData(small_text, DataConfig(path="x", seq_len=16, batch_size=4))
    model = build(source.task, CellConfig("lstm"), ModelConfig(hidden_size=8, dropout=0.5)).train()
    torch.manual_seed(5)
    before, weights = torch.get_rng_state(), {k: v.clone() for k, v in model.state_dict().items()}
    write_sample(model, source, 3, tmp_path)
    first = (tmp_path / SAMPLE).read_bytes()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    write_sample(model, source, 3, tmp_path)
    assert (tmp_path / SAMPLE).read_bytes() == first
    write_sample(model, source, 4, tmp_path)
    assert (tmp_path / SAMPLE).read_bytes() != first


def test_bytes_make_valid_text(tmp_path: Path) -> None:
    """An untrained model writes no UTF-8 at all."""
    text = "„Grüße“, sagte der Bär — schön … äöüß\n" * 700
    source = TextData(text.encode(), DataConfig(path="x", seq_len=16, batch_size=4, symbols="bytes"))
    model = build(source.task, CellConfig("gru"), ModelConfig(hidden_size=8))
    write_sample(model, source, 0, tmp_path)
    before, _, after = (tmp_path / SAMPLE).read_bytes().decode("utf-8").partition(SAMPLE_MARK)
    assert before == text[:PROMPT]
    assert "\ufffd" in after


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        ("word " * 8_000, "word " * 8),
        ("\n \r\n  a\n" * 8_000, "a\n"),  # blank lines at the very beginning say nothing
        ("\n" * 40_000, "\n" * PROMPT),  # unless there is nothing else
        ("\ufffdxy" * 10_000, "xy" * 20),  # the symbol of what is unknown is none to begin with
        ("☃" * 10_000, "☃" * PROMPT),
        ((b"\xff\xc3" * 9 + b"a") * 4_000, "a" * PROMPT),  # bytes that are no UTF-8
        (b"\xff" * 40_000, "\xff"),
    ],
)
def test_a_prompt_is_the_training_parts_beginning(text: str | bytes, begins: str) -> None:
    """Whatever its alphabet, so that the model knows all of it."""
    source = TextData(text, DataConfig(path="x", seq_len=16, batch_size=4))
    assert source.prompt is not None
    assert source.prompt.startswith(begins)
    assert len(source.prompt) <= PROMPT
    assert source.vocabulary.unknown(source.prompt) == []


def test_the_mark_is_no_part_of_a_prompt(tmp_path: Path) -> None:
    source = TextData(f"x{SAMPLE_MARK}y z" * 8_000, DataConfig(path="x", seq_len=16, batch_size=4))
    write_sample(build(source.task, CellConfig("gru"), ModelConfig(hidden_size=8)), source, 0, tmp_path)
    assert (tmp_path / SAMPLE).read_text(encoding="utf-8").startswith("xy zxy z")


def test_a_state_that_leaves_the_finite_numbers_costs_no_run(small_text: str, tmp_path: Path) -> None:
    source = TextData(small_text, DataConfig(path="x", seq_len=16, batch_size=4))
    model = build(source.task, CellConfig("gru"), ModelConfig(hidden_size=8))
    with torch.no_grad():
        model.readout.bias.fill_(math.nan)
    write_sample(model, source, 0, tmp_path)
    assert (tmp_path / SAMPLE).read_text(encoding="utf-8") == f"{source.prompt}{SAMPLE_MARK}\n"

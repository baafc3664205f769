"""Laws of generated text."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from rnnbench.cli import main
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.data.text.vocabulary import UNKNOWN, Vocabulary
from rnnbench.errors import UserError
from rnnbench.generate import load, write
from rnnbench.models import SequenceModel
from rnnbench.train import train

CELLS = ("rnn", "lstm", "gru")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> dict[str, Path]:
    """A trained run of each cell."""
    place = tmp_path_factory.mktemp("generate")
    (place / "text.txt").write_text(small_text)
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RNNBENCH_DATA", str(place / "cache"))
        for cell in CELLS:
            run = Run(
                cell=CellConfig(cell),
                model=ModelConfig(hidden_size=16),
                data=DataConfig(path=str(place / "text.txt"), seq_len=16, batch_size=16),
                optim=OptimConfig(lr=0.01),
                budget=BudgetConfig(steps=80, evals=1),
                probes=ProbeConfig(gradient_flow=False),
            )
            train(run, place, wandb="disabled")
            found[cell] = place / "single" / run.id
    return found


def text(folder: Path, prompt: str = "the cell ", length: int = 60, **options: float | int | None) -> str:
    return "".join(write(*load(folder), prompt, length, **options))  # type: ignore[arg-type]


def greedy(model: SequenceModel, vocabulary: Vocabulary, prompt: str, length: int) -> str:
    """The likeliest known symbol each time, the model run anew over the whole prefix."""
    ids = vocabulary.encode(prompt).tolist()
    for _ in range(length):
        with torch.no_grad():
            out, _ = model(torch.tensor([ids]))
        ids.append(1 + int(out[0, -1, 1:].argmax()))
    return vocabulary.decode(ids[len(prompt) :])


@pytest.mark.parametrize("cell", CELLS)
def test_temperature_zero_is_greedy(folders: dict[str, Path], cell: str) -> None:
    wanted = greedy(*load(folders[cell]), "the cell ", 60)
    assert text(folders[cell], temperature=0) == wanted
    assert text(folders[cell], temperature=0, seed=5) == wanted
    assert text(folders[cell], temperature=2.0, top_k=1, seed=6) == wanted
    assert text(folders[cell], temperature=1e-4, seed=7) == wanted


def test_same_seed_same_text(folders: dict[str, Path]) -> None:
    """Whatever the global generator does; and another seed gives another text."""
    model = load(folders["lstm"])
    torch.manual_seed(1)
    first = list(write(*model, "the cell ", 60, 1.0, seed=3))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert list(write(*model, "the cell ", 60, 1.0, seed=3)) == first
    assert torch.equal(torch.get_rng_state(), before), "writing text disturbs the global generator"
    assert list(write(*model, "the cell ", 60, 1.0, seed=4)) != first
    assert len(first) == 60


def test_a_longer_text_goes_on_from_the_shorter(folders: dict[str, Path]) -> None:
    assert text(folders["gru"], length=50, seed=1).startswith(text(folders["gru"], length=20, seed=1))


def test_the_symbols_are_drawn_from_the_softmax(folders: dict[str, Path]) -> None:
    """First symbols over many seeds against softmax(logits / temperature) over the top k: χ² within its 99.9 %."""
    from scipy.stats import chi2

    model, vocabulary = load(folders["lstm"])
    k, temperature, draws = 4, 1.5, 600
    with torch.no_grad():
        out, _ = model(vocabulary.encode("the cell ")[None])
    values, indices = out[0, -1, 1:].double().topk(k)
    wanted = (values / temperature).softmax(0)
    counts = dict.fromkeys((vocabulary.symbols[1 + int(i)] for i in indices), 0)
    for seed in range(draws):
        (symbol,) = write(model, vocabulary, "the cell ", 1, temperature, k, seed)
        counts[symbol] += 1  # a KeyError would be a symbol beyond the top k
    expected = [draws * float(share) for share in wanted]
    statistic = sum((n - e) ** 2 / e for n, e in zip(counts.values(), expected, strict=True))
    assert statistic < chi2.ppf(0.999, k - 1)


def test_the_unknown_symbol_is_never_written(folders: dict[str, Path]) -> None:
    """Even where the model is sure of it."""
    model, vocabulary = load(folders["gru"])
    with torch.no_grad():
        model.readout.bias[0] = 100.0
    for options in ({"temperature": 0.0}, {"temperature": 3.0}, {"temperature": 1.0, "top_k": 2}):
        written = "".join(write(model, vocabulary, "the", 200, **options))  # type: ignore[arg-type]
        assert len(written) == 200
        assert UNKNOWN not in written
        assert set(written) <= set(vocabulary.symbols)


def test_more_than_there_is(folders: dict[str, Path]) -> None:
    """top_k beyond the vocabulary is no restriction."""
    assert text(folders["rnn"], top_k=10_000, seed=1) == text(folders["rnn"], seed=1)


def test_a_prompt_of_unknown_characters(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", str(folders["lstm"]), "--prompt", "the Ω☃ ", "--length", "15"]) == 0
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "has never seen" in said.err
    assert "'Ω'" in said.err
    assert "'☃'" in said.err
    assert "'t'" not in said.err
    assert said.out.startswith("the Ω☃ ")
    assert len(said.out) == len("the Ω☃ ") + 15 + 1

    assert main(["generate", str(folders["lstm"]), "--prompt", "the ", "--length", "15"]) == 0
    assert capsys.readouterr().err == ""


def test_the_command_writes_what_the_function_does(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--prompt", "what ", "--length", "30", "--temperature", "0.7", "--top_k", "5", "--seed", "9"]
    assert main(["generate", str(folders["gru"]), *words]) == 0
    written = capsys.readouterr().out
    assert written == "what " + text(folders["gru"], "what ", 30, temperature=0.7, top_k=5, seed=9) + "\n"


def test_a_trained_model_writes_better_than_chance(folders: dict[str, Path], small_text: str) -> None:
    """Trigrams of what the LSTM writes are those of its text more often than drawn ones would be."""
    known = {small_text[i : i + 3] for i in range(len(small_text) - 2)}
    written = text(folders["lstm"], length=300, temperature=0.5)
    share = sum(written[i : i + 3] in known for i in range(298)) / 298
    symbols = len(set(small_text))
    assert share > 10 * len(known) / symbols**3


def test_a_series_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    (tmp_path / "wave.csv").write_text("y\n" + "\n".join(f"{math.sin(0.3 * i):.5f}" for i in range(400)))
    run = Run(
        model=ModelConfig(hidden_size=4),
        data=DataConfig(path=str(tmp_path / "wave.csv"), seq_len=8, batch_size=4),
        budget=BudgetConfig(steps=0),
        probes=ProbeConfig(gradient_flow=False),
    )
    train(run, tmp_path, wandb="disabled")
    with pytest.raises(UserError, match="is not a character model"):
        load(tmp_path / "single" / run.id)

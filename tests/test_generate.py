"""Text that trained models write, and `rnnbench generate`."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest
import torch

from rnnbench.cli.main import main
from rnnbench.config import BudgetConfig, CellConfig, DataConfig, ModelConfig, OptimConfig, ProbeConfig, Run
from rnnbench.data.text.vocabulary import UNKNOWN, Vocabulary
from rnnbench.errors import UserError
from rnnbench.models import SequenceModel
from rnnbench.report.figures.attention_map import attention_figure
from rnnbench.report.results import read
from rnnbench.training import train
from rnnbench.training.generate import load, write

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


def character_model(folder: Path) -> tuple[SequenceModel, Vocabulary]:
    model, _, vocabulary, targets, _ = load(folder)
    assert isinstance(model, SequenceModel)
    assert vocabulary is not None
    assert targets is None
    return model, vocabulary


def text(folder: Path, prompt: str = "the cell ", length: int = 60, **options: float | int | None) -> str:
    return "".join(write(*character_model(folder), prompt, length, **options))  # type: ignore[arg-type]


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
    """And so is the smallest number there is; at the largest every symbol is as likely."""
    expected = greedy(*character_model(folders[cell]), "the cell ", 60)
    for temperature in (0, 5e-324, 1e-300, 1e-5):
        assert text(folders[cell], temperature=temperature, seed=5) == expected
    assert text(folders[cell], temperature=2.0, top_k=1, seed=6) == expected
    assert len(set(text(folders[cell], length=300, temperature=1e308))) > 20


def test_same_seed_same_text(folders: dict[str, Path]) -> None:
    """Whatever the global generator does, and of any length; another seed gives another text."""
    model = character_model(folders["lstm"])
    torch.manual_seed(1)
    first = list(write(*model, "the cell ", 60, 1.0, seed=3))
    torch.manual_seed(2)
    before = torch.get_rng_state()
    assert list(write(*model, "the cell ", 60, 1.0, seed=3)) == first
    assert torch.equal(torch.get_rng_state(), before), "writing text disturbs the global generator"
    assert list(write(*model, "the cell ", 60, 1.0, seed=4)) != first
    assert len(first) == 60
    assert list(write(*model, "the cell ", 20, 1.0, seed=3)) == first[:20]
    assert list(write(*model, "the cell ", 60, 1.0, top_k=10_000, seed=3)) == first, "beyond the vocabulary"


def test_the_symbols_are_drawn_from_the_softmax(folders: dict[str, Path]) -> None:
    """First symbols over many seeds against softmax(logits / temperature) over the top k: χ² within its 99.9 %."""
    from scipy.stats import chi2

    model, vocabulary = character_model(folders["lstm"])
    k, temperature, draws = 4, 1.5, 400
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
    model, vocabulary = character_model(folders["gru"])
    with torch.no_grad():
        model.readout.bias[0] = 100.0
    for options in ({"temperature": 0.0}, {"temperature": 3.0}, {"temperature": 1.0, "top_k": 2}):
        written = "".join(write(model, vocabulary, "the", 200, **options))  # type: ignore[arg-type]
        assert len(written) == 200
        assert UNKNOWN not in written
        assert set(written) <= set(vocabulary.symbols)


def test_without_a_prompt_a_text_begins_as_the_training_text_does(
    folders: dict[str, Path], small_text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so; where the weights' file does not know how, with a symbol of the model's."""
    folder = folders["gru"]
    assert main(["generate", str(folder), "--length", "9"]) == 0
    said = capsys.readouterr()
    assert said.out == small_text[:40] + text(folder, small_text[:40], 9) + "\n"
    assert "the beginning of its training text" in said.err
    assert repr(small_text[:40]) in said.err

    older = tmp_path / "single" / folder.name
    shutil.copytree(folder, older)
    saved = torch.load(older / "model.pt", weights_only=True)
    del saved["prompt"]
    torch.save(saved, older / "model.pt")
    assert main(["generate", str(older), "--length", "9", "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out) == {"prompt": " ", "text": text(folder, " ", 9)}
    assert "continues ' ', as its training text's beginning is unknown" in said.err


def test_what_diverged_writes_nothing(
    folders: dict[str, Path], decoders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Weights that are no numbers; and finite ones that are too large to give any."""
    for folder in (folders["rnn"], decoders["reversal"]):
        for value, reason in ((math.nan, "its weights are not finite"), (3e38, "the model diverged")):
            copied = tmp_path / str(value) / folder.name
            shutil.copytree(folder, copied)
            saved = torch.load(copied / "model.pt", weights_only=True)
            saved["model"] = {name: torch.full_like(weight, value) for name, weight in saved["model"].items()}
            torch.save(saved, copied / "model.pt")
            assert main(["generate", str(copied), "--prompt", "the"]) == 2
            error = capsys.readouterr().err
            assert error.count("\n") == 1
            assert reason in error


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

    assert main(["generate", str(folders["lstm"]), "--prompt", "".join(map(chr, range(0x4E00, 0x4F00)))]) == 0
    assert "'一' '丁'" in (error := capsys.readouterr().err)
    assert "and 236 more; read as unknown" in error


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


def test_bytes_are_written_as_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt of several bytes a character; what is written is the bytes' text, and what is none comes out as �."""
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    (tmp_path / "text.txt").write_text("ä" * 1800, encoding="utf-8")
    run = Run(
        cell=CellConfig("gru"),
        model=ModelConfig(hidden_size=16),
        data=DataConfig(path=str(tmp_path / "text.txt"), symbols="bytes", seq_len=16, batch_size=8),
        optim=OptimConfig(lr=0.02),
        budget=BudgetConfig(steps=40, evals=1),
        probes=ProbeConfig(gradient_flow=False),
    )
    train(run, tmp_path, wandb="disabled")
    folder = tmp_path / "single" / run.id
    assert text(folder, "ä", 12, temperature=0) == "ä" * 6
    model, vocabulary = character_model(folder)
    with torch.no_grad():
        model.readout.bias[0xFF] = 1000.0  # no byte of UTF-8
    assert "".join(write(model, vocabulary, "ä", 5, temperature=0)) == UNKNOWN * 5
    with torch.no_grad():
        model.readout.bias[0xFF], model.readout.bias[0] = 0.0, 1000.0  # byte 0 is a symbol like others
    assert "".join(write(model, vocabulary, "ä", 5, temperature=0)) == "\0" * 5


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A trained decoder that reads text, and one that reads pictures."""
    place = tmp_path_factory.mktemp("decoders")
    found = {}
    for name, steps in (("reversal", 150), ("digit_name", 60)):
        run = Run(
            cell=CellConfig("gru"),
            model=ModelConfig(hidden_size=32, attention="dot"),
            data=DataConfig(name=name, seq_len=3 if name == "reversal" else None, batch_size=32),  # type: ignore[arg-type]
            optim=OptimConfig(lr=0.01),
            budget=BudgetConfig(steps=steps, evals=1),
            probes=ProbeConfig(gradient_flow=False),
        )
        train(run, place, wandb="disabled")
        found[name] = place / "single" / run.id
    return found


def test_what_a_decoder_writes_is_recorded(decoders: dict[str, Path]) -> None:
    """The share not exactly right, and examples with the attention of two of them, a row a symbol written."""
    for folder in decoders.values():
        samples = json.loads((folder / "samples.json").read_text())
        error = json.loads((folder / "result.json").read_text())["metrics"]["test/sequence_error"]
        assert 0 <= error < 0.9
        assert len(samples) == 8
        assert any(one["decoded"] == one["target"] for one in samples)
        assert all(one["score"] < 0 for one in samples)
    samples = json.loads((decoders["reversal"] / "samples.json").read_text())
    attended = [one for one in samples if "attention" in one]
    assert attended in ([samples[3]], [samples[2], samples[3]])
    for one in attended:
        assert {len(row) for row in one["attention"]} == {len(one["source"])}
        assert len(one["attention"]) >= len(one["decoded"])
        assert all(sum(row) == pytest.approx(1, abs=0.01) for row in one["attention"])


def test_a_decoder_on_the_command_line(
    decoders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, picture = str(decoders["reversal"]), tmp_path / "map.svg"
    assert main(["generate", run, "--prompt", "ab", "--beam", "3", "--attention", str(picture), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["source"] == "ab"
    assert len(told["attention"][0]) == 2
    assert picture.read_bytes().startswith(b"<?xml")
    assert main(["generate", run, "--prompt", "ab"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "source   ab"
    assert main(["generate", run, "--prompt", "a☃"]) == 0
    assert "has never seen '☃'" in capsys.readouterr().err
    assert main(["generate", run, "--sample", "199", "--json"]) == 0
    sample = json.loads(capsys.readouterr().out)
    assert sample["target"] == sample["source"][::-1]
    assert main(["generate", str(decoders["digit_name"])]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in shown if line[:1] != " "] == ["source", "target", "decoded"]
    assert any("@" in line for line in shown), "a picture is drawn"


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("reversal", ["--temperature", "0.5"], "--temperature is nothing"),
        ("reversal", ["--sample", "200"], "0 … 199"),
        ("reversal", ["--sample", "1", "--prompt", "a"], "leave one of them out"),
        ("reversal", ["--beam", "0"], "--beam must be in 1"),
        ("reversal", ["--prompt", "ab", "--attention", "map.jpg"], "must end in .png or .svg"),
        ("digit_name", ["--prompt", "a"], "reads no text"),
        ("digit_name", ["--attention", "map.svg"], "no attention over its source"),
        ("lstm", ["--beam", "2"], "--beam is nothing"),
    ],
)
def test_what_does_not_go_together(
    decoders: dict[str, Path], folders: dict[str, Path], capsys: pytest.CaptureFixture[str],
    name: str, words: list[str], said: str,
) -> None:  # fmt: skip
    assert main(["generate", str((decoders | folders)[name]), *words]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert said in error


def test_the_figure_of_a_study(decoders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One picture for the decoder that attends, none for the other; a damaged file is told of and passed over."""
    results = read([decoders["reversal"].parent])
    (one,) = attention_figure(results, tmp_path, {"svg"})
    assert one.name == "attention-reversal-gru-T3.svg"
    assert one.stat().st_size > 1000
    assert attention_figure([*results, *results], tmp_path, {"svg"}) == [one]
    for damaged in ("{", "[1]", "7"):
        path = tmp_path / "run" / "samples.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(damaged)
        broken = dataclasses.replace(next(r for r in results if r.data == "reversal"), folder=path.parent)
        assert attention_figure([broken], tmp_path, {"svg"}) == []
        assert "skipped" in capsys.readouterr().err


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
    with pytest.raises(UserError, match="neither a character model nor a decoder"):
        load(tmp_path / "single" / run.id)

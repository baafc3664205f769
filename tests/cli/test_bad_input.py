"""Whatever one types: one line that says what is wrong, status 2, and nothing left behind."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from support.refusals import refused_line

from rnnbench.cli.main import main
from rnnbench.config import BudgetConfig, DataConfig, ModelConfig, ProbeConfig, Run
from rnnbench.system.machine import has_cuda
from rnnbench.training import train

#: argv, and a part of the line that names the mistake.
WORDS: list[tuple[str, str]] = [
    ("trian", 'unknown verb "trian". Did you mean "train"?'),
    ("--jobs 3", 'unknown verb "--jobs"'),
    ("train --cell lsmt", 'unknown cell "lsmt". Did you mean "lstm"?'),
    ("train --cell.forgetbias 1", 'unknown option of the cell lstm "forgetbias". Did you mean "forget_bias"?'),
    ("train --cell.forget_bias much", "cell.forget_bias must be float, got 'much'"),
    ("train --cell.forget_bias {", "--cell.forget_bias must be a plain value, got '{'"),
    ("train --cell.forget_bias [1]", "cell.forget_bias must be float, got [1]"),
    ("train --cell {lstm", "cell must be a name or a mapping with a name, got '{lstm'"),
    ("train --cell rnn --cell.nonlinearity sin", "cell.nonlinearity must be one of tanh, relu, got 'sin'"),
    ("train --cell", "argument --cell: expected one argument"),
    ("train --data.name kjw", 'unknown data set "kjw". Did you mean "kjv"?'),
    ("train --data.nmae kjv", 'unknown option "--data.nmae". Did you mean "--data.name"?'),
    ("train --hidden_size 3", 'unknown option "--hidden_size". Did you mean "--model.hidden_size"?'),
    ("train kjv", 'unknown option "kjv"'),
    ("train --model.hidden_size big", "model.hidden_size must be int, got 'big'"),
    ("train --model.parameters many", "model.parameters must be int, got 'many'"),
    ("train --model.parameters 100000 --model.hidden_size 64", "decides the width, so model.hidden_size 64 cannot"),
    ("train --model.norm group", "model.norm must be one of none, layer, rms, got 'group'"),
    ("train --cell mingru --model.init orthogonal", "the cell MinGRU has no square recurrent matrix"),
    ("train --cell gla --model.hidden_size 130", "hidden_size 130 cannot be shared by 4 heads"),
    ("train --model.bidirectional true", "would read what this task asks to predict"),
    ("train --cell torchrecurrent:MGX", 'unknown cell "torchrecurrent:MGX". Did you mean "torchrecurrent:MGU"?'),
    ("check-cell lsmt", 'unknown cell "lsmt". Did you mean "lstm"?'),
    ("train --data.seq_len 0", "data.seq_len must be positive, got 0"),
    ("train --optim.lr nan", "optim.lr must be float, got 'nan'"),
    ("train --threads 0", "--threads must be at least 1, got 0"),
    (f"train --threads {10**5}", "--threads must be at most"),
    (f"train --threads {10**20}", "--threads must be at most"),
    (f"train --devices {10**5} --data.batch_size {10**5} --data.path good.txt", "devices must be at most"),
    ("train --model.backend cudnn --data.path good.txt", 'unknown backend "cudnn"'),
    ("train --data.path missing.txt", "'missing.txt' does not exist"),
    ("train --data.path empty.txt", "'empty.txt' is empty"),
    ("train --data.path short.txt", "'short' has 40 characters"),
    ("train --data.path latin1.txt --data.encoding utf-8", "is not utf-8 as data.encoding says: byte 0xe9 at offset 3"),
    ("train --data.path latin1.txt --data.encoding latin77", "data.encoding 'latin77' is not known"),
    ("train --data.path latin1.txt --data.val_path missing.txt", "data.val_path 'missing.txt' does not exist"),
    ("train --data.path picture.txt", "'picture.txt' is a picture (PNG), not text; name a text"),
    ("train --data.path folder", "'folder' is a folder without text in it"),
    ("train --data.path good.txt --data.name kjv", 'data.path goes with data.name "text" or "csv", not "kjv"'),
    ("train --data.path good.txt --data.column y", "data.column 'y' is nothing to 'text'"),
    (
        "train --data.path words.csv --data.column y",
        "'words.csv', line 3, column 'y': expected a number such as 1234.5, got 'x'",
    ),
    ("train --data.path nan.csv --data.column y", "'nan.csv', line 2, column 'y': the value is missing"),
    ("train --data.path words.csv --data.column z", "data.column 'z' is not in 'words.csv'; its columns: 'y'"),
    ("train --data.path short.csv", "has no gap-free window"),
    ("train --config missing.yaml", "cannot read the config missing.yaml"),
    ("train --config folder", "cannot read the config folder"),
    ("train --config latin1.txt", "cannot read the config latin1.txt"),
    ("train --config broken.yaml", "the config broken.yaml is not YAML (line 2)"),
    ("train --config list.yaml", "Run must be a mapping"),
    ("train --config unknown.yaml", 'unknown key "model.hiden_size". Did you mean "model.hidden_size"?'),
    ("train --config", "--config"),
    ("train --data.path good.txt --out good.txt", "good.txt is a file, not a folder"),
    ("train --data.path good.txt --out good.txt/below", "cannot write to good.txt/below: Not a directory"),
    ("train --wandb maybe", "--wandb"),
    ("sweep", "required: STUDY"),
    ("sweep seqlen_perplexit", 'unknown study "seqlen_perplexit". Did you mean "seqlen_perplexity"?'),
    ("sweep missing.py", "missing.py does not exist"),
    ("sweep nothing.py", "nothing.py does not define STUDY"),
    ("sweep raises.py", "raises.py failed to load: ZeroDivisionError"),
    ("sweep syntax.py", "syntax.py failed to load: SyntaxError"),
    ("sweep seqlen_perplexity --preset quik", 'unknown preset of seqlen_perplexity "quik". Did you mean "quick"?'),
    ("sweep seqlen_perplexity --jobs 0", "--jobs must be auto or a positive number, got 0"),
    (f"sweep seqlen_perplexity --jobs {10**5}", "--jobs must be at most"),
    (f"sweep seqlen_perplexity --tune_seeds {10**12} --dry_run", "the number of tuning seeds must be at most 1000"),
    ("sweep seqlen_perplexity --timeout nan", "--timeout must be a positive number of seconds, got nan"),
    ("sweep seqlen_perplexity --jobs ²", "--jobs must be auto or a positive number, got ²"),
    ("sweep seqlen_perplexity --job 2", 'unknown option "--job". Did you mean "--jobs"?'),
    ("sweep seqlen_perplexity --launcher cloud", "invalid choice: 'cloud'"),
    ("sweep seqlen_perplexity --out good.txt", "good.txt is a file, not a folder"),
    ("report", "required: runs"),
    ("report empty", "empty"),
    ("report missing", "missing"),
    ("report empty --format md,doc", 'unknown format "doc"'),
    ("generate", "required: run"),
    ("generate folder", "is not the folder of a finished training run"),
    ("generate missing", "is not the folder of a finished training run"),
    ("generate folder --length 0", "--length must be positive, got 0"),
    ("generate folder --temperature -1", "--temperature must be a number, 0 or more, got -1.0"),
    ("generate folder --temperature nan", "--temperature must be a number, 0 or more, got nan"),
    ("generate folder --top_k 0", "--top_k must be positive, got 0"),
    ("generate folder --temperature 1e400", "--temperature must be a number, 0 or more, got inf"),
    (f"generate folder --seed {2**31}", "--seed must be in 0"),
    (f"generate folder --beam {10**20}", "--beam must be in 1 … 64"),
    *(
        (f"gradients --{name} {10**size}", f"--{name} must be {'a number of ' * (size > 18)}at most")
        for name, size in (("seq_len", 10), ("hidden_size", 10), ("seeds", 23))
    ),
    *(
        (f"throughput --{name} {10**10}", f"{name} must be at most")
        for name in ("seq_len", "batch_size", "hidden_size", "input_size", "num_layers")
    ),
    (f"check-cell lstm --input_size {10**10}", "--input_size must be at most"),
    ("generate folder --length many", "invalid int value: 'many'"),
    ("cells --jsn", 'unknown option "--jsn". Did you mean "--json"?'),
    ("cells lstm", 'unknown option "lstm"'),
    ("data", "required"),
    ("data show", "invalid choice: 'show'"),
    ("data info text", 'data.name "text" needs data.path'),
    ("data info --path missing.txt", "'missing.txt' does not exist"),
    ("doctor --everything", 'unknown option "--everything"'),
    ("gradients --cell rnn,,gru", "expected names separated by commas, got 'rnn,,gru'"),
    (
        "gradients --cell lstm(forget_bias",
        "expected a cell such as gru or \"lstm(forget_bias=3)\", got 'lstm(forget_bias'",
    ),
    (
        "gradients --cell lstm(forgetbias=3)",
        'unknown option of the cell lstm "forgetbias". Did you mean "forget_bias"?',
    ),
    ("gradients --cell gla --hidden_size 130", "hidden_size 130 cannot be shared by 4 heads"),
    ("gradients --seq_len 1", "--seq_len must be at least 2, got 1"),
    ("gradients --hidden_size -4", "--hidden_size must be positive, got -4"),
    ("gradients --init crono", 'unknown init "crono". Did you mean "chrono"?'),
    ("gradients --data kjw", 'unknown data set "kjw". Did you mean "kjv"?'),
    ("gradients --data adding --loss average --cell gru", "this task has one"),
    ("gradients --out g.pdf", "--out must end in .svg or .png, got 'g.pdf'"),
    ("gradients --cell rnn --seeds 1 --seq_len 4 --out good.txt/g.svg", "cannot write to good.txt"),
    ("gradients --run missing --cell rnn", "--run says all of the model, so --cell cannot; leave one of them out"),
    ("data fetch ETTh3.csv", 'unknown data set or file "ETTh3.csv". Did you mean "ETTh'),
    ("data fetch glucose", 'data set "glucose" has nothing to download: pip package bokeh-sampledata.'),
    ("data info glucos", 'unknown data set "glucos". Did you mean "glucose"?'),
    ("data info adding --seq_len x", "data.seq_len must be int, got 'x'."),
    ("data info adding --data.seq_len 1.5", "data.seq_len must be int, got 1.5."),
    ("data info adding --permuted maybe", "data.permuted must be bool, got 'maybe'."),
    ("data info adding --symbols words", "data.symbols must be one of characters, bytes, got 'words'."),
    ("data info adding --column 3", "data.column '3' is nothing to 'adding'"),
    ("data info adding --horizn 3", 'unknown option "--horizn".'),
    ("throughput --samples 1 --backend tourch", 'unknown backend "tourch". Did you mean "torch"?'),
    ("throughput --samples 1 --seq_len 1k", "--seq_len must be a positive number, or several by comma, got '1k'."),
    ("throughput --samples 1 --seq_len 0", "seq_len must be positive, got 0."),
    ("throughput --samples 1 --dtype int8", "dtype must be one of float32, tf32, bfloat16, float64, got 'int8'"),
    (
        "throughput --samples 1 --device cpu --dtype tf32",
        "tf32 is a way in which GPUs multiply; take float32 on a CPU.",
    ),
    ("throughput --samples 1 --decode --bidirectional", "cannot decode symbol after symbol."),
    ("sweep seqlen_perplexity --tune_lr 1e-3,fast", "--tune_lr must be numbers with commas"),
    ("sweep seqlen_perplexity --tune_lr 1e-3", "a grid of learning rates must be two or more positive numbers"),
    ("sweep seqlen_perplexity --count 3", "--count is for W&B sweep files"),
    ("sweep seqlen_perplexity --timeout 0", "--timeout must be a positive number of seconds"),
    ("sweep seqlen_perplexity --retry failed,lost", 'unknown status "lost"'),
    ("sweep seqlen_perplexity --slurm time=3", "--slurm goes with --launcher slurm"),
]


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_text: str) -> Path:
    """A folder with all kinds of wrong files, and one good text."""
    place = tmp_path / "place"
    for folder in (place, place / "folder", place / "empty"):
        folder.mkdir()
    contents: dict[str, str | bytes] = {
        "good.txt": small_text,
        "empty.txt": "",
        "short.txt": "x" * 40,
        "latin1.txt": "caf\u00e9 au lait".encode("latin-1") * 99,
        "picture.txt": b"\x89PNG\r\n\x1a\n\0",
        "words.csv": "y\n" + "1\nx\n" * 99,
        "nan.csv": "y\nnan\n" + "1.5\n2\n" * 99,
        "short.csv": "y\n" + "1.5\n2\n" * 9,
        "broken.yaml": "model:\n  - [",
        "list.yaml": "- 1\n- 2\n",
        "unknown.yaml": "model: {hiden_size: 3}\n",
        "nothing.py": "STUDY = 3\n",
        "raises.py": "1 / 0\n",
        "syntax.py": "def :\n",
    }
    for name, content in contents.items():
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(place)
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    return place


@pytest.mark.parametrize(("words", "wanted"), WORDS, ids=[words for words, _ in WORDS])
def test_bad_input_is_one_line(words: str, wanted: str, workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(workplace.rglob("*"))
    assert wanted in refused_line(capsys, *words.split())
    runs = workplace / "runs"
    made = [path for path in workplace.rglob("*") if path not in before and path != runs]
    assert made == [], "a refused command left something behind"


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("alloc_cpu.cpp: can't allocate memory: 8 bytes")])
def test_too_little_memory_is_one_line_in_every_verb(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def raises(names: object) -> None:
        raise error

    monkeypatch.setattr("rnnbench.cli.cells.listing", raises)
    assert "not enough memory" in refused_line(capsys, "cells")
    monkeypatch.setattr("rnnbench.cli.cells.listing", lambda names: 1 / 0)
    with pytest.raises(ZeroDivisionError):  # a mistake of ours is no lack of memory
        main(["cells"])


@pytest.mark.skipif(has_cuda(), reason="there is a GPU here")
def test_no_gpu(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "use --device cpu" in refused_line(capsys, "train", "--device", "cuda", "--data.path", "good.txt")
    assert not list(workplace.rglob("run.yaml"))


def tiny(**parts: object) -> Run:
    wanted: dict[str, object] = {
        "model": ModelConfig(hidden_size=4),
        "data": DataConfig(path="good.txt", seq_len=8, batch_size=4),
        "budget": BudgetConfig(steps=0),
        "probes": ProbeConfig(gradient_flow=False),
    }
    return Run(**{**wanted, **parts})  # type: ignore[arg-type]


class Hostile:
    """A pickle that would make a folder when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, (f"import os; os.mkdir({str(self.target)!r})",))


def test_weights_that_are_not(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model.pt that is not what `train` writes is refused by every verb that reads it, and no code in it runs."""
    run = tiny()
    train(run, Path("runs"), wandb="disabled")
    folder, executed = Path("runs/single") / run.id, workplace / "executed"
    weights, result = folder / "model.pt", json.loads((folder / "result.json").read_text())
    saved, whole = torch.load(weights, weights_only=True), weights.read_bytes()
    contents: list[tuple[object, str]] = [
        (Hostile(executed), "it was not executed"),
        ({**saved, "vocabulary": Hostile(executed)}, "it was not executed"),
        (b"\x80garbage" * 100, "was refused: damaged"),
        (whole[:1000], "was refused: damaged"),
        ([1, 2], "does not hold a model's weights"),
        ({**saved, "model": [1]}, "does not hold a model's weights"),
        ({**saved, "model": {**saved["model"], "readout.bias": torch.zeros(2)}}, "does not fit the model"),
        ({**saved, "task": {"shape": 3}}, "does not say what task its model is for"),
    ]
    for content, wanted in contents:
        torch.save(content, weights)
        if isinstance(content, bytes):
            weights.write_bytes(content)
        for words in (["generate"], ["gradients", "--run"]):
            assert wanted in refused_line(capsys, *words, str(folder))
    torch.save({**saved, "model": {key: value * math.nan for key, value in saved["model"].items()}}, weights)
    assert "are no numbers: it diverged" in refused_line(capsys, "gradients", "--run", str(folder))
    weights.unlink()
    assert "does not exist" in refused_line(capsys, "generate", str(folder))
    for change, wanted in (
        ({"status": "failed", "error": "it broke"}, "failed: it broke; it left no weights"),
        ({"kind": "timing"}, "is not the folder of a finished training run"),
    ):
        (folder / "result.json").write_text(json.dumps(result | change))
        assert wanted in refused_line(capsys, "generate", str(folder))
    assert not executed.exists(), "the pickle was executed"
    torch.save(Hostile(executed), weights)
    torch.load(weights, weights_only=False)
    assert executed.exists(), "the pickle that was refused would have done nothing"


def test_a_series_run_writes_no_text(workplace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workplace / "wave.csv").write_text("y\n" + "\n".join(f"{math.sin(0.3 * i):.5f}" for i in range(400)))
    run = tiny(data=DataConfig(path="wave.csv", seq_len=8, batch_size=4))
    train(run, Path("runs"), wandb="disabled")
    assert "neither a character model nor a decoder" in refused_line(capsys, "generate", f"runs/single/{run.id}")

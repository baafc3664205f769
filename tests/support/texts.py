"""Texts drawn from a few letters, and the user's files and data sets made of them."""

from __future__ import annotations

import random
from pathlib import Path

from rnnbench.config import DataConfig
from rnnbench.data.load import load
from rnnbench.data.text.streams import TextData

MIXED = "Größe — naïve café\nline two ☃ 日本 \U0001f600\n" * 20
FRENCH = (
    "Dès que l'été fut arrivé, la fenêtre resta ouverte; les élèves, fatigués, s'étaient réfugiés à l'ombre.\n"
    "Où êtes-vous allés ? demanda le maître, étonné. Ça et là, près du château, les pêcheurs préparaient.\n"
) * 5
SWEDISH = "Änglarna sjöng så högt över ån att grannarna på ön vaknade. Det är på våren fåglarna återvänder.\n" * 3


def text_of(size: int, seed: int = 0, letters: str = "abcdefgh \né日") -> str:
    return "".join(random.Random(seed).choices(letters, k=size))


def write(folder: Path, files: dict[str, bytes | str]) -> str:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder)


def source_of(folder: Path, text: str = "", **options: object) -> TextData:
    """The user's text, and files of their own for val and test where these are given as texts."""
    for name in ("val", "test"):
        if (content := options.pop(name, None)) is not None:
            options[f"{name}_path"] = write(folder, {f"{name}.txt": str(content)}) + f"/{name}.txt"
    write(folder, {"main.txt": text})
    source = load(DataConfig(path=str(folder / "main.txt"), seq_len=8, batch_size=4, **options))  # type: ignore[arg-type]
    assert isinstance(source, TextData)
    return source

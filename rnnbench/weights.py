"""Tensors to and from disk: written whole or not at all, read without unpickling anything else."""

from __future__ import annotations

import dataclasses
import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rnnbench.data.source import Source
from rnnbench.errors import UserError
from rnnbench.ledger import write_atomic


def save_weights(path: Path, model: nn.Module, source: Source) -> None:
    """A model's state dict, the task that it was made for, the symbols that its indices stand for, and a prompt."""
    vocabularies = {"vocabulary": source.vocabulary, "targets": source.targets}
    symbols = {name: list(one.symbols) if one is not None else None for name, one in vocabularies.items()}
    about = {"task": dataclasses.asdict(source.task), "prompt": source.prompt, **symbols}
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), **about}, buffer)
    write_atomic(path, buffer.getvalue())


def load_tensors(path: Path) -> Any:
    """`torch.load` of tensors and plain values alone; a file with anything else in it is refused, not executed.

    Raises:
        UserError: it is not there, damaged, or holds more.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what torch says of a strange pickle: the refusal below says it better
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist.") from None
    except MemoryError:
        raise
    except Exception:  # whatever the unpickler stumbles over in a file that may hold anything
        raise UserError(
            f"{path} was refused: damaged, or more than tensors; it was not executed; delete it to start anew."
        ) from None

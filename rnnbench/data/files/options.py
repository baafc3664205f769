"""Which option a file is named by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rnnbench.errors import UserError


@contextmanager
def named_by(option: str) -> Iterator[None]:
    """Errors about ``data.path`` are about another option inside, ``data.val_path`` say."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace("data.path", option, 1)) from None

"""Standard output and error as the verbs see them: fit for any encoding, any reader, and any text that is printed."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def visible(text: str) -> str:
    r"""The text with its control characters, all but tab and line feed, as Python writes them: ESC becomes ``\x1b``."""
    return _CONTROLS.sub(lambda control: repr(control[0])[1:-1], text)


class Stream:
    """A text stream that never fails: what it can no longer hand on is dropped, so that the work behind it is finished.

    Args:
        stream: Where the text goes.
        styled: The same for a writer of escape codes, `rnnbench.system.console.Console`: here control characters are
            made `visible`, there they are handed on. None: it is that one itself.

    Attributes:
        failures: What a write that failed said, a `BrokenPipeError` where the reader (``head``, say) has left.
    """

    def __init__(self, stream: TextIO, styled: Stream | None = None) -> None:
        self._stream = stream
        self.styled = styled or self
        self.failures: list[OSError] = [] if styled is None else styled.failures

    def write(self, text: str) -> int:
        with self._dropping():
            self._stream.write(text if self.styled is self else visible(text))
        return len(text)

    def flush(self) -> None:
        with self._dropping():
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failures.append(error)
            with suppress(OSError):  # a stream of Python's alone has no descriptor
                sink = os.open(os.devnull, os.O_WRONLY)
                os.dup2(sink, self._stream.fileno())
                os.close(sink)


@contextmanager
def streams() -> Iterator[Stream]:
    """`sys.stdout` and `sys.stderr` as `Stream`s while it lasts, flushed at its end; yields the former.

    Characters that the encoding lacks are replaced by question marks.
    """
    before = sys.stdout, sys.stderr
    guarded = []
    for stream in before:
        if stream is None:  # the shell closed it: >&-
            stream = open(os.devnull, "w")  # noqa: SIM115
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        guarded.append(Stream(stream, Stream(stream)))
    sys.stdout, sys.stderr = cast("list[TextIO]", guarded)
    try:
        yield guarded[0]
    finally:
        for one in guarded:
            one.flush()
        sys.stdout, sys.stderr = before

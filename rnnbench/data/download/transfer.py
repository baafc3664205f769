"""One transfer over HTTP that cannot hang, takes no more than expected, and resumes where an earlier one was cut."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHUNK, REDIRECTS = 16_384, 5
#: In each so many seconds, the first with the connection in it, so many bytes a second must come on average.
PERIOD, SLOWEST = 30.0, 1000.0


class TransferError(Exception):
    """The address did not give the file; ``retry``: asking again may help."""

    def __init__(self, reason: str, retry: bool = False) -> None:
        super().__init__(reason)
        self.retry = retry


class Transfer(threading.Thread):
    """Brings ``part``, a file with the content's beginning, or no file yet, to ``size`` bytes.

    All that waits for the network is in this thread, left behind when it is too slow: name look-ups and headers that
    drip are under no timeout of a socket's.
    """

    def __init__(self, address: str, part: Path, size: int, show: Callable[[int], None]) -> None:
        super().__init__(daemon=True)
        self.address, self.part, self.size, self.show = address, part, size, show
        self.received, self.stopped = 0, False
        self.error: Exception | None = None

    def complete(self) -> None:
        """Raises `TransferError`, or `OSError` where the part cannot be written; the part keeps what came."""
        self.start()
        try:
            while self.is_alive():
                before = self.received
                self.join(PERIOD)
                came = self.received - before
                if self.is_alive() and came < SLOWEST * PERIOD:
                    raise TransferError(f"it sent {came} bytes in {PERIOD:g} s, which is too slow")
        finally:
            self.stopped = True
        if self.error:
            raise self.error

    def run(self) -> None:
        import requests
        from requests.exceptions import InvalidSchema, InvalidURL, MissingSchema, RequestException, TooManyRedirects
        from urllib3.exceptions import HTTPError

        try:
            with requests.Session() as session:
                session.max_redirects = REDIRECTS
                self._receive(session)
        except TooManyRedirects:
            self.error = TransferError(f"it redirects more than {REDIRECTS} times")
        except (InvalidSchema, InvalidURL, MissingSchema):
            self.error = TransferError("it leads to an address that is not http or https")
        except (RequestException, HTTPError) as error:
            self.error = TransferError(_innermost(error), retry=True)
        except Exception as error:
            self.error = error

    def _receive(self, session: Any) -> None:
        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with session.get(self.address, headers=headers, stream=True, timeout=PERIOD) as answer:
            if not self._resumes(answer, have):
                have = 0
            with self.part.open("ab" if have else "wb", buffering=0) as file:
                while not self.stopped and (data := answer.raw.read(CHUNK)):
                    have += len(data)
                    if have > self.size:
                        self.part.unlink()
                        raise TransferError(f"it sends more than the {self.size:,} bytes expected")
                    file.write(data)
                    self.received += len(data)
                    self.show(have)
                os.fsync(file.fileno())
        if have < self.size:
            raise TransferError(f"the connection ended after {have:,} of {self.size:,} bytes", retry=True)

    def _resumes(self, answer: Any, have: int) -> bool:
        """Whether what comes continues the part; it is the whole content, else."""
        status, length = answer.status_code, answer.headers.get("Content-Length")
        if status == 206 and answer.headers.get("Content-Range") == f"bytes {have}-{self.size - 1}/{self.size}":
            return True
        if status in (206, 416):  # it has less than we have, or sends another piece
            self.part.unlink(missing_ok=True)
            raise TransferError("the server cannot resume where an earlier download ended", retry=True)
        if status != 200:
            again = status in (408, 429) or status >= 500
            raise TransferError(f"the server answers with status {status}", retry=again)
        if "Content-Encoding" not in answer.headers and length not in (None, str(self.size)):
            raise TransferError(f"it offers {length} bytes, expected {self.size}")
        return False


def _innermost(error: BaseException) -> str:
    """The innermost reason: requests and urllib3 wrap each other's errors, a paragraph in all."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

"""One transfer over HTTP that cannot hang, cannot flood, and goes on where an earlier one was cut.

All that waits for the network is in a thread that is left behind when it is too slow: name look-ups and headers that
drip are under no time-out of a socket's.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

CHUNK = 16_384
REDIRECTS = 5


@dataclass(frozen=True)
class RetryPolicy:
    """How long a server is waited for.

    Args:
        period: In each so many seconds, the first with the connection in it, ...
        slowest: ... so many bytes a second must come on average.
        attempts: Connections to one address, the later ones after those before were refused or cut.
        pause: Seconds before the second; twice as long before each further one.
    """

    period: float = 30.0
    slowest: float = 1000.0
    attempts: int = 3
    pause: float = 1.0


class Refused(Exception):
    """The address does not give the file; asking again would not help."""


class Cut(Exception):
    """The connection failed or ended early; asking again may help."""


def transfer(address: str, file: IO[bytes], size: int, patience: RetryPolicy, told: Callable[[int], None]) -> None:
    """Bring ``file``, which holds the content's beginning, or nothing, to ``size`` bytes.

    Args:
        address: http or https; up to 5 redirects are followed, to the same.
        file: Open for appending.
        size: What the whole content has; not a byte more is taken in.
        patience: With a slow server.
        told: Called with the number of bytes there are, at the start and as they come.

    Raises:
        Refused, Cut: see there; ``file`` keeps what came.
        OSError: ``file`` cannot be written.
    """
    have = file.seek(0, os.SEEK_END)
    for item in _steadily(address, have, patience):
        if isinstance(item, _Start):
            have = _beginning(item, file, have, size)
        else:
            have += len(item)
            if have > size:
                file.truncate(0)
                raise Refused(f"it sends more than the {size:,} bytes expected")
            file.write(item)
        told(have)
    if have < size:
        raise Cut(f"the connection ended after {have:,} of {size:,} bytes")


@dataclass(frozen=True)
class _Start:
    """What precedes the content: the status and two headers."""

    status: int
    range: str
    length: str | None


def _beginning(start: _Start, file: IO[bytes], have: int, size: int) -> int:
    """How much of ``file`` stays now that the server has said what it sends."""
    if start.status == 206 and start.range == f"bytes {have}-{size - 1}/{size}":
        return have
    if start.status == 416 or start.status == 206:  # it has less than we have, or sends another piece: start anew
        file.truncate(0)
        raise Cut("the server cannot go on where an earlier download ended")
    if start.status in (408, 429) or start.status >= 500:
        raise Cut(f"the server answers with status {start.status}")
    if start.status != 200:
        raise Refused(f"the server answers with status {start.status}")
    if start.length is not None and start.length != str(size):
        raise Refused(f"it offers {start.length} bytes, expected {size}")
    file.truncate(0)
    return 0


def _steadily(address: str, have: int, patience: RetryPolicy) -> Iterator[_Start | bytes]:
    """What the server sends, while it sends fast enough."""
    items: queue.Queue[_Start | bytes | Exception | None] = queue.Queue(maxsize=64)
    over = threading.Event()
    threading.Thread(target=_receive, args=(address, have, patience, items, over), daemon=True).start()
    end, came = time.monotonic() + patience.period, 0
    try:
        while True:
            if (left := end - time.monotonic()) <= 0:
                if came < patience.slowest * patience.period:
                    raise Refused(f"it sent {came} bytes in {patience.period:g} s, which is too slow")
                end, came = time.monotonic() + patience.period, 0
                continue
            try:
                item = items.get(timeout=left)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
            if isinstance(item, bytes):
                came += len(item)
    finally:
        over.set()


def _receive(address: str, have: int, patience: RetryPolicy, items: queue.Queue[Any], over: threading.Event) -> None:
    """The thread's part: put the start, the content's pieces, and None or what went wrong; stop when it is ``over``."""
    import requests
    from urllib3.exceptions import HTTPError

    def put(item: Any) -> None:
        while not over.is_set():
            try:
                return items.put(item, timeout=1)
            except queue.Full:
                continue

    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        with requests.Session() as session:
            session.max_redirects = REDIRECTS
            with session.get(address, headers=headers, stream=True, timeout=patience.period) as answer:
                length = None if "Content-Encoding" in answer.headers else answer.headers.get("Content-Length")
                put(_Start(answer.status_code, answer.headers.get("Content-Range", ""), length))
                while not over.is_set() and (data := answer.raw.read(CHUNK)):
                    put(data)
        put(None)
    except requests.TooManyRedirects:
        put(Refused(f"it redirects more than {REDIRECTS} times"))
    except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, requests.exceptions.MissingSchema):
        put(Refused("it leads to an address that is not http or https"))
    except (requests.RequestException, HTTPError, OSError) as error:
        put(Cut(_short(error)))
    except Exception as error:  # else the waiting side would only learn that nothing comes
        put(Refused(f"{type(error).__name__}: {error}"))


def _short(error: BaseException) -> str:
    """The innermost reason: requests and urllib3 wrap each other's errors, a paragraph in all."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return getattr(error, "strerror", None) or str(error) or type(error).__name__

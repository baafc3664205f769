"""A server on loopback misbehaves in every way we know of; each ends in a sentence, and the cache is as it was."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from rnnbench.data.download import fetch, is_here, store, transfer
from rnnbench.data.download.files import FILES, Download
from rnnbench.data.download.transfer import CHUNK
from rnnbench.errors import UserError

CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = "file.bin"
#: What is waited for in vain, so not for long; a busy machine gets all the time it needs for the others.
SLOW = ("silent", "drip", "drip_headers")


class Handler(BaseHTTPRequestHandler):
    """Answers each path by the method of that name; notes the Range that was asked for."""

    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers.get("Range")))
        with suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, self.path.strip("/").split(".")[0].split("/")[0])()

    def send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content_Length": str(len(body))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def good(self) -> None:
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            span = f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"
            self.send(206, CONTENT[start:], Content_Range=span)
        else:
            self.send(200, CONTENT)

    def wrong(self) -> None:
        self.send(200, CONTENT[::-1])

    def short(self) -> None:
        self.send(200, CONTENT[:-1])

    def long(self) -> None:
        """More than expected, and no word of how much."""
        self.send_response(200)
        self.end_headers()
        for _ in range(100):
            self.wfile.write(CONTENT)

    def cut(self) -> None:
        """The first time: half of it. Then as `good` does."""
        if len(self.server.asked) > 1:
            return self.good()
        self.send(200, CONTENT[: len(CONTENT) // 2], Content_Length=str(len(CONTENT)))
        return None

    def cut_always(self) -> None:
        self.send(200, CONTENT[:100], Content_Length=str(len(CONTENT)))

    def no_ranges(self) -> None:
        self.send(200, CONTENT)

    def other_range(self) -> None:
        """Answers the whole as a piece, from another place than asked for; the whole, where all is asked for."""
        if self.headers.get("Range"):
            self.send(206, CONTENT, Content_Range=f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
        else:
            self.send(200, CONTENT)

    def drip(self) -> None:
        self.send(200, b"", Content_Length=str(len(CONTENT)))
        for at in range(1000):
            self.wfile.write(CONTENT[at : at + 1])
            time.sleep(0.02)

    def drip_headers(self) -> None:
        for _ in range(1000):
            self.wfile.write(b"H")
            time.sleep(0.02)

    def silent(self) -> None:
        self.server.over.wait(5)

    def moved(self) -> None:
        self.send(302, Location="/good")

    def endless(self) -> None:
        self.send(302, Location="/endless")

    def to_file(self) -> None:
        self.send(302, Location=f"file://{__file__}")

    def missing(self) -> None:
        self.send(404, b"<html>not found</html>")

    def busy_once(self) -> None:
        if len(self.server.asked) == 1:
            self.send(503)
        else:
            self.good()

    def mirror(self) -> None:
        self.good() if self.path == f"/mirror/{NAME}" else self.missing()


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []
        self.over = threading.Event()
        self.base = f"http://127.0.0.1:{self.server_address[1]}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def at(server: Server, place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Server]:
    """Let the file come from that path of the server."""

    def serve(path: str) -> Server:
        monkeypatch.setattr(transfer, "PERIOD", 0.3 if path in SLOW else 30)
        monkeypatch.setattr(transfer, "SLOWEST", 10_000)
        monkeypatch.setattr(store, "PAUSE", 0.001)
        monkeypatch.setitem(FILES, NAME, Download(NAME, f"{server.base}/{path}", len(CONTENT), SHA256))
        return server

    return serve


At = Callable[[str], Server]


def content(place: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()} if place.exists() else {}


@pytest.mark.parametrize("path", ["good", "moved", "cut", "busy_once", "no_ranges"])
def test_it_comes_and_is_kept(path: str, at: At, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server = at(path)
    assert not is_here(NAME)
    assert fetch(NAME) == place / NAME
    assert content(place) == {NAME: CONTENT}
    assert is_here(NAME)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"rnnbench: downloading {NAME} (256 kB) from {server.base}/{path} to {place}\n"
    asked = len(server.asked)
    assert fetch(NAME) == place / NAME
    assert len(server.asked) == asked, "it is there: nothing is asked for again"
    assert capsys.readouterr().err == ""


def test_a_cut_download_is_resumed_where_it_was_cut(at: At, place: Path) -> None:
    server = at("cut")
    fetch(NAME)
    (_, first), (_, second) = server.asked
    assert first is None
    assert second is not None
    start = int(second.removeprefix("bytes=").removesuffix("-"))
    assert len(CONTENT) // 2 - CHUNK < start <= len(CONTENT) // 2


def test_the_next_call_resumes_too(at: At, place: Path) -> None:
    server = at("good")
    place.mkdir()
    (place / f"{NAME}.part").write_bytes(CONTENT[:1000])
    fetch(NAME)
    assert server.asked == [("/good", "bytes=1000-")]
    assert content(place) == {NAME: CONTENT}


@pytest.mark.parametrize("path", ["good", "no_ranges", "other_range"])
@pytest.mark.parametrize("part", [b"", CONTENT[:1000], b"x" * 1000, CONTENT, b"x" * len(CONTENT), CONTENT + b"more"],
                         ids=["empty", "begun", "wrong", "whole", "wholly wrong", "too long"])  # fmt: skip
def test_whatever_is_left_of_an_earlier_one(path: str, part: bytes, at: At, place: Path) -> None:
    at(path)
    place.mkdir()
    (place / f"{NAME}.part").write_bytes(part)
    fetch(NAME)
    assert content(place) == {NAME: CONTENT}


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (
            "wrong",
            f"SHA256 hash of downloaded file ({NAME}.part) does not match the known hash: expected {SHA256} but got "
            + hashlib.sha256(CONTENT[::-1]).hexdigest(),
        ),
        ("short", "it offers 255999 bytes, expected 256000"),
        ("long", "it sends more than the 256,000 bytes expected"),
        ("endless", "it redirects more than 5 times"),
        ("to_file", "it leads to an address that is not http or https"),
        ("missing", "the server answers with status 404"),
        ("silent", "it sent 0 bytes in 0.3 s, which is too slow"),
        ("drip_headers", "it sent 0 bytes in 0.3 s, which is too slow"),
    ],
)
def test_what_goes_wrong_is_said_and_changes_nothing(path: str, reason: str, at: At, place: Path) -> None:
    server = at(path)
    before = {"other": b"other", NAME: b"a file of yours"}
    place.mkdir()
    for name, data in before.items():
        (place / name).write_bytes(data)
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        fetch(NAME)
    assert time.monotonic() - start < 20, "it would wait forever otherwise"
    assert str(caught.value) == (
        f"{NAME} could not be downloaded ({server.base}/{path}: {reason}); try again, or put the file from "
        f"{server.base}/{path} (256000 bytes, sha256 {SHA256}) into {place} yourself."
    )
    assert content(place) == before


@pytest.mark.parametrize(
    ("path", "reason"),
    [("cut_always", "IncompleteRead"), ("drip", r"it sent \d+ bytes in 0.3 s, which is too slow")],
)
def test_what_came_before_it_went_wrong_is_resumed(path: str, reason: str, at: At, place: Path) -> None:
    at(path)
    with pytest.raises(UserError, match=reason):
        fetch(NAME)
    for name, data in content(place).items():
        assert name == f"{NAME}.part"
        assert CONTENT.startswith(data)
    at("good")
    fetch(NAME)
    assert content(place) == {NAME: CONTENT}


def test_no_server_at_all(at: At, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at("good")
    monkeypatch.setitem(FILES, NAME, Download(NAME, "http://127.0.0.1:9/x", len(CONTENT), SHA256))
    with pytest.raises(UserError, match=rf"\(http://127.0.0.1:9/x: Connection refused\); .* {SHA256}\) into {place}"):
        fetch(NAME)
    assert content(place) == {}


def test_mirrors_come_first_and_the_origin_last(at: At, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = at("missing")
    monkeypatch.setenv("RNNBENCH_MIRRORS", f"{server.base}/wrong {server.base}/mirror/")
    fetch(NAME)
    assert [path for path, _ in server.asked] == [f"/wrong/{NAME}", f"/mirror/{NAME}"]
    assert content(place) == {NAME: CONTENT}
    (place / NAME).unlink()
    at("good")
    monkeypatch.setenv("RNNBENCH_MIRRORS", f"{server.base}/missing")
    fetch(NAME)
    assert content(place) == {NAME: CONTENT}


def test_a_mirror_must_be_an_address(at: At, monkeypatch: pytest.MonkeyPatch) -> None:
    at("good")
    monkeypatch.setenv("RNNBENCH_MIRRORS", "/srv/data")
    with pytest.raises(UserError, match="RNNBENCH_MIRRORS must hold http or https addresses.*'/srv/data'"):
        fetch(NAME)


@pytest.mark.parametrize("damaged", [CONTENT[:-1], CONTENT[::-1]])
def test_a_file_that_is_not_the_one_is_replaced_and_kept(
    damaged: bytes, at: At, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at("good")
    place.mkdir()
    (place / NAME).write_bytes(damaged)
    fetch(NAME)
    assert content(place) == {NAME: CONTENT, f"{NAME}.old": damaged}
    assert f"kept as {NAME}.old" in capsys.readouterr().err


def test_a_full_disk(at: At, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at("good")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match=rf"{NAME} cannot be written \(No space left on device\); make room"):
        fetch(NAME)
    assert set(content(place)) <= {f"{NAME}.part"}


def test_a_folder_that_cannot_be(at: At, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at("good")
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "file" / "below"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"cannot be written \(Not a directory\)"):
        fetch(NAME)


def test_a_read_only_folder_is_looked_in_and_not_written(at: At, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at("good")
    own = place.parent / "xdg"
    monkeypatch.setenv("XDG_CACHE_HOME", str(own))
    place.mkdir()
    place.chmod(0o555)
    assert fetch(NAME) == own / "rnnbench" / NAME
    assert content(place) == {}
    place.chmod(0o755)
    (own / "rnnbench" / NAME).rename(place / NAME)
    place.chmod(0o555)
    assert fetch(NAME) == place / NAME
    place.chmod(0o755)


def test_two_processes_at_once_download_once(at: At, place: Path) -> None:
    server = at("good")
    code = (
        "from rnnbench.data.download import fetch; from rnnbench.data.download.files import FILES, Download; "
        f"FILES['{NAME}'] = Download('{NAME}', '{server.base}/good', {len(CONTENT)}, '{SHA256}'); "
        f"print(fetch('{NAME}'))"
    )
    started = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for process in started:
        out, _ = process.communicate(timeout=60)
        assert (process.returncode, out.strip()) == (0, str(place / NAME))
    assert len(server.asked) == 1
    assert content(place) == {NAME: CONTENT}


def test_an_unknown_file() -> None:
    with pytest.raises(UserError, match='unknown file "text9.zip". Did you mean "text8.zip"'):
        fetch("text9.zip")


def test_the_table() -> None:
    for name, item in FILES.items():
        assert item.name == name == Path(name).name
        assert item.address.startswith("https://")
        assert len(item.sha256) == 64
        assert item.size > 0


def test_a_terminal_has_a_bar_and_nothing_else_has(at: At, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    at("good")
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    fetch(NAME)
    assert "\x1b[" in shown.getvalue()
    (place / NAME).unlink()
    shown.truncate(0)
    fetch(NAME, progress=False)
    assert "\x1b[" not in shown.getvalue()

"""The lock: one holder, whoever asks and however the last one went; no clock is believed."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rnnbench.runs import Busy, Lock, StorageError, Watch, lock
from rnnbench.runs.lock import State, look

#: Another process of this machine takes the lock and waits to be killed.
HOLDER = """
import sys, time
from pathlib import Path
from rnnbench.runs import Lock
Lock(Path(sys.argv[1])).acquire()
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat every twentieth of a second; a lock is stale after half a second without one."""
    monkeypatch.setattr(lock, "HEARTBEAT", 0.05)
    monkeypatch.setattr(lock, "STALE", 0.5)


def on_another_machine(folder: Path, number: int = 1, stamp: int = 10**9) -> Path:
    """The lock file of a process that this machine cannot look up."""
    path = folder / f".lock-{number:06d}"
    path.write_text(json.dumps({"host": "quark", "pid": 1, "born": "1", "machine": "other", "id": str(number)}))
    os.utime(path, ns=(stamp, stamp))
    return path


def held(folder: Path) -> bool:
    state = look(folder)
    return not state.free and not state.dead()


def test_one_holder_and_then_the_next(tmp_path: Path) -> None:
    first, second = Lock(tmp_path), Lock(tmp_path)
    first.acquire()
    with pytest.raises(Busy, match=rf"{tmp_path.name} is being run by another process \(process {os.getpid()} on "):
        second.acquire()
    first.release(finished=False)
    assert not held(tmp_path)
    second.acquire()
    with pytest.raises(Busy, match="taken over"):
        first.check()
    second.check()
    second.release(finished=True)
    assert list(tmp_path.iterdir()) == [], "a finished run keeps no lock file"


def test_a_killed_holders_lock_is_stale_at_once(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(Busy, match=f"process {holder.pid}"):
        Lock(tmp_path).acquire()
    holder.kill()  # and not waited for: a zombie holds nothing either
    begin = time.monotonic()
    while not look(tmp_path).dead():
        assert time.monotonic() - begin < 5
    ours = Lock(tmp_path)
    ours.acquire()
    holder.communicate()
    assert time.monotonic() - begin < 5, "there was no need to wait for a sign of life"
    ours.release(finished=False)


def test_the_same_number_of_a_later_process_is_not_the_holder(tmp_path: Path) -> None:
    """After a reboot or a wrap-around process numbers come again: the time of birth tells them apart."""
    (tmp_path / ".lock-000001").write_text(
        json.dumps({"host": "h", "pid": os.getpid(), "born": "1", "machine": lock.this_machine(), "id": "x"})
    )
    assert look(tmp_path).dead()
    Lock(tmp_path).acquire()


@pytest.mark.usefixtures("quick")
def test_another_machines_holder_is_believed_as_long_as_it_has_a_heartbeat(tmp_path: Path) -> None:
    path, stop = on_another_machine(tmp_path), threading.Event()

    def beat() -> None:
        stamp = 10**9
        while not stop.wait(0.05):
            os.utime(path, ns=(stamp := stamp + 10**9, stamp))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        watch, limit = Watch(tmp_path), time.monotonic() + 1.5
        while time.monotonic() < limit:  # three times as long as the silence of a dead one
            assert not watch.available()
            time.sleep(0.01)
        with pytest.raises(Busy, match="process 1 on quark"):
            Lock(tmp_path).acquire()
    finally:
        stop.set()
        thread.join()
    begin = time.monotonic()
    ours = Lock(tmp_path)
    ours.acquire()  # it beats no more
    assert time.monotonic() - begin >= 0.5
    assert [path.name for path in tmp_path.iterdir()] == [".lock-000002"]
    ours.release(finished=True)


@pytest.mark.usefixtures("quick")
def test_the_heartbeat_is_seen_whatever_the_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock set back a year, or standing still, neither stops our sign of life nor makes us believe a dead one."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    ours = Lock(tmp_path)
    ours.acquire()
    stamps = set()
    limit = time.monotonic() + 5
    while len(stamps) < 4 and time.monotonic() < limit:
        stamps.add(look(tmp_path).stamp)
        time.sleep(0.01)
    assert len(stamps) >= 4
    ours.release(finished=True)
    future = int(4e18)  # of a machine that is a century ahead
    on_another_machine(tmp_path, stamp=future)
    watch = Watch(tmp_path)
    assert not watch.available()
    time.sleep(0.6)
    assert watch.available()


@pytest.mark.usefixtures("quick")
def test_a_lock_watched_for_long_enough_is_taken_over_without_waiting(tmp_path: Path) -> None:
    on_another_machine(tmp_path)
    watch = Watch(tmp_path)
    while not watch.available():
        time.sleep(0.05)
    begin = time.monotonic()
    ours = Lock(tmp_path)
    ours.acquire(stale=watch.state)
    assert time.monotonic() - begin < 0.4
    ours.release(finished=False)


def test_an_old_observation_does_not_win(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has seen a dead holder, and slept while another took over, and yet another after that one."""
    on_another_machine(tmp_path)
    seen = look(tmp_path)
    first = Lock(tmp_path)
    first.acquire(stale=seen)
    first.release(finished=False)
    second = Lock(tmp_path)
    second.acquire()
    assert second.number == 3
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "available", lambda self: bool(setattr(self, "state", seen)) or True)
        with pytest.raises(Busy):
            Lock(tmp_path).acquire(stale=seen)
    second.check()
    assert [path.name for path in tmp_path.iterdir()] == [".lock-000003"]


def test_a_lock_file_cut_short_is_not_held_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between making the file and writing into it."""
    monkeypatch.setattr(lock, "STALE", 0.3)
    (tmp_path / ".lock-000001").touch()
    assert look(tmp_path).holder_name == "another process"
    Lock(tmp_path).acquire()


def test_a_folder_that_has_vanished_is_a_failure_to_write_and_not_another_process(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Lock(tmp_path / "gone").acquire()


@pytest.mark.usefixtures("quick")
def test_a_lock_file_that_vanishes_under_its_holder_is_no_longer_held(tmp_path: Path) -> None:
    """Its holder must not write any more, and gives back nothing; should the file come back, it beats again."""
    ours = Lock(tmp_path)
    ours.acquire()
    (path,) = tmp_path.iterdir()
    path.rename(tmp_path / "aside")
    with pytest.raises(Busy, match="taken over"):
        ours.check()
    time.sleep(0.2)  # some beats on a file that is not there
    (tmp_path / "aside").rename(path)
    ours.check()
    stamp, limit = look(tmp_path).stamp, time.monotonic() + 5
    while look(tmp_path).stamp == stamp:
        assert time.monotonic() < limit, "it beats no more"
        time.sleep(0.01)
    path.unlink()
    ours.release(finished=False)
    assert list(tmp_path.iterdir()) == [], "nothing is made anew"
    assert look(tmp_path).free


def contend(folder: str, trials: int, barrier: object) -> None:
    """Take the lock again and again; while it is held, note it in a file that nobody else may be writing."""
    inside = Path(folder) / "inside"
    taken = 0
    barrier.wait()  # type: ignore[attr-defined]
    while taken < trials:
        ours = Lock(Path(folder))
        try:
            ours.acquire()
        except Busy:
            continue
        with open(inside, "x"):  # fails where another one is inside
            pass
        inside.unlink()
        with open(Path(folder) / "count", "a") as file:
            file.write(".")
        ours.release(finished=False)
        taken += 1


def test_never_two_at_a_time() -> None:
    """Four processes fight for it; each use excludes all others."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context("fork")
        barrier = context.Barrier(4)
        processes = [context.Process(target=contend, args=(folder, 40, barrier)) for _ in range(4)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(60)
        assert [process.exitcode for process in processes] == [0] * 4
        assert (Path(folder) / "count").read_text() == "." * 160


def test_a_state_says_who() -> None:
    assert State(1, '{"pid": 7, "host": "quark"}', 1).holder_name == "process 7 on quark"
    assert State(1, "garbage", 1).holder_name == "another process"
    assert not State(1, "[]", 1).dead()

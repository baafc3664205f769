"""The cache makes things once, never serves what is damaged, and is never needed."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from rnnbench.errors import UserError
from rnnbench.system import cache

GOOD = b"In the beginning"
SUM = hashlib.sha256(GOOD).hexdigest()


class Counted:
    def __init__(self, value: object) -> None:
        self.calls, self.value = 0, value

    def __call__(self):  # type: ignore[no-untyped-def]
        self.calls += 1
        return self.value


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "new"))
    return tmp_path / "new"


def test_made_once_and_nothing_else_left_behind(place: Path) -> None:
    make = Counted(GOOD)
    assert [cache.cached_bytes("a", SUM, make) for _ in range(3)] == [GOOD] * 3
    assert make.calls == 1
    assert os.listdir(place) == ["a"]


@pytest.mark.parametrize("damage", [b"", GOOD[:-1], GOOD.swapcase()])
def test_a_damaged_file_is_made_again(place: Path, damage: bytes) -> None:
    place.mkdir()
    (place / "a").write_bytes(damage)
    assert cache.cached_bytes("a", SUM, Counted(GOOD)) == GOOD
    assert (place / "a").read_bytes() == GOOD


def test_content_with_another_sum_is_refused_and_not_kept(place: Path) -> None:
    with pytest.raises(UserError, match=f"expected {SUM}"):
        cache.cached_bytes("a", SUM, Counted(b"other"))
    assert not place.exists()


@pytest.mark.parametrize("damage", [b"", b'{"x": 1', b"[1]", b"\xff"])
def test_json_is_computed_once_and_again_where_damaged(place: Path, damage: bytes) -> None:
    make = Counted({"x": 0.1})
    assert cache.cached_json("j", make) == cache.cached_json("j", make) == {"x": 0.1}
    assert make.calls == 1
    (place / "j").write_bytes(damage)
    assert cache.cached_json("j", make) == {"x": 0.1}
    assert make.calls == 2


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.cached_json("j", Counted({"old": 1}))
    (place / "j").write_bytes(b"damaged")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert cache.cached_json("j", Counted({"new": 1})) == {"new": 1}
    assert os.listdir(place) == ["j"]
    assert (place / "j").read_bytes() == b"damaged"


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RNNBENCH_DATA", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache.folder() == tmp_path / ".cache" / "rnnbench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "rnnbench"
    monkeypatch.setenv("RNNBENCH_DATA", "~/mine")
    assert cache.folder() == tmp_path / "mine"


def test_a_read_only_folder_is_read_and_the_users_own_written(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "xdg" / "rnnbench"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    cache.cached_json("shared", Counted({"x": 1}))
    (place / "damaged").write_bytes(b"damaged")
    assert (cache.folder(), cache.folders()) == (place, [place])
    place.chmod(0o555)
    assert (cache.folder(), cache.folders()) == (own, [place, own])
    never, once = Counted({"y": 2}), Counted(GOOD)
    assert cache.cached_json("shared", never) == {"x": 1}
    assert cache.cached_bytes("damaged", SUM, once) == cache.cached_bytes("damaged", SUM, once) == GOOD
    assert (never.calls, once.calls) == (0, 1)
    assert sorted(os.listdir(place)) == ["damaged", "shared"]
    assert os.listdir(own) == ["damaged"]
    place.chmod(0o755)


@pytest.mark.parametrize("home", [True, False])
def test_without_a_folder_it_just_computes(home: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    if home:
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("RNNBENCH_DATA", str(tmp_path / "file" / "below"))
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    else:
        monkeypatch.setattr(Path, "home", no_home)
        monkeypatch.delenv("RNNBENCH_DATA", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        with pytest.raises(RuntimeError, match="let RNNBENCH_DATA name a folder"):
            cache.folder()
    make = Counted(GOOD)
    assert cache.cached_bytes("a", SUM, make) == cache.cached_bytes("a", SUM, make) == GOOD
    assert make.calls == 2

"""Archives are read into memory within a limit, and only where they are whole and point nowhere outside."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnbench.data.download import gunzipped, member
from rnnbench.errors import UserError

CONTENT = bytes(range(256)) * 1000


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_a_member_is_read(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", a=b"A", b=b"B" * 9)
    assert member(path, "b", 9) == b"B" * 9
    with pytest.raises(UserError, match="has no member 'c'; it has 'a', 'b'"):
        member(path, "c", 9)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..\\evil"])
def test_a_zip_that_points_outside(name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", **{"a": b"A", name: b"evil"})
    for wanted in ("a", name):
        with pytest.raises(UserError, match="points outside"):
            member(path, wanted, 9)
    assert [item.name for item in tmp_path.iterdir()] == ["a.zip"]


def test_bombs(tmp_path: Path) -> None:
    """A hundred thousand times as large as they may be."""
    bomb = bytes(5_000_000)
    path = zipped(tmp_path / "a.zip", a=bomb)
    (tmp_path / "a.gz").write_bytes(gzip.compress(bomb, 1))
    for read in (lambda: member(path, "a", 50), lambda: gunzipped(tmp_path / "a.gz", 50)):
        with pytest.raises(UserError, match="unpacks to more than the 50 bytes expected"):
            read()


@pytest.mark.parametrize("damage", [lambda data: data[:-5], lambda data: b"x" + data[3:]])
def test_damaged_archives(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", a=CONTENT)
    path.write_bytes(damage(path.read_bytes()))
    (tmp_path / "a.gz").write_bytes(damage(gzip.compress(CONTENT)))
    with pytest.raises(UserError, match="damaged archive"):
        member(path, "a", len(CONTENT))
    with pytest.raises(UserError, match="damaged archive"):
        gunzipped(tmp_path / "a.gz", len(CONTENT))


def test_a_gz_of_the_right_size(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(CONTENT))
    assert gunzipped(tmp_path / "a.gz", len(CONTENT)) == CONTENT

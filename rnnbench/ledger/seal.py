"""A finished run's checksums: of its files, and of the facts themselves. What was edited or cut short does not fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def sealed(facts: Mapping[str, Any], files: Mapping[str, Path]) -> dict[str, Any]:
    """The facts with ``files`` (sha256 and bytes of each, by name) and ``seal``, the SHA-256 of all the rest.

    Args:
        facts: Plain values that JSON can write, without infinities.
        files: Each an existing file.
    """
    listed = {name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for name, path in files.items()}
    body = {**facts, "files": listed}
    return {**body, "seal": facts_sha256(body)}


def facts_sha256(facts: Mapping[str, Any]) -> str:
    """SHA-256 of facts as canonical JSON, the seal itself left out."""
    body = {key: value for key, value in facts.items() if key != "seal"}
    body = json.loads(json.dumps(body))  # as it is read again: a key that was a number is a text then, sorted elsewhere
    return hashlib.sha256(json.dumps(body, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, read piece by piece."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

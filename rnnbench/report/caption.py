"""The sentence under every table: what produced these numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnbench.report.results import Result


def caption(results: Sequence[Result]) -> str:
    """Study, data, budget, seeds, device, versions, commit and the command that makes the table again."""
    folder = results[0].folder.parent
    environments = [result.environment for result in results]
    parts = [f"Study {folder.name}"]
    train = [result for result in results if result.kind == "train"]
    if train:
        parts.append(_listed(result.data for result in train))
        parts.append(_listed(_budget(result) for result in train))
        parts.append(f"seeds {_seeds({int(result.run.get('seed', 0)) for result in train})}")
    else:
        parts += [f"{name} {value}" for name, value in _timing_settings(results)]
    device = _listed(_device(environment) for environment in environments)
    threads = _listed(e.get("threads") for e in environments)
    parts.append(f"on {device or 'an unknown device'}" + (f", threads {threads}" if threads else ""))
    if (workers := _listed(e.get("workers") for e in environments)) not in ("", "1"):
        parts.append(f"{workers} runs at a time, which slow each other down")
    if backend := _listed(e.get("backend") for e in environments):
        parts.append(f"backend {backend}")
    if driver := _listed(e.get("driver") for e in environments):
        parts.append(f"driver {driver}")
    parts += _clocks([e["clocks_mhz"] for e in environments if e.get("clocks_mhz")])
    if torch := _listed(e.get("torch") for e in environments):
        parts.append(f"torch {torch}")
    parts.append(f"commit {_listed(str(e['commit'])[:10] for e in environments if e.get('commit')) or 'unknown'}")
    return f"{'; '.join(part for part in parts if part)}. Made by `rnnbench report {_shown(folder)}`."


def _device(environment: Mapping[str, Any]) -> str:
    device, name = environment.get("device") or "", environment.get("device_name")
    return f"{device} ({name})" if name and name != device else device


def _clocks(found: Sequence[Mapping[str, Sequence[int]]]) -> list[str]:
    """``sm clock 1755–1980 of 1980 MHz``: what they were in the jobs, and the most they could be."""
    out = []
    for name in found[0] if found else ():
        seen, most = sorted({one[name][0] for one in found}), max(one[name][1] for one in found)
        out.append(f"{name} clock {'–'.join(map(str, dict.fromkeys((seen[0], seen[-1]))))} of {most} MHz")
    return out


def _budget(result: Result) -> str:
    budget = result.run.get("budget") or {}
    if budget.get("steps") is not None:
        return f"{budget['steps']:,} steps".replace(",", "\u202f")
    tokens = budget.get("tokens")
    return "" if tokens is None else f"{tokens / 1e6:g} M tokens" if tokens >= 100_000 else f"{tokens} tokens"


def _timing_settings(results: Sequence[Result]) -> list[tuple[str, str]]:
    """Sizes and number format; what says of a plain layer no more than that it is one is left out."""
    names = (("T", "seq_len"), ("B", "batch_size"), ("H", "hidden_size"), ("I", "input_size"), ("layers", "num_layers"),
             ("bidirectional", "bidirectional"), ("dtype", "dtype"))  # fmt: skip
    values = [(short, {result.run.get(name) for result in results} - {None}) for short, name in names]
    pairs = [(short, _listed(sorted(known))) for short, known in values]
    return [pair for pair in pairs if pair not in (("layers", "1"), ("bidirectional", "False")) and pair[1]]


def _seeds(seeds: set[int]) -> str:
    ordered = sorted(seeds)
    if len(ordered) > 2 and ordered[-1] - ordered[0] == len(ordered) - 1:
        return f"{ordered[0]}–{ordered[-1]}"
    return ", ".join(map(str, ordered))


def _listed(values: Iterable[Any]) -> str:
    """The distinct values in the order in which they come, at most four."""
    distinct = list(dict.fromkeys(str(value) for value in values if value not in (None, "")))
    return ", ".join(distinct[:4]) + (f" and {len(distinct) - 4} more" if len(distinct) > 4 else "")


def _shown(folder: Path) -> str:
    """The folder as one would type it here; elsewhere its last two names, so that no table tells a home folder."""
    try:
        return str(folder.relative_to(Path.cwd()))
    except ValueError:
        return f"{folder.parent.name}/{folder.name}"

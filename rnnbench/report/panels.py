"""What of a study is to be compared with what: its panels, and apart from them what was made under another protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnnbench.config import PROTOCOL
from rnnbench.report.results import Result
from rnnbench.report.statistics import SEQ_LEN, SYMBOLS
from rnnbench.runs import PanelFile, read_study


@dataclass(frozen=True)
class PanelResults:
    """Runs that share their tables and figures.

    Args:
        name: Ends the names of its files, behind a hyphen; "" where the study has but one.
        title: What varies in it, and what is the same, in a sentence; "" where nothing says so.
        axis: The setting along which figures are drawn.
        search: Its runs look for the longest T that can be learnt.
        results: Its jobs.
    """

    name: str
    title: str
    axis: str
    search: bool
    results: tuple[Result, ...]

    @property
    def ending(self) -> str:
        """Of the names of its files."""
        return f"-{self.name}" if self.name else ""


def panels(results: Sequence[Result]) -> list[PanelResults]:
    """The panels of one study, as its `study.json` has them; what stands in none makes one of its own.

    Runs of an older protocol are never in a panel with newer ones, for the same name means something else in them.
    """
    folder: Path = results[0].folder.parent
    study = read_study(folder)
    found: list[PanelResults] = []
    by_protocol = sorted({result.protocol for result in results}, reverse=True)
    for protocol in by_protocol:
        own = [result for result in results if result.protocol == protocol]
        placed = {id for panel in study.panels for id in panel.runs}
        rest = frozenset(result.id for result in own) - placed
        described = [
            *study.panels,
            *([PanelFile("" if not study.panels else "other", "", SEQ_LEN, rest)] if rest else []),
        ]
        for panel in described:
            members = tuple(result for result in own if result.id in panel.runs)
            if not members:
                continue
            old = protocol != PROTOCOL
            name = "-".join(
                part for part in (panel.name, f"protocol{protocol}" if old and len(by_protocol) > 1 else "") if part
            )
            title = panel.title
            if old:
                title = (
                    f"{title} Made under protocol {protocol}; not to be mixed with runs of protocol {PROTOCOL}.".strip()
                )
            axis = panel.axis if panel.axis in SYMBOLS or members[0].kind != "train" else SEQ_LEN  # a damaged file's
            found.append(PanelResults(name, title, axis, study.search, members))
    return found

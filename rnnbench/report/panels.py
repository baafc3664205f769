"""What of a study is to be compared with what: its panels, and apart from them what was made under another protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rnnbench.config import PROTOCOL
from rnnbench.report.results import Result
from rnnbench.report.statistics import SEQ_LEN, SYMBOLS
from rnnbench.runs import PanelFile, read_study


@dataclass(frozen=True)
class PanelResults:
    """Runs that share their tables and figures."""

    name: str  # ends the names of its files, behind a hyphen; "" where the study has but one
    title: str  # what varies in it, and what is the same, in a sentence; "" where nothing says so
    axis: str  # the setting along which figures are drawn
    search: bool  # its runs look for the longest T that can be learnt
    results: tuple[Result, ...]  # its jobs

    @property
    def ending(self) -> str:
        """Of the names of its files."""
        return f"-{self.name}" if self.name else ""

    @property
    def train(self) -> list[Result]:
        """Its training runs."""
        return [result for result in self.results if result.kind == "train"]

    @property
    def timing(self) -> list[Result]:
        """Its timing jobs."""
        return [result for result in self.results if result.kind == "timing"]


def panels(results: Sequence[Result]) -> list[PanelResults]:
    """The panels of one study, as its `study.json` has them; what is in none makes one by itself.

    Runs of an older protocol are never in a panel with newer ones, for the same name means something else in them.
    """
    study = read_study(results[0].folder.parent)
    placed = {run for panel in study.panels for run in panel.runs}
    unplaced = frozenset(result.id for result in results) - placed
    described = [*study.panels, PanelFile("other" if study.panels else "", "", SEQ_LEN, unplaced)]
    protocols = sorted({result.protocol for result in results}, reverse=True)
    out: list[PanelResults] = []
    for protocol in protocols:
        for panel in described:
            members = tuple(r for r in results if r.protocol == protocol and r.id in panel.runs)
            if not members:
                continue
            name, title = panel.name, panel.title
            if protocol != PROTOCOL:
                name += f"{'-' if name else ''}protocol{protocol}" if len(protocols) > 1 else ""
                title += f" Made under protocol {protocol}; not to be mixed with runs of protocol {PROTOCOL}."
            axis = panel.axis if panel.axis in SYMBOLS or members[0].kind != "train" else SEQ_LEN  # a damaged file's
            out.append(PanelResults(name, title.strip(), axis, study.search, members))
    return out

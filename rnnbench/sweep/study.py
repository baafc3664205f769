"""A Study: the question, and the runs that answer it, at a quick and a full size."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rnnbench.config import Run
from rnnbench.errors import UserError, unknown
from rnnbench.files import load_file, name_file
from rnnbench.throughput.timing import Timing

#: One entry of the ledger: a training run, or an interleaved timing of several contestants.
Job = Run | Timing


@dataclass(frozen=True)
class Study:
    """An experiment as data.

    Args:
        name: The folder below ``runs/``.
        question: What it asks, in a sentence; the report prints it.
        presets: Named sizes, each a function that yields the jobs.
    """

    name: str
    question: str
    presets: Mapping[str, Callable[[], Iterable[Job]]]

    def jobs(self, preset: str) -> list[Job]:
        """The jobs of a preset, each once, in order.

        Raises:
            UserError: no such preset.
        """
        if preset not in self.presets:
            raise unknown(f"preset of {self.name}", preset, self.presets)
        return list({job.id: job for job in self.presets[preset]()}.values())

    def main(self) -> None:
        """``python experiments/THIS.py --preset quick`` is ``rnnbench sweep experiments/THIS.py --preset quick``."""
        from rnnbench.cli import main

        sys.exit(main(["sweep", sys.argv[0], *sys.argv[1:]]))


def study_folders() -> list[Path]:
    """Where studies are looked for by name: ``experiments/`` here, and in rnnbench's own checkout."""
    here, own = Path.cwd() / "experiments", Path(__file__).resolve().parents[2] / "experiments"
    return [folder for folder in dict.fromkeys((here, own)) if folder.is_dir()]


def find_study(name: str) -> Study:
    """A study by name, or by the path of the file that defines ``STUDY``.

    Raises:
        UserError: there is none, or the file does not define one.
    """
    files = {path.stem: path for folder in reversed(study_folders()) for path in sorted(folder.glob("[!_]*.py"))}
    path = Path(name) if name.endswith(".py") else files.get(name)
    if path is None:
        raise unknown("study", name, files)
    module = load_file(path)
    study = getattr(module, "STUDY", None)
    if not isinstance(study, Study):
        raise UserError(f"{path} does not define STUDY = Study(name, question, presets).")
    name_file(path)  # cells that the study registers are to be known to its workers
    return study

"""A Study: the question, and the runs that answer it, at a quick and a full size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnnbench.config import CellConfig, Run
from rnnbench.config.plain import folder_name, quoted
from rnnbench.config.timing import Timing
from rnnbench.errors import UserError, told, unknown
from rnnbench.runs.study_files import PanelFile, StudyFile
from rnnbench.system.python_files import load_file, name_file

#: Settings that a Panel's figures may be drawn along: of trainings, and of timings.
AXES = ("data.seq_len", "optim.truncate", "seq_len", "batch_size", "hidden_size", "num_layers")
#: A training run, or an interleaved timing of several contestants; each has a run directory.
Job = Run | Timing
#: A study's results by the job's id: each what its ``result.json`` holds.
Results = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Panel:
    """Jobs that are to be compared with each other: one table, and one set of figures, of its own.

    Args:
        name: In the names of its files; a study of one comparison has one panel, without a name.
        title: What varies, and what is the same for all, in a sentence; the report prints it.
        jobs: Its jobs; one may stand in several panels, and is done once.
        axis: The setting along which its figures are drawn, by its dotted name.
    """

    name: str
    title: str
    jobs: Iterable[Job]
    axis: str = "data.seq_len"

    def __post_init__(self) -> None:
        if self.name:
            folder_name(self.name, "a Panel's name")
        if self.axis not in AXES:
            raise unknown("axis of a Panel", self.axis, AXES)
        object.__setattr__(self, "jobs", tuple(self.jobs))


@dataclass(frozen=True)
class Tune:
    """A learning rate for each setting of a study, chosen on validation before its runs, see `rnnbench.sweep.tuning`.

    Args:
        grid: The rates that every setting is tried at; it is extended, for all of them, until no choice is at its edge.
        seeds: Trials of each rate, on seeds that the study itself does not use.
    """

    grid: tuple[float, ...] = (2e-3, 4e-3, 8e-3, 1.6e-2)
    seeds: int = 1


@dataclass(frozen=True)
class Study:
    """An experiment as data.

    Args:
        name: The folder below ``runs/``.
        question: One sentence; the report prints it.
        presets: Named sizes, each a function that yields jobs, or panels of jobs.
        follow_up: Of a study whose later jobs depend on the results of earlier ones: a pure function from a preset's
            name and all results so far to every further job that they ask for, finished ones included. A sweep ends
            when none is left to do; as nothing but the results is remembered, it can be killed at any moment.
        tune: Each setting of its runs is to have a learning rate of its own; without it, a report does not rank cells.
        search: Its runs look for the longest T that can be learnt (`rnnbench.sweep.bracketing`).
    """

    name: str
    question: str
    presets: Mapping[str, Callable[[], Iterable[Job | Panel]]]
    follow_up: Callable[[str, Results], Iterable[Job]] | None = None
    tune: Tune | None = None
    search: bool = False

    def __post_init__(self) -> None:
        folder_name(self.name, "a Study's name")
        if not isinstance(self.question, str):
            raise UserError(f"the question of the study {self.name} must be a text, got {quoted(self.question)}.")
        if not isinstance(self.presets, Mapping) or not all(map(callable, self.presets.values())):
            raise UserError(f"the presets of the study {self.name} must map names to functions that yield jobs.")

    def jobs(self, preset: str, results: Results | None = None) -> list[Job]:
        """The jobs of a preset, each once, in order, as `panels` has them."""
        return list({job.id: job for panel in self.panels(preset, results) for job in panel.jobs}.values())

    def panels(self, preset: str, results: Results | None = None) -> list[Panel]:
        """The panels of a preset, and of the jobs that follow from results; jobs outside any make one without a name.

        Raises:
            UserError: no such preset, or one that fails or yields what is no job.
        """
        if preset not in self.presets:
            raise unknown(f"preset of {self.name}", preset, self.presets)
        try:
            items = list(self.presets[preset]())
            if self.follow_up is not None and results:
                items += self.follow_up(preset, results)
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"the preset {preset} of {self.name} fails: {told(error)}.") from error
        panels = [item for item in items if isinstance(item, Panel)]
        if outside := [item for item in items if not isinstance(item, Panel)]:
            panels.append(Panel("", "", outside, "seq_len" if isinstance(outside[0], Timing) else Panel.axis))
        names = [panel.name for panel in panels]
        if twice := [name for name in names if names.count(name) > 1]:
            named = f"panels named {quoted(twice[0])}" if twice[0] else "panels without a name, or runs beside one"
            raise UserError(f"the preset {preset} of {self.name} has {names.count(twice[0])} {named}.")
        for job in (job for panel in panels for job in panel.jobs):
            if not isinstance(job, Run | Timing):
                raise UserError(f"the preset {preset} of {self.name} must yield Runs and Timings, got {quoted(job)}.")
        return panels

    def described(self, preset: str, results: Results | None = None) -> StudyFile:
        """What is written beside its runs, for whoever reads them."""
        panels = [
            PanelFile(panel.name, panel.title, panel.axis, frozenset(job.id for job in panel.jobs))
            for panel in self.panels(preset, results)
        ]
        return StudyFile(self.question, self.search, tuple(panels))


def with_cells(study: Study, cells: Sequence[CellConfig]) -> Study:
    """Every setting of a study with each of these cells in place of its own; what else differs by cell goes with all.

    Raises:
        UserError: The study's later jobs follow from results, which know its own cells alone.
    """
    if study.follow_up is not None:
        raise UserError(
            f"--cells cannot take the place of the cells of {study.name}: its jobs follow from its results."
        )

    def jobs_of(panel: Panel) -> list[Job]:
        jobs: list[Job] = []
        for job in panel.jobs:
            jobs += (
                [replace(job, cell=cell) for cell in cells]
                if isinstance(job, Run)
                else [replace(job, cells=tuple(cells))]
            )
        return list({job.id: job for job in jobs}.values())

    def presets(name: str) -> Callable[[], Iterable[Panel]]:
        return lambda: [replace(panel, jobs=jobs_of(panel)) for panel in study.panels(name)]

    return replace(study, presets={name: presets(name) for name in study.presets})


def study_folders() -> list[Path]:
    """Where studies are looked for by name: ``experiments/`` here, and in rnnbench's own checkout."""
    folders = Path.cwd() / "experiments", Path(__file__).resolve().parents[2] / "experiments"
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]


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

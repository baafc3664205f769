"""Many tasks in one study: the score of the best cell on each, beside those of the reference lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rnnbench.catalog import DATA_SETS, DataSet
from rnnbench.report.comparisons import unranked
from rnnbench.report.references import reference_values
from rnnbench.report.results import Result
from rnnbench.report.statistics import Group, cell_rank, data_settings, group, rank, short_name
from rnnbench.report.tables.notes import caption, circumstances, lost_notes
from rnnbench.report.tables.table import MISSING, Column, Row, Table, count
from rnnbench.report.task_families import TASK_FAMILIES, TaskFamily

#: From so many data sets of at least two kinds on, tasks are shown side by side.
MANY = 4


@dataclass(frozen=True)
class TaskResult:
    """The runs of one task."""

    label: str  # the data's label, with the settings that tell it from others of the same label
    data_set: DataSet  # what the catalogue knows of the data
    groups: tuple[Group, ...]  # one for each cell, the plain cells first
    lines: dict[str, float]  # the reference lines' scores in the primary metric, by name

    @property
    def kind(self) -> TaskFamily:
        """How it is scored."""
        return TASK_FAMILIES[self.data_set.kind]

    @property
    def seq_len(self) -> int:
        """Sequence length T."""
        return self.groups[0].length

    @property
    def best(self) -> Group:
        """The cell with the lowest validation score (the mean over seeds); those that lost runs come last."""
        return min(self.groups, key=lambda g: rank(g, f"val/{self.kind.primary.metric}"))

    @property
    def baseline(self) -> tuple[str, float] | None:
        """Name and score of the lowest of its family's baselines."""
        return self._lowest(name for name in self.kind.baselines if name in self.lines)

    @property
    def strongest(self) -> tuple[str, float] | None:
        """Name and score of the lowest of all its lines."""
        return self._lowest(self.lines)

    def _lowest(self, names: Iterable[str]) -> tuple[str, float] | None:
        return min(((name, self.lines[name]) for name in names), key=lambda line: line[1], default=None)

    def beaten(self, g: Group) -> list[str]:
        """The lines above a cell's score: above each seed's, or from five seeds above the interval's upper end.

        None of them where a run was lost.
        """
        score = g.estimate(self.kind.primary.key)
        if score is None or len(g.done) < len(g.results):
            return []
        worst = max(score.values) if score.high is None else score.high
        return [name for name, value in self.lines.items() if worst < value]


def many_tasks(train: Sequence[Result]) -> bool:
    """Whether a study is over so many data sets that their results are worth a table and a figure of their own."""
    return len({r.data for r in train}) >= MANY and len({r.data_set.kind for r in train}) > 1


def task_results(train: Sequence[Result]) -> list[TaskResult]:
    """Training runs by task, in the catalogue's order."""
    blocks: dict[tuple[Any, ...], list[Group]] = {}
    settings: dict[tuple[str, str], set[tuple[str, Any]]] = {}
    for g in group(train):
        name, place = g.results[0].data_set.name, data_settings(g)
        blocks.setdefault((name, g.data, g.length, place), []).append(g)
        settings.setdefault((name, g.data), set()).update(place)
    out = []
    for (name, data, _, place), groups in blocks.items():
        several = [key for key, _ in settings[name, data]]
        label = ", ".join([data, *(f"{short_name(key)}={value}" for key, value in place if several.count(key) > 1)])
        known = DATA_SETS[name]
        results = [result for g in groups for result in g.results]
        lines = reference_values(results, TASK_FAMILIES[known.kind].primary.metric)
        out.append(TaskResult(label, known, tuple(sorted(groups, key=lambda g: cell_rank(g.series))), lines))
    order = list(DATA_SETS)
    return sorted(out, key=lambda task: (order.index(task.data_set.name), task.label, task.seq_len))


def tasks_table(train: Sequence[Result]) -> Table:
    """A line for each task: its best cell's test score beside the baseline and the strongest one."""
    tasks = task_results(train)
    cells = sorted({g.series for task in tasks for g in task.groups}, key=cell_rank)
    reason = next((why for task in tasks if (why := unranked(task.groups)) is not None), None)
    columns = (
        Column("task", "task", 0, left=True),
        Column("shape", "shape", 3, left=True),
        Column("T", "T", 4),
        Column("cell", "best cell" if len(cells) > 1 and not reason else "cell", 0, left=True),
        Column("metric", "score", 0, left=True),
        Column("score", "test", 0),
        Column("baseline", "baseline", 0, left=True),
        Column("strongest", "strongest line", 2, left=True),
        Column("beats", "beats", 1, left=True),
        *(Column(f"score/{cell}", cell, 5) for cell in cells if len(cells) > 1),
        Column("seconds", "training (s)", 6),
        Column("parameters", "params", 7),
        Column("seeds", "seeds done", 8),
    )
    metrics = dict.fromkeys(f"{task.kind.primary.metric}: {task.kind.unit}" for task in tasks)
    best = f"Cell: that of the lowest validation score, the mean over seeds; {reason}."
    if reason is None:
        best = "Best cell: of the lowest validation score, the mean over seeds."
    notes = (
        ("metric", f"Of all scores less is better. {'; '.join(metrics)}."),
        ("baseline", "Baseline: the best of those that know nothing of the inputs, or only repeat them."),
        ("beats", "Beats: the lines above each seed's score (from five seeds on: above its 95 % interval)."),
        ("cell", best if len(cells) > 1 else ""),
        *(("seeds", sentence) for sentence in (*lost_notes(train), *circumstances(train))),
    )
    rows = tuple(map(_row, tasks))
    return Table("tasks", columns, rows, notes=notes, caption=caption(train)).without_empty_columns()


def _row(task: TaskResult) -> Row:
    best, primary = task.best, task.kind.primary
    score, beaten = best.estimate(primary.key), task.beaten(best)
    raw: dict[str, Any] = {"task": task.label, "kind": task.data_set.kind, "shape": task.data_set.shape}
    raw |= {"seq_len": task.seq_len, "cell": best.series, "metric": primary.metric}
    raw |= {"score": score and score.mean, "score_low": score and score.low, "score_high": score and score.high}
    text = {key: str(raw[key]) for key in ("task", "cell", "metric")}
    text |= {"shape": task.data_set.shape.replace("_", " "), "T": str(task.seq_len)}
    text |= {"score": primary.text(score, points=False), "beats": _beats(task, best, beaten)}
    for name, line in (("baseline", task.baseline), ("strongest", task.strongest)):
        raw |= {name: line and line[0], f"{name}_score": line and line[1]}
        text[name] = f"{primary.show(line[1])} {short(line[0])}" if line else MISSING
    raw |= {"beats": " ".join(beaten), "seconds": best.median("throughput/train_seconds")}
    raw |= {"parameters": best.median("model/parameters"), "done": len(best.done), "all": len(best.results)}
    text["seconds"] = MISSING if raw["seconds"] is None else f"{raw['seconds']:.0f}"
    text |= {"parameters": count(raw["parameters"]), "seeds": f"{raw['done']}/{raw['all']}"}
    for g in task.groups:
        score = g.estimate(primary.key)
        raw[f"score/{g.series}"] = score and score.mean
        text[f"score/{g.series}"] = primary.text(score, points=False)
    return Row(raw, text)


def _beats(task: TaskResult, best: Group, beaten: list[str]) -> str:
    if len(best.done) < len(best.results):
        return "lost runs"
    if not task.lines:
        return MISSING
    missed = [short(name) for name in task.lines if name not in beaten]
    return "none" if not beaten else f"all but {', '.join(missed)}" if missed else "all"


def short(name: str) -> str:
    """A reference line's name for people, where its full one does not fit: seasonal naive, ngram."""
    return name.replace("_", " ")

"""Make again what is committed beside this file and what the README quotes of it: `make tables`.

Of every study here the tables (Markdown) and those of its figures (SVG) that the README shows, from its packed runs;
in the README each table between ``<!-- table NAME -->`` and ``<!-- end -->``. Says which files have changed: on the
machine and with the versions that made them, none.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rnnbench.report import report
from rnnbench.report.results import Result, read
from rnnbench.report.statistics import Group, group
from rnnbench.report.tables.reach import power_of_ten, reach_text
from rnnbench.report.tables.table import MISSING, number
from rnnbench.report.tables.training import tables

HERE = Path(__file__).resolve().parent
README = HERE.parents[1] / "README.md"
FORMATS = {"md", "svg"}
PLAIN = ("rnn", "lstm", "gru")


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A Markdown table; left: the columns of words."""
    rule = "|".join("---" if index in left else "---:" for index in range(len(header)))
    return "\n".join(["| " + " | ".join(header) + " |", f"|{rule}|", *("| " + " | ".join(row) + " |" for row in rows)])


def memory() -> str:
    """Two classics of memory."""
    results = read([HERE / "quick" / "memory"])

    def score(data: str, key: str) -> list[str]:
        runs = [next(r for r in results if (r.data, r.cell) == (data, cell)) for cell in PLAIN]
        values = [_guess(runs[0], key), *(run.number(key) for run in runs)]
        show = _percent if data == "copy" else _small
        return [MISSING if value is None else show(value) for value in values]

    header = ("trained at", "score", "blind guess", *PLAIN)
    return grid(
        header,
        [
            ["adding, T = 100", "mean squared error (solved: < 0.01)", *score("adding", "test/mse")],
            ["… tested at 16 T", "", *score("adding", "test/mse_x16")],
            ["copy, T = 50", "symbols wrong (solved: < 1 %)", *score("copy", "test/error")],
            ["… tested at 2 T", "", *score("copy", "test/error_x2")],
        ],
        left=(0, 1),
    )


def _guess(result: Result, key: str) -> float | None:
    """The blind guess's score; where none is known for longer sequences, that at the length trained on: it has no T."""
    name = f"reference/guess_{key.removeprefix('test/')}"
    return result.number(name) if name in result.metrics else result.number(name.split("_x")[0])


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _small(value: float) -> str:
    return f"{value:.4f}" if value > 1e-3 else f"{value:.1e}"


def starts() -> str:
    """What the start does to gradients, on five seeds."""
    named = {"rnn": "rnn", "gru": "gru", "lstm": "lstm"}
    named |= {f"lstm(forget_bias={bias})": f"lstm, forget bias {bias}" for bias in (1, 3, 5)}
    named |= {f"rnn(gain={gain})": f"rnn, gain {gain:g}" for gain in (1.5, 2)}
    groups = {
        g.cell: g
        for g in group(read([HERE / "quick" / "initialisation"]))
        if dict(g.extras).get("model.init") == "default"
    }
    header = ("start", "½, 1/100 at first (lags)", "trained", "gradients at first", "left at lag 255",
              "… of a loss averaged over time")  # fmt: skip
    rows = [[name, *_start(groups[cell])] for cell, name in named.items()]
    return grid(header, rows, left=(0, 3))


def _start(g: Group) -> list[str]:
    def left(key: str) -> str:
        value = g.median(key)
        return MISSING if value is None else power_of_ten(value)

    return [
        reach_text(g, "init"),
        reach_text(g, "final"),
        str(g.verdict("init")),
        left("init/log10_gain_at_last_lag"),
        left("init/averaged_log10_gain_at_last_lag"),
    ]


def steps() -> str:
    """A training step on the H200, in ms."""
    timing = next(table for table in tables(read([HERE / "h200" / "seqlen_throughput"])) if table.name == "timing")
    ms = {(row.raw["seq_len"], row.raw["cell"], row.raw["backend"]): row.raw for row in timing.rows}

    def shown(*key: Any) -> str:
        row = ms[key]
        return "refused" if row["step_ms"] is None else number(row["step_ms"], 3 if row["step_ms"] >= 10 else 2)

    lengths = sorted({T for T, _, _ in ms})
    return grid(
        ("cell", "T", "loop", "the loop as a CUDA graph", "cuDNN"),
        [
            [cell, str(T), *(shown(T, cell, name) for name in ("loop", "graph", "torch"))]
            for T in lengths
            for cell in PLAIN
        ],
    )


def scan() -> str:
    """The scan against autograd's loop."""
    found = _benchmark("scan")
    rows = []
    for size, kernels in found["recurrence"].items():
        batch, length, width = size.split("x")
        rows.append([f"{batch}, {width}", length, *(_ratio(kernels[k]["speed_up"]) for k in ("native", "portable"))])
    return grid(("batch, width", "T", "speed-up", "without a compiler"), rows)


def _ratio(value: float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:.0f}"


def plain_loop() -> str:
    """Against the plain PyTorch loop."""
    found = _benchmark("against_plain_loop")
    return grid(
        ("cell", "test bpc, plain loop", "rnnbench", "training time, rnnbench / plain loop"),
        [
            [cell, f"{f['plain']['bpc']:.3f}", f"{f['rnnbench']['bpc']:.3f}", f"{f['ratio']:.2f}"]
            for cell, f in found["cells"].items()
        ],
    )


def confounds() -> str:
    """What was claimed, and what is left of it with the confound taken out."""
    rows = [[row[name] for name in ("claim", "confound", "as_claimed", "controlled")] for row in
            _benchmark("confounds")["rows"]]  # fmt: skip
    return grid(("what we said", "the confound", "measured again as it was", "with all else the same"), rows, range(4))


def _benchmark(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "benchmarks" / f"{name}.json").read_text(encoding="utf-8"))
    return found


#: What stands in the README, by the name of its place.
TABLES: dict[str, Callable[[], str]] = {
    "memory": memory,
    "starts": starts,
    "steps": steps,
    "scan": scan,
    "plain_loop": plain_loop,
    "confounds": confounds,
}
PLACE = re.compile(r"(<!-- table (\w+) -->\n\n).*?(\n\n<!-- end -->)", re.DOTALL)


def filled(readme: str) -> str:
    """The README with each of its tables made again.

    Raises:
        KeyError: It has a place for a table that is not in `TABLES`.
    """
    return PLACE.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], readme)


def studies() -> list[Path]:
    """The folders of all studies whose results are kept here."""
    return sorted({path.parent.parent for path in HERE.glob("*/*/report/report.md")})


def shown(path: Path) -> bool:
    """Does the README show a figure? The others are left out here: `rnnbench report` draws them."""
    return path.relative_to(README.parent).as_posix() in README.read_text(encoding="utf-8")


def only_shown(files: set[Path]) -> set[Path]:
    """Remove the figures that the README does not show, and their lines in `report.md`; returns what is left."""
    removed = {path for path in files if path.suffix == ".svg" and not shown(path)}
    for path in removed:
        path.unlink()
    for page in (path for path in files if path.name == "report.md"):
        lines = page.read_text(encoding="utf-8").splitlines()
        gone = {path.name for path in removed if path.parent == page.parent}
        left = [line for line in lines if not any(line.endswith(f"]({name})") for name in gone)]
        text = re.sub(r"\n{3,}", "\n\n", "\n".join(left)).strip()
        if gone:
            text += f"\n\nNot shown here, {len(gone)} figures: `rnnbench report` draws them from the packed runs."
        page.write_text(text + "\n", encoding="utf-8")
    return files - removed


def main() -> int:
    """Make all, and say what is not as it was."""
    old = [path for folder in studies() for path in (folder / "report").iterdir() if path.suffix[1:] in FORMATS]
    before = {path: path.read_bytes() for path in [*old, README]}
    files: set[Path] = set()
    for preset in dict.fromkeys(folder.parent for folder in studies()):  # a figure may need another study's timings
        answer = report([folder for folder in studies() if folder.parent == preset], FORMATS, None, None)
        files |= {Path(name) for study in answer.values() for name in study["files"]}
    files = only_shown(files) | {README}
    README.write_text(filled(README.read_text(encoding="utf-8")), encoding="utf-8")
    for path in sorted(files | {*before}):
        if path not in files:
            path.unlink(missing_ok=True)
            print(f"removed: {path.relative_to(README.parent)}, which the README does not show")
        elif path.read_bytes() != before.get(path):
            print(f"{'changed' if path in before else 'new'}: {path.relative_to(README.parent)}")
    print(f"{len(files)} files made from {len(studies())} studies.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

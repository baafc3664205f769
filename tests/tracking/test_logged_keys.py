"""Every panel refers to keys that runs really log: the ledger's word for it against wandb's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.wandb_runs import inspected, own_environment, small_run
from support.wandb_spec import panels, references

from rnnbench.report.dashboard import document, workspace
from rnnbench.report.dashboard.panels import BUILT_IN, Bars, Key, Line, logged, sections
from rnnbench.report.dashboard.view import view
from rnnbench.report.results import read
from rnnbench.training.one_run import train

COMMITTED = Path(__file__).parents[2] / "experiments" / "results"
STUDIES = ["seqlen_perplexity", "initialisation", "all_tasks", "seqlen_throughput", "memory", "clipping", "depth"]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, small_text: str) -> Path:
    """The folder of a study of one run, mirrored offline."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "small.txt").write_text(small_text, encoding="utf-8")
    with own_environment(folder / "home"):
        train(small_run(folder / "small.txt", {"name": "lstm", "forget_bias": 1.0}), folder / "runs", "keys", "offline")
    return folder / "runs" / "keys"


def sent(records: list[dict[str, Any]]) -> frozenset[Key]:
    """The keys that an offline run's file holds, in our words."""
    keys = set()
    for record in records:
        if record["type"] == "run":
            keys |= {Key("config", name) for name in dotted(record["run"]["config"]["update"]) if name[0] != "_"}
        elif record["type"] == "history":
            keys |= {Key("history", name) for name in record["history"]["item"]}
        elif record["type"] == "summary":
            keys |= {Key("summary", name) for name in record["summary"]["update"]}
    kinds = {"table-file": "table", "image-file": "media"}
    for key in [key for key in keys if key.place == "summary" and key.name.endswith("._type")]:
        value = next(
            r["summary"]["update"][key.name] for r in records if key.name in r.get("summary", {}).get("update", {})
        )
        keys.add(Key(kinds[value], key.name.removesuffix("._type")))  # type: ignore[arg-type]
    files = {key.name for key in keys if key.place in ("table", "media")}
    return frozenset(
        key
        for key in keys
        if not key.name.startswith("_")
        and not (key.place != "table" and any(key.name.startswith(f"{f}.") for f in files))
        and not (key.place in ("history", "summary") and key.name in files)
    )


def dotted(values: dict[str, Any], prefix: str = "") -> set[str]:
    """Leaves by their dotted names."""
    names: set[str] = set()
    for key, value in values.items():
        names |= dotted(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}"}
    return names


def test_the_ledger_tells_exactly_what_was_sent(study: Path) -> None:
    (run,) = (study / "wandb").glob("offline-run-*")
    told = {key for key in logged(read([study])).keys if key.place != "run"}
    assert told == sent(inspected(run))


def test_every_key_of_every_panel_is_among_those_sent(study: Path) -> None:
    (run,) = (study / "wandb").glob("offline-run-*")
    allowed = sent(inspected(run)) | {Key("run", name) for name in BUILT_IN}
    seen = view(study)
    for spec in (workspace.spec(workspace.workspace(seen, "", "p")), document.spec(document.document(seen, "", "p"))):
        assert references(spec) <= allowed
        kinds = {panel["viewType"] for panel in panels(spec)}
        assert kinds >= {"Run History Line Plot", "Bar Chart", "Vega2", "Media Browser"}
        titles = {panel["config"].get("chartTitle") for panel in panels(spec)}
        assert {"validation bpc", "hundredth lag along training"} <= titles


@pytest.mark.parametrize("name", STUDIES)
def test_committed_studies_refer_to_nothing_that_they_did_not_log(name: str) -> None:
    folder = COMMITTED / "quick" / name
    seen, keys = view(folder), logged(read([folder])).keys
    for spec in (workspace.spec(workspace.workspace(seen, "", "p")), document.spec(document.document(seen, "", "p"))):
        assert references(spec) <= keys
        assert len(panels(spec)) == sum(len(section.panels) for section in seen.sections)
    names = [section.name for section in seen.sections]
    timed = name == "seqlen_throughput"
    assert names == (["throughput", "system"] if timed else ["quality", "gradients", "throughput", "system"])


def test_a_key_that_nobody_logs_is_seen(study: Path) -> None:
    made = workspace.spec(workspace.workspace(view(study), "", "p"))
    line = next(panel for panel in panels(made) if panel["viewType"] == "Run History Line Plot")
    line["config"]["metrics"].append("val/bcp")
    bars = next(panel for panel in panels(made) if panel["viewType"] == "Bar Chart")
    bars["config"]["metrics"].append("test/bcp")
    made["section"]["runSets"][0]["grouping"].append({"section": "config", "name": "model.value.sise"})
    wrong = references(made) - logged(read([study])).keys
    assert wrong == {Key("history", "val/bcp"), Key("summary", "test/bcp"), Key("config", "model.sise")}


def test_a_panel_without_its_keys_is_left_out(study: Path) -> None:
    from rnnbench.report.dashboard.panels import Logged

    keys = logged(read([study])).keys - {Key("history", "tokens"), Key("summary", "test/perplexity")}
    left = [panel for section in sections(["text"], [16], Logged(keys)) for panel in section.panels]
    assert not any(isinstance(panel, Line) and panel.x == "tokens" for panel in left)
    assert not any(isinstance(panel, Bars) and "test/perplexity" in panel.metrics for panel in left)
    assert sections(["text"], [16], Logged(frozenset())) == []

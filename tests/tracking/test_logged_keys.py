"""Every panel refers to keys that runs really log: what is read from the run directories against wandb's own reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.wandb_runs import inspected, own_environment, small_run
from support.wandb_spec import panels, references

from rnnbench.report.dashboard.build import Dashboard, read_dashboard, report, spec, workspace
from rnnbench.report.dashboard.panels import BUILT_IN, Key, logged_keys, sections
from rnnbench.report.results import read
from rnnbench.training.one_run import train

COMMITTED = Path(__file__).parents[2] / "experiments" / "results"
STUDIES = ["seqlen_perplexity", "initialisation", "all_tasks", "seqlen_throughput", "clipping"]


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


def specs(dashboard: Dashboard) -> list[dict[str, Any]]:
    return [spec(workspace(dashboard, "", "p")), spec(report(dashboard, "", "p"))]


def test_the_keys_told_are_those_sent_and_every_panel_refers_to_them_alone(study: Path) -> None:
    (run,) = (study / "wandb").glob("offline-run-*")
    keys = sent(inspected(run))
    assert {key for key in logged_keys(read([study])) if key.place != "run"} == keys
    for one in specs(read_dashboard(study)):
        assert references(one) <= keys | {Key("run", name) for name in BUILT_IN}
        kinds = {panel["viewType"] for panel in panels(one)}
        assert kinds >= {"Run History Line Plot", "Bar Chart", "Vega2", "Media Browser"}
        titles = {panel["config"].get("chartTitle") for panel in panels(one)}
        assert {"validation bpc", "hundredth lag along training"} <= titles


@pytest.mark.parametrize("name", STUDIES)
def test_committed_studies_refer_to_nothing_that_they_did_not_log(name: str) -> None:
    dashboard = read_dashboard(COMMITTED / "quick" / name)
    for one in specs(dashboard):
        assert references(one) <= dashboard.keys
        assert len(panels(one)) == sum(len(section.panels) for section in dashboard.sections)
    names = [section.name for section in dashboard.sections]
    timed = name == "seqlen_throughput"
    assert names == (["throughput", "system"] if timed else ["quality", "gradients", "throughput", "system"])


def test_a_key_that_nobody_logs_is_seen(study: Path) -> None:
    dashboard = read_dashboard(study)
    changed = spec(workspace(dashboard, "", "p"))
    for kind, key in (("Run History Line Plot", "val/bcp"), ("Bar Chart", "test/bcp")):
        next(panel for panel in panels(changed) if panel["viewType"] == kind)["config"]["metrics"].append(key)
    changed["section"]["runSets"][0]["grouping"].append({"section": "config", "name": "model.value.sise"})
    wrong = references(changed) - dashboard.keys
    assert wrong == {Key("history", "val/bcp"), Key("summary", "test/bcp"), Key("config", "model.sise")}


def test_a_panel_without_its_keys_is_left_out(study: Path) -> None:
    missing = {Key("history", "tokens"), Key("summary", "test/perplexity")}
    left = [
        panel for section in sections(["text"], [16], read_dashboard(study).keys - missing) for panel in section.panels
    ]
    assert left
    assert not any(panel.keys & missing for panel in left)
    assert sections(["text"], [16], frozenset()) == ()

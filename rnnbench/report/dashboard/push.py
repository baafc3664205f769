"""Saving workspace and report to a W&B server: never prompting, within bounds, twice to the same place."""

from __future__ import annotations

import json
import os
import textwrap
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rnnbench.errors import UserError
from rnnbench.report.dashboard.document import document, markdown_page
from rnnbench.report.dashboard.document import spec as report_spec
from rnnbench.report.dashboard.translate import libraries
from rnnbench.report.dashboard.view import View
from rnnbench.report.dashboard.workspace import spec as workspace_spec
from rnnbench.report.dashboard.workspace import view_name, workspace
from rnnbench.runs import friendly
from rnnbench.tracking import has_key, server

#: Seconds that a server may take for its first word, and for each answer after it.
FIRST_SECONDS, ANSWER_SECONDS = 6.0, 10

#: The id alone: wandb-workspaces' own query reads the spec, too, and refuses one that was edited on the page.
_VIEW = """
query WorkspaceId($entity: String, $project: String, $viewName: String, $viewType: String = "project-view") {
  project(name: $project, entityName: $entity) {
    allViews(viewType: $viewType, viewName: $viewName) { edges { node { id } } }
  }
}
"""


class Pushed(NamedTuple):
    """Where workspace and report are now. replaced: were there any, of an earlier push (a workspace, a report)?"""

    workspace: str
    report: str
    replaced: tuple[bool, bool]


def push(view: View, entity: str, project: str) -> Pushed:
    """Save both; what an earlier push of this study left in the project is replaced.

    Args:
        view: The study.
        entity: Whose project; "": the key's own.
        project: Made where there is none of that name.

    Raises:
        UserError: No wandb-workspaces, no key, no answer within seconds, or a server that refuses.
    """
    libraries()
    if not has_key():
        raise UserError("W&B needs a key to save a dashboard: `wandb login`, or set WANDB_API_KEY.")
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", str(ANSWER_SECONDS))
    address = server()
    _reach(address)
    import wandb

    try:
        api = wandb.Api(timeout=ANSWER_SECONDS)
        if not (owner := entity or api.default_entity):
            raise UserError(f"{address} knows no entity of this key; give one by --entity.")
        if project not in {known.name for known in api.projects(owner)}:
            api.create_project(project, owner)
        return _save(view, api, owner, project)
    except UserError:
        raise
    except Exception as error:
        told = textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …").rstrip(".")
        raise UserError(
            f"{address} did not take the dashboard ({told}); see whether the key may write to "
            f"{entity or 'its own entity'}/{project}, and push again."
        ) from error


def _save(view: View, api: Any, entity: str, project: str) -> Pushed:
    made = workspace(view, entity, project)
    made._internal_name = view_name(view.study)
    made._internal_id = _earlier_workspace(api, entity, project, made._internal_name)
    report = document(view, entity, project)
    report.id = next((old.id for old in api.reports(f"{entity}/{project}") if old.display_name == report.title), "")
    replaced = bool(made._internal_id), bool(report.id)
    made.save()
    report.save()
    return Pushed(made.url, report.url, replaced)


def _earlier_workspace(api: Any, entity: str, project: str, name: str) -> str:
    """W&B's id of the workspace that an earlier push has saved; "" where there is none."""
    from wandb_workspaces._graphql import execute_graphql

    found = execute_graphql(api, _VIEW, {"entity": entity, "project": project, "viewName": name})
    edges = ((found.get("project") or {}).get("allViews") or {}).get("edges") or []
    return str(edges[0]["node"]["id"]) if edges else ""


def _reach(address: str) -> None:
    """Ask the server for anything at all: wandb itself tries a dead one for minutes.

    Raises:
        UserError: No answer in time.
    """
    trouble: list[str] = ["no answer"]

    def ask() -> None:
        request = Request(f"{address}/graphql", b'{"query": "query Viewer { viewer { id } }"}',
                          {"Content-Type": "application/json"})  # fmt: skip
        try:
            with urlopen(request, timeout=FIRST_SECONDS):
                trouble.clear()
        except HTTPError as error:  # it answers: without a key most say 401
            trouble[:] = [f"it says {error.code} {error.reason}"] if error.code >= 500 else []
        except Exception as error:
            trouble[:] = [str(getattr(error, "reason", error))]

    thread = Thread(target=ask, daemon=True)  # looking up a name knows no timeout
    thread.start()
    thread.join(FIRST_SECONDS + 1)
    if trouble:
        raise UserError(f"{address} is out of reach ({trouble[0]}); nothing was saved: try again later.")


#: What is written: the workspace and the report as W&B takes them, and the report's words.
WORKSPACE, REPORT, PAGE = "workspace.json", "report.json", "report.md"


def write(view: View, entity: str, project: str, out: Path) -> list[Path]:
    """The three files; the same runs give the same bytes. entity: "" where it is not known yet.

    Raises:
        UserError: No wandb-workspaces, or the folder cannot be written.
    """
    made = workspace(view, entity, project)
    # Of no entity: with one, a server would be asked for the project's number, which W&B can do without.
    report = document(view, "", project)
    where = {"entityName": entity, "projectName": project}
    plain = {
        WORKSPACE: {
            "type": "project-view",
            "name": view_name(view.study),
            "displayName": made.name,
            **where,
            "spec": workspace_spec(made),
        },
        REPORT: {
            "type": "runs",
            "displayName": report.title,
            "description": report.description,
            **where,
            "spec": report_spec(report),
        },
    }
    texts = {name: json.dumps(value, indent=1, ensure_ascii=False) + "\n" for name, value in plain.items()}
    with friendly(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in (texts | {PAGE: markdown_page(view)}).items():
            (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in (WORKSPACE, REPORT, PAGE)]

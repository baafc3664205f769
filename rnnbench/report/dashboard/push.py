"""Saving workspace and report to a W&B server: never prompting, within bounds, twice to the same place."""

from __future__ import annotations

import os
import textwrap
from threading import Thread
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import wandb
from wandb_workspaces._graphql import execute_graphql

from rnnbench.errors import UserError
from rnnbench.report.dashboard.build import Dashboard, report, workspace
from rnnbench.tracking import has_key, server

#: Seconds that a server may take for its first word, and for each answer after it.
FIRST_SECONDS, ANSWER_SECONDS = 6.0, 10

#: The id alone: wandb-workspaces' own query reads the spec, too, and refuses one that was edited on the page.
WORKSPACE_ID = """
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


def push(dashboard: Dashboard, entity: str, project: str) -> Pushed:
    """Save both, in place of an earlier push's. entity: "" is the key's own; a project that is absent is made.

    Raises:
        UserError: No key, no answer within seconds, or a server that refuses.
    """
    if not has_key():
        raise UserError("W&B needs a key to save a dashboard: `wandb login`, or set WANDB_API_KEY.")
    os.environ.setdefault("WANDB_HTTP_TIMEOUT", str(ANSWER_SECONDS))
    address = server()
    _reach(address)

    try:
        api = wandb.Api(timeout=ANSWER_SECONDS)
        if not (owner := entity or api.default_entity):
            raise UserError(f"{address} knows no entity of this key; give one by --entity.")
        if project not in {known.name for known in api.projects(owner)}:
            api.create_project(project, owner)
        return _save(dashboard, api, owner, project)
    except UserError:
        raise
    except Exception as error:
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 200, placeholder=" …").rstrip(".")
        raise UserError(
            f"{address} did not take the dashboard ({reason}); see whether the key may write to "
            f"{entity or 'its own entity'}/{project}, and push again."
        ) from error


def _save(dashboard: Dashboard, api: Any, entity: str, project: str) -> Pushed:
    space, paper = workspace(dashboard, entity, project), report(dashboard, entity, project)
    names = {"entity": entity, "project": project, "viewName": space._internal_name}
    views = (execute_graphql(api, WORKSPACE_ID, names).get("project") or {}).get("allViews") or {}
    space._internal_id = next((str(edge["node"]["id"]) for edge in views.get("edges") or []), "")
    paper.id = next((old.id for old in api.reports(f"{entity}/{project}") if old.display_name == paper.title), "")
    replaced = bool(space._internal_id), bool(paper.id)
    space.save()
    paper.save()
    return Pushed(space.url, paper.url, replaced)


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

"""A W&B server on loopback, as far as wandb's own client can tell: it stores what it is sent, and answers from that.

GraphQL by the operation's name, history by ``file_stream``; any key of 40 characters is welcome.
"""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

KEY = "0123456789" * 4
ENTITY = "somebody"
TIME = "2026-11-27T12:00:00Z"


@dataclass
class WandbServer:
    """What has been stored.

    Args:
        url: For WANDB_BASE_URL.
        operations: Names of all GraphQL operations, in the order in which they came.
        projects: Names.
        runs: The variables of each UpsertBucket, by the run's id.
        views: Workspaces and reports by id, as they were sent, with the number of times they were.
        history: Rows by the run's id.
        summary: By the run's id.
        status: What GraphQL answers with; 200, unless a test wants a server in trouble.
    """

    url: str = ""
    operations: list[str] = field(default_factory=list)
    projects: set[str] = field(default_factory=set)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    views: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    summary: dict[str, dict[str, Any]] = field(default_factory=dict)
    status: int = 200

    def view(self, kind: str) -> dict[str, Any]:
        """The one stored view of a type: project-view (a workspace) or runs (a report); its spec is read."""
        (found,) = [view for view in self.views.values() if view["type"] == kind]
        return {**found, "spec": json.loads(found["spec"])}

    def graphql(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        """The data of an answer."""
        name = found[1] if (found := re.search(r"(?:query|mutation)\s+(\w+)", query)) else query.split("{")[1].strip()
        self.operations.append(name)
        answers: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "UpsertBucket": self._upsert_bucket, "UpsertView2": self._upsert_view, "upsertView": self._upsert_view,
            "WorkspaceId": self._workspace_id, "ProjectViews": self._views, "ProjectInternalId": self._project,
            "CreateProject": self._create_project,
            "CreateRunFiles": self._files, "CreateArtifact": self._artifact,
        }  # fmt: skip
        if name in answers:
            return answers[name](variables)
        if name == "GetProjects":
            nodes = [{"__typename": "Project", "id": "p1", "name": project, "entityName": ENTITY, "createdAt": TIME,
                      "isBenchmark": False, "user": None} for project in self.projects]  # fmt: skip
            page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
            return {"models": {"pageInfo": page, "edges": [{"node": node} for node in nodes]}}
        if "viewer" in query.lower():
            user = {"id": "u1", "entity": ENTITY, "username": ENTITY, "flags": "{}", "admin": False, "email": "a@b.c"}
            return {"viewer": user | {"teams": {"edges": []}, "apiKeys": {"edges": []}, "name": ENTITY}}
        return {"project": self._project({"projectName": next(iter(self.projects), "")})["project"]}

    def _create_project(self, variables: dict[str, Any]) -> dict[str, Any]:
        self.projects.add(variables["input"]["name"])
        return {
            "result": {"project": {"id": "p1", "name": variables["input"]["name"]}, "model": None, "inserted": True}
        }

    def _project(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables.get("projectName") or variables.get("name")
        return {"project": {"id": "p1", "internalId": "1", "name": name} if name in self.projects else None}

    def _upsert_bucket(self, variables: dict[str, Any]) -> dict[str, Any]:
        self.projects.add(variables["project"])
        told = {name: value for name, value in variables.items() if value is not None}
        self.runs[variables["name"]] = {**self.runs.get(variables["name"], {}), **told}
        project = {"id": "p1", "name": variables["project"], "entity": {"id": "e1", "name": ENTITY}}
        bucket = {"id": variables["name"], "name": variables["name"], "displayName": variables.get("displayName")}
        more = {"project": project, "historyLineCount": 0, "config": "{}", "sweepName": None, "description": None}
        return {"upsertBucket": {"bucket": bucket | more, "inserted": True}}

    def _files(self, variables: dict[str, Any]) -> dict[str, Any]:
        files = [{"name": name, "uploadUrl": f"{self.url}/storage/{name}"} for name in variables["files"]]
        return {"createRunFiles": {"runID": variables["run"], "uploadHeaders": [], "files": files}}

    def _artifact(self, variables: dict[str, Any]) -> dict[str, Any]:
        """A table's or a picture's: there already, so that nothing more is sent of it."""
        state = {"id": "a1", "state": "COMMITTED", "artifactSequence": {"id": "s1", "latestArtifact": None}}
        return {"createArtifact": {"artifact": state}}

    def _upsert_view(self, variables: dict[str, Any]) -> dict[str, Any]:
        known = variables.get("id") or None
        id = known or f"view{len(self.views) + 1}"
        times = self.views.get(id, {"times": 0})["times"] + 1
        self.views[id] = {**variables, "id": id, "times": times}
        project = {"id": "p1", "name": variables["projectName"], "entityName": variables["entityName"]}
        return {
            "upsertView": {"view": {**self.views[id], "project": project, "updatedAt": TIME}, "inserted": known is None}
        }

    def _workspace_id(self, variables: dict[str, Any]) -> dict[str, Any]:
        return self._views({"viewType": "project-view", **variables})

    def _views(self, variables: dict[str, Any]) -> dict[str, Any]:
        name = variables.get("viewName")
        found = [view for view in self.views.values()
                 if view["type"] == variables.get("viewType", "runs") and name in (None, view["name"])]  # fmt: skip
        user = {"username": ENTITY, "photoUrl": "", "email": ""}
        edges = [{"node": {**view, "user": user, "createdAt": TIME, "updatedAt": TIME}, "cursor": ""} for view in found]
        page = {"endCursor": "", "hasNextPage": False}
        return {"project": {"allViews": {"edges": edges, "pageInfo": page, "totalCount": len(edges)}}}

    def stream(self, run: str, files: dict[str, Any]) -> None:
        """A piece of a run's history or summary."""
        for name, part in files.items():
            lines = [json.loads(line) for line in part["content"]]
            if name == "wandb-history.jsonl":
                self.history.setdefault(run, []).extend(lines)
            elif name == "wandb-summary.json":
                self.summary[run] = lines[-1]


@contextmanager
def wandb_server() -> Iterator[WandbServer]:
    """The server, until the end of the block."""
    store = WandbServer()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            sent = json.loads(
                (gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body) or b"{}"
            )
            if self.path.endswith("/file_stream"):
                store.stream(self.path.split("/")[-2], sent.get("files") or {})
                return self._answer(200, {"exitcode": None, "limits": {}})
            if not self.path.endswith("/graphql"):  # telemetry
                return self._answer(200, {})
            if store.status != 200:
                return self._answer(store.status, {"errors": [{"message": "in trouble"}]})
            self._answer(200, {"data": store.graphql(sent["query"], sent.get("variables") or {})})

        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self._answer(200, {})

        do_GET = do_PUT

        def _answer(self, status: int, answer: dict[str, Any]) -> None:
            text = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """A client that has gone."""

    server = Quiet(("127.0.0.1", 0), Handler)
    store.url = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


def environment(url: str, home: str, key: str = KEY) -> dict[str, str]:
    """For a process whose wandb knows this server and this key, and nothing of the developer's."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    return plain | {"WANDB_BASE_URL": url, "HOME": home, **({"WANDB_API_KEY": key} if key else {})}

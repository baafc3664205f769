"""Workspace and report as files: what a push would send, and a page to read."""

from __future__ import annotations

import json
from pathlib import Path

from rnnbench.dashboard import document, words, workspace
from rnnbench.dashboard.view import View
from rnnbench.ledger import friendly

#: What is written: the workspace and the report as W&B takes them, and the report's words.
WORKSPACE, REPORT, PAGE = "workspace.json", "report.json", "report.md"


def write(view: View, entity: str, project: str, out: Path) -> list[Path]:
    """The three files; the same ledger gives the same bytes. entity: "" where it is not known yet.

    Raises:
        UserError: No wandb-workspaces, or the folder cannot be written.
    """
    made = workspace.workspace(view, entity, project)
    # Of no entity: with one, a server would be asked for the project's number, which W&B can do without.
    report = document.document(view, "", project)
    where = {"entityName": entity, "projectName": project}
    plain = {
        WORKSPACE: {
            "type": "project-view",
            "name": workspace.view_name(view.study),
            "displayName": made.name,
            **where,
            "spec": workspace.spec(made),
        },
        REPORT: {
            "type": "runs",
            "displayName": report.title,
            "description": report.description,
            **where,
            "spec": document.spec(report),
        },
    }
    texts = {name: json.dumps(value, indent=1, ensure_ascii=False) + "\n" for name, value in plain.items()}
    with friendly(out):
        out.mkdir(parents=True, exist_ok=True)
        for name, text in (texts | {PAGE: words.markdown_page(view)}).items():
            (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in (WORKSPACE, REPORT, PAGE)]

"""The notebooks run from a fresh kernel, and what is committed of them is what a reader should get to see."""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from support.notebooks import executed

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
NAMES = [path.stem for path in NOTEBOOKS]
#: Bytes: a repository keeps every version of every picture.
LARGEST = 250_000
#: What would tell whose machine it was, or which of its folders.
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|home|tmp|Users|usr|var|opt)\b|site-packages|0x[0-9a-f]{8}")


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def pictures(notebook: nbformat.NotebookNode) -> list[bytes]:
    found = [output.data["image/png"] for output in outputs(notebook) if "image/png" in output.get("data", {})]
    return [base64.b64decode(picture) for picture in found]


def complaints(notebook: nbformat.NotebookNode) -> list[str]:
    """What was written to stderr, warnings included."""
    return [output.text for output in outputs(notebook) if output.get("name") == "stderr"]


def test_the_five_are_there() -> None:
    """The glob above finds them: else all tests below would test nothing."""
    numbers = [name.split("_", 1)[0] for name in NAMES]
    assert numbers == ["01", "02", "03", "04", "05"]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem.startswith("04") else pytest.mark.slow, id=path.stem)
        for path in NOTEBOOKS
    ],
)
def test_it_runs_and_gives_what_is_committed(path: Path, tmp_path: Path) -> None:
    """Every cell, without an error (its asserts included), a warning or a file left beside it; as many pictures."""
    before = sorted(FOLDER.iterdir())
    copy = tmp_path / "checkout" / "notebooks" / path.name
    copy.parent.mkdir(parents=True)
    shutil.copy(path, copy)
    (tmp_path / "checkout" / "experiments").symlink_to(FOLDER.parent / "experiments")
    done = executed(copy)
    assert complaints(done) == []
    assert len(pictures(done)) == len(pictures(nbformat.read(path, as_version=4)))
    assert [left.name for left in copy.parent.iterdir()] == [path.name]
    assert sorted(FOLDER.iterdir()) == before


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_what_is_committed_was_run_once_from_top_to_bottom(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert complaints(notebook) == []
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert notebook.metadata.kernelspec.name == "python3"
    assert not [cell.metadata for cell in notebook.cells if cell.metadata]  # no clock times, a diff at every run


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_what_is_committed_is_small_and_shows_pictures_of_no_machine(path: Path) -> None:
    assert path.stat().st_size < LARGEST
    shown = pictures(nbformat.read(path, as_version=4))
    assert shown
    assert all(picture.startswith(b"\x89PNG") for picture in shown)
    text = re.sub(r'"image/png": "[^"]*"', "", path.read_text(encoding="utf-8"))
    assert MACHINE.findall(text) == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_its_links_lead_somewhere(path: Path) -> None:
    """To a notebook beside it, or to a heading of the README."""
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown")
    headings = re.findall(r"^#+ (.*)$", (FOLDER.parent / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        assert (FOLDER / file).is_file(), target
        assert not anchor or anchor in anchors, target

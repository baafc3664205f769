"""Runs a notebook from its first cell to its last in a kernel of its own: `make notebooks`, and the tests.

python tests/support/notebooks.py notebooks/*.ipynb    # again, with outputs, in place
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from unittest import mock

import nbformat
from nbclient import NotebookClient

#: One thread, nothing uploaded, no bar that redraws itself; a terminal's width for rich's tables.
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled", "TQDM_DISABLE": "1", "COLUMNS": "120"}


def executed(path: Path, timeout: int = 240) -> nbformat.NotebookNode:
    """The notebook with the outputs of a fresh run in its own folder; the file is left as it is.

    Args:
        path: The .ipynb file.
        timeout: Seconds a cell may take.

    Raises:
        CellExecutionError: A cell raised, or took too long.
    """
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    # What a run says of its machine (how long a cell took, which Python) would be another diff each time.
    client = NotebookClient(
        notebook, timeout=timeout, record_timing=False, resources={"metadata": {"path": str(path.parent)}}
    )
    client.create_kernel_manager().transport_encryption = "auto"  # else the kernel warns that others may listen
    with mock.patch.dict(os.environ, ENVIRONMENT):
        client.execute()
    notebook.metadata.language_info = {"name": "python"}
    return notebook


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"running {name}", flush=True)
        done = executed(Path(name))
        nbformat.write(done, name)

"""W&B dashboards as code: a workspace and a report of a study, made from what its runs log."""

import os
import warnings

from rnnbench.errors import UserError

os.environ.setdefault("WANDB_SILENT", "true")
try:
    with warnings.catch_warnings():  # of its own use of pydantic
        warnings.simplefilter("ignore", DeprecationWarning)
        import wandb_workspaces.reports.v2
        import wandb_workspaces.workspaces  # noqa: F401
except ImportError:
    raise UserError(
        "dashboards need wandb-workspaces, which is not installed; pip install 'rnnbench[dashboards]'."
    ) from None

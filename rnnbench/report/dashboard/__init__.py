"""W&B dashboards as code: a workspace and a report of a study, made from what its runs log."""

"""From finished runs to tables, figures and pages; it reads their folders and never trains."""

from rnnbench.report.compose import report, usual

__all__ = ["report", "usual"]

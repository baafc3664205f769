"""From the ledger to tables, figures and pages; it reads the ledger and never trains."""

from rnnbench.report.compose import report, usual

__all__ = ["report", "usual"]

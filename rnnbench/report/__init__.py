"""From the ledger to tables, figures and pages; it reads the ledger and never trains."""

from rnnbench.report.compose import report, writable

__all__ = ["report", "writable"]

"""Studies: a question, the runs that answer it, and the workers that do them."""

from rnnbench.sweep.study import Job, Study, find_study

__all__ = ["Job", "Study", "find_study"]

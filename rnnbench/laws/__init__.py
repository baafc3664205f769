"""The laws that bind every cell, one function each, and a check of one cell against all of them."""

from rnnbench.laws.check import LAWS, check
from rnnbench.laws.count import formulas
from rnnbench.laws.finding import Finding, Law
from rnnbench.laws.subject import Subject

__all__ = ["LAWS", "Finding", "Law", "Subject", "check", "formulas"]

"""The properties that every cell and backend must have, one function each, and a check of one cell for all of them."""

from rnnbench.conformance.cell_under_test import CellUnderTest
from rnnbench.conformance.check import PROPERTIES, check
from rnnbench.conformance.like import like
from rnnbench.conformance.parameter_count import formulas
from rnnbench.conformance.property import CheckResult, Property

__all__ = ["PROPERTIES", "CellUnderTest", "CheckResult", "Property", "check", "formulas", "like"]

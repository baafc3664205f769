"""All properties, each after those that it presupposes, and a check of one cell for them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rnnbench.config import CellConfig, Option
from rnnbench.conformance.cell_under_test import CellUnderTest, I
from rnnbench.conformance.construction import construction, reload
from rnnbench.conformance.contract import contract, copies, devices, start
from rnnbench.conformance.declarations import draws, selection
from rnnbench.conformance.dependence import batch, causality
from rnnbench.conformance.derivatives import gradient, linearity, tap
from rnnbench.conformance.gates import gates, views
from rnnbench.conformance.length import length
from rnnbench.conformance.modes import modes
from rnnbench.conformance.numerics import precision, range_of_inputs
from rnnbench.conformance.options import options as options_matter
from rnnbench.conformance.parameter_count import parameters
from rnnbench.conformance.property import CheckResult, Property
from rnnbench.conformance.sequences import chunk, determinism, reference
from rnnbench.conformance.side_effects import memory, purity
from rnnbench.conformance.sizes import sizes
from rnnbench.conformance.use import use
from rnnbench.errors import unknown

#: The tests check the cells of this package in bfloat16 as well; of others' cells it is not asked.
_BOTH = (torch.float32, torch.float64)
_SINGLE = (torch.float32,)

#: By name.
PROPERTIES: dict[str, Property] = {
    item.name: item
    for item in (
        Property("contract", contract, dtypes=_BOTH, required=True),
        Property("purity", purity, dtypes=_BOTH, required=True),
        Property("construction", construction, dtypes=_SINGLE, required=True),
        Property("reload", reload, dtypes=_SINGLE),
        Property("devices", devices),
        Property("start", start),
        Property("memory", memory),
        Property("draws", draws),
        Property("selection", selection),
        Property("copies", copies),
        Property("modes", modes),
        Property("determinism", determinism, backends=True, dtypes=_BOTH),
        Property("chunk", chunk, backends=True, dtypes=_BOTH),
        Property("reference", reference, backends=True, dtypes=_BOTH),
        Property("precision", precision, dtypes=_SINGLE),
        Property("range", range_of_inputs, dtypes=_SINGLE),
        Property("gradient", gradient),
        Property("tap", tap),
        Property("linearity", linearity),
        Property("gates", gates),
        Property("views", views),
        Property("causality", causality),
        Property("batch", batch),
        Property("use", use),
        Property("options", options_matter),
        Property("length", length, repeats=True),
        Property("sizes", sizes, repeats=True),
        Property("parameters", parameters),
    )
}


def check(
    cell: str | CellConfig,
    *,
    backends: Sequence[str] | None = None,
    device: str = "cpu",
    input_size: int = I,
    **options: Option,
) -> list[CheckResult]:
    """Check a cell for every property: on a few short random sequences, in a second or so.

    Args:
        cell: A registered name, or a `CellConfig`.
        backends: Those to look at; every one that can run the cell where not given.
        device: cpu or cuda.
        input_size: I, beside an H of 8; 8 for a cell that wants I = H.
        options: The cell's own.

    Returns:
        The results in the order of `PROPERTIES`, up to the first required one that fails, less those that repeat others
        where one fails; where that is purity, then those of the chunk property, which show what that does to a
        sequence. Before them, under the name ``backend``, those backends that do not run the cell, with their reason;
        of a property that the cell is exempt from, its reason. Of both ``ok`` is None.

    Raises:
        UserError: unknown cell, option or backend, a constructor that raises, a backend asked for that cannot, or an
            exemption from what is no property.
    """
    config = CellConfig.parse(cell)
    subject = CellUnderTest(CellConfig(config.name, {**config.options, **options}), backends, device, input_size)
    for name in subject.exempt:
        if name not in PROPERTIES:
            raise unknown(f"property that {config.name} is exempt from", name, PROPERTIES)
    refused = subject.refusals if backends is None else {}
    findings = [CheckResult("backend", name, "", None, None, reason) for name, reason in refused.items()]
    for item in PROPERTIES.values():
        if item.repeats and any(finding.ok is False for finding in findings):
            continue
        results = item.findings(subject)
        findings += results
        if item.required and any(result.ok is False for result in results):
            return findings + (PROPERTIES["chunk"].findings(subject) if item.name == "purity" else [])
    return findings

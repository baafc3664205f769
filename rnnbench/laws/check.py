"""All laws, in the order in which they presuppose each other, and a check of one cell against them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from rnnbench.config import CellConfig, Scalar
from rnnbench.laws.contract import contract, copies, memory, purity
from rnnbench.laws.count import parameters
from rnnbench.laws.derivatives import batch, causality, gradient, tap
from rnnbench.laws.finding import Finding, Law
from rnnbench.laws.gates import gates
from rnnbench.laws.sequences import chunk, determinism, reference
from rnnbench.laws.subject import I, Subject

#: The tests hold every cell here to the chunk and the reference law in bfloat16 as well; of others' it is not asked.
_BOTH = (torch.float32, torch.float64)

#: By name.
LAWS: dict[str, Law] = {
    law.name: law
    for law in (
        Law("contract", contract, dtypes=_BOTH, founding=True),
        Law("purity", purity, dtypes=_BOTH, founding=True),
        Law("memory", memory),
        Law("copies", copies),
        Law("determinism", determinism, backends=True, dtypes=_BOTH),
        Law("chunk", chunk, backends=True, dtypes=_BOTH),
        Law("reference", reference, backends=True, dtypes=_BOTH),
        Law("gradient", gradient),
        Law("tap", tap),
        Law("gates", gates),
        Law("causality", causality),
        Law("batch", batch),
        Law("parameters", parameters),
    )
}


def check(
    cell: str | CellConfig,
    *,
    backends: Sequence[str] | None = None,
    device: str = "cpu",
    input_size: int = I,
    **options: Scalar,
) -> list[Finding]:
    """Hold a cell against every law: on a few short random sequences, in a second or so.

    Args:
        cell: A registered name, or a `CellConfig`.
        backends: Those to look at; every one that can run the cell where not given.
        device: cpu or cuda.
        input_size: I, beside an H of 8; 8 for a cell that wants I = H.
        options: The cell's own.

    Returns:
        The findings in the order of `LAWS`, up to the first founding law that is broken; where that is purity, then
        the chunk law's, which show what that does to a sequence. Before them, under the name ``backend``, those
        backends that do not run the cell, with their reason (``ok`` is None).

    Raises:
        UserError: unknown cell, option or backend, a constructor that raises, or a backend asked for that cannot.
    """
    config = CellConfig.parse(cell)
    subject = Subject(CellConfig(config.name, {**config.options, **options}), backends, device, input_size)
    refused = subject.refusals if backends is None else {}
    findings = [Finding("backend", name, "", None, None, reason) for name, reason in refused.items()]
    for law in LAWS.values():
        found = law.findings(subject)
        findings += found
        if law.founding and any(finding.ok is False for finding in found):
            return findings + (LAWS["chunk"].findings(subject) if law.name == "purity" else [])
    return findings

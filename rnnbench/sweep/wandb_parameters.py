"""One parameter of a W&B sweep file: what values it may take, by W&B's distributions.

A draw is the quantile function at a number between 0 and 1, so it is a pure function of that number. The definitions
are those of the sweep configuration's reference, and of W&B's own engine (the package ``sweeps``) where it is silent:
a quantised value is the nearest multiple of q, which may lie outside min … max by half a q.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import NormalDist
from typing import Any

from scipy.special import betaincinv

from rnnbench.config.plain import quoted
from rnnbench.errors import UserError, unknown

_RANGE: dict[str, float | None] = {"min": None, "max": None}
_BELL: dict[str, float | None] = {"mu": 0.0, "sigma": 1.0}
#: A distribution's numbers, with their defaults (None: must be given).
NUMBERS: dict[str, dict[str, float | None]] = {
    "uniform": _RANGE,
    "log_uniform": _RANGE,
    "log_uniform_values": _RANGE,
    "inv_log_uniform": _RANGE,
    "inv_log_uniform_values": _RANGE,
    "normal": _BELL,
    "log_normal": _BELL,
    "beta": {"a": 1.0, "b": 1.0},
}
NUMBERS |= {f"q_{name}": numbers | {"q": 1.0} for name, numbers in NUMBERS.items() if not name.startswith("inv_")}
NUMBERS["int_uniform"] = _RANGE
#: The keys of the distributions without numbers.
LISTS = {"constant": ["value"], "categorical": ["values"], "categorical_w_probabilities": ["values", "probabilities"]}
#: Values that a grid may have in one parameter.
MOST = 100_000

Settings = Mapping[str, Any]


def _log_uniform_values(s: Settings, u: float) -> float:
    return math.exp(math.log(s["min"]) + u * (math.log(s["max"]) - math.log(s["min"])))


#: Quantile functions; log_uniform's and inv_log_uniform's min and max are exponents of e, the others' are values.
_QUANTILES: dict[str, Callable[[Settings, float], float]] = {
    "uniform": lambda s, u: s["min"] + u * (s["max"] - s["min"]),
    "log_uniform": lambda s, u: math.exp(s["min"] + u * (s["max"] - s["min"])),
    "log_uniform_values": _log_uniform_values,
    "inv_log_uniform": lambda s, u: math.exp(-s["max"] + u * (s["max"] - s["min"])),
    "inv_log_uniform_values": _log_uniform_values,  # log(1/x) uniform is log(x) uniform
    "normal": lambda s, u: s["mu"] + s["sigma"] * NormalDist().inv_cdf(u),
    "log_normal": lambda s, u: math.exp(s["mu"] + s["sigma"] * NormalDist().inv_cdf(u)),
    "beta": lambda s, u: betaincinv(s["a"], s["b"], u),
}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a sweep.

    Args:
        name: Dotted, as in a Run: ``data.seq_len``.
        distribution: One of W&B's names.
        settings: What the distribution takes, complete and checked.
    """

    name: str
    distribution: str
    settings: Settings

    @classmethod
    def parse(cls, name: str, settings: Settings) -> Parameter:
        """From the sweep file's mapping; where it names no distribution, the keys decide, as in W&B.

        Raises:
            UserError: What it says is none of the distributions.
        """
        values = dict(settings)
        kind = values.pop("distribution", None)
        if kind is None and (kind := _implied(values)) is None:
            raise UserError(
                f"parameter {name} must have value, values, min and max, parameters or a distribution, "
                f"got {quoted(dict(settings))}."
            )
        if not isinstance(kind, str) or kind not in {*NUMBERS, *LISTS}:
            raise unknown(f"distribution of {name}", plainly(kind), [*NUMBERS, *LISTS])
        known = NUMBERS.get(kind) or dict.fromkeys(LISTS[kind])
        for key in values:
            if key not in known:
                raise unknown(f"key of {name} ({kind})", plainly(key), known)
        for key, default in known.items():
            if key not in values and default is None:
                raise UserError(f"parameter {name} ({kind}) needs {key}, got {quoted(dict(settings))}.")
        complete = {**known, **values}
        _check(name, kind, complete)
        return cls(name, kind, complete)

    def grid(self) -> Sequence[Any]:
        """All its values, in order.

        Raises:
            UserError: They are too many, or not countable.
        """
        s = self.settings
        if self.distribution == "constant":
            return [s["value"]]
        if self.distribution == "categorical":
            return list(s["values"])
        if self.distribution not in ("int_uniform", "q_uniform"):
            raise UserError(
                f"a grid needs a list of values, but {self.name} is {self.distribution}; give values or use random."
            )
        # W&B's grid of q_uniform begins at min, not at a multiple of q, and leaves max out.
        step, end = (1, s["max"] + 1) if self.distribution == "int_uniform" else (s["q"], s["max"])
        if end - s["min"] > MOST * step:
            raise UserError(f"{self.name} has more than {MOST} values, too many for a grid; use random.")
        count = math.ceil((end - s["min"]) / step)
        return [_number(s["min"] + i * step, whole=_whole(s["min"]) and _whole(step)) for i in range(count)]

    def quantile(self, u: float) -> Any:
        """The value below which a share u of the draws lies, 0 < u < 1; of a list, the value whose share u falls into.

        Raises:
            UserError: It is too large for a number.
        """
        s = self.settings
        if self.distribution == "constant":
            return s["value"]
        if self.distribution == "categorical":
            return s["values"][int(u * len(s["values"]))]
        if self.distribution == "categorical_w_probabilities":
            last = max(i for i, share in enumerate(s["probabilities"]) if share > 0)  # the shares may add up to < 1
            return s["values"][min(bisect_right(list(accumulate(s["probabilities"])), u), last)]
        if self.distribution == "int_uniform":
            return s["min"] + int(u * (s["max"] - s["min"] + 1))
        try:
            x = float(_QUANTILES[self.distribution.removeprefix("q_")](s, u))
            if "q" in s:
                x = round(x / s["q"]) * s["q"]
        except (OverflowError, ValueError):
            x = math.inf
        if not math.isfinite(x):
            raise UserError(f"a draw of {self.name} ({self.distribution}) is too large; give it smaller numbers.")
        return _number(x, whole="q" in s and _whole(s["q"]))


def plainly(name: Any) -> str:
    """A name as it is, where it is one; else quoted."""
    return name if isinstance(name, str) and name.isidentifier() else quoted(name)


def _implied(settings: Settings) -> str | None:
    """The distribution that the keys imply."""
    if "value" in settings:
        return "constant"
    if "values" in settings:
        return "categorical_w_probabilities" if "probabilities" in settings else "categorical"
    if "min" in settings or "max" in settings:
        whole = all(isinstance(settings.get(key), int) for key in ("min", "max"))
        return "int_uniform" if whole else "uniform"
    return None


def _check(name: str, kind: str, s: Settings) -> None:
    """The numbers are numbers, and in order."""
    if "values" in s and (not isinstance(s["values"], list) or not s["values"]):
        raise UserError(f"values of {name} must be a list of at least one value, got {quoted(s['values'])}.")
    if "probabilities" in s:
        shares = s["probabilities"]
        if not isinstance(shares, list) or not all(_is_number(share) and share >= 0 for share in shares):
            raise UserError(f"probabilities of {name} must be a list of numbers from 0 to 1, got {quoted(shares)}.")
        if len(shares) != len(s["values"]) or not math.isclose(math.fsum(shares), 1.0, rel_tol=1e-5):
            raise UserError(
                f"probabilities of {name} must be as many as its {len(s['values'])} values and add up to 1, "
                f"got {quoted(shares)}."
            )
    for key in NUMBERS.get(kind, {}):
        if not _is_number(s[key]) or (kind == "int_uniform" and not isinstance(s[key], int)):
            what = "a whole number" if kind == "int_uniform" else "a number"
            raise UserError(f"{key} of {name} ({kind}) must be {what}, got {quoted(s[key])}.")
    if "min" in s and not s["min"] < s["max"]:
        raise UserError(f"min of {name} must be less than its max, got {s['min']} and {s['max']}.")
    for key in ("q", "a", "b", *(["min"] if kind.endswith("log_uniform_values") else [])):
        if key in s and not s[key] > 0:
            raise UserError(f"{key} of {name} ({kind}) must be positive, got {s[key]}.")
    if "sigma" in s and not s["sigma"] >= 0:
        raise UserError(f"sigma of {name} ({kind}) must be ≥ 0, got {s['sigma']}.")


def _number(x: float, whole: bool) -> float | int:
    """Three tenths for 3 · 0.1, and 16 for 16.0 where steps are whole: batch sizes are no floats."""
    return int(x) if whole else float(f"{x:.12g}")


def _whole(x: float) -> bool:
    return float(x).is_integer()


def _is_number(x: Any) -> bool:
    """A finite one that a float can hold."""
    return isinstance(x, int | float) and not isinstance(x, bool) and abs(x) < 1e300

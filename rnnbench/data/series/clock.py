"""What a clock tells: where in the day, the week and the year a time step lies."""

from __future__ import annotations

import numpy as np

from rnnbench.errors import UserError

_DAY = 86_400
#: Of a cycle, the share that training must have gone through for its phase to be told.
COVERED = 0.9


def time_features(clock: np.ndarray, train: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Sine and cosine of the phase in each cycle: time of day, day of the week, day of the year.

    A cycle is left out where its phase never changes in training (the time of day of daily data), and where training
    sees less than COVERED of it: at phases never trained on, a network's answer would be chance.

    Args:
        clock: (N,) datetime64.
        train: (N,) bool, True in the training part; nothing else decides anything.

    Returns:
        The cycles' names, K of them, and (N, 2 K) float64: sin 2πφ and cos 2πφ of each.

    Raises:
        UserError: No cycle is left.
    """
    seconds = clock.astype("datetime64[s]").astype(np.int64)
    days = seconds // _DAY
    years = clock.astype("datetime64[Y]").astype("datetime64[D]").astype(np.int64)
    phases = {
        "time of day": (seconds % _DAY / _DAY, 1.0),
        "day of week": ((days + 3) % 7 / 7, 7.0),  # day 0, 1970-01-01, was a Thursday; Monday is 0
        "day of year": ((days - years) / 365.2425, 365.2425),
    }
    trained = (seconds[train].max() - seconds[train].min()) / _DAY
    kept = {
        name: phase
        for name, (phase, length) in phases.items()
        if trained >= COVERED * length and len(np.unique(phase[train])) > 1
    }
    if not kept:
        raise UserError(
            f"data.time_features tell nothing here: the {trained:.3g} days of training go through neither a day, a "
            "week nor a year; leave them out or take a longer record."
        )
    waves = [wave(2 * np.pi * phase) for phase in kept.values() for wave in (np.sin, np.cos)]
    return tuple(kept), np.stack(waves, axis=1)

"""Curves over time in few bytes: rounded, thinned where a clip is long, null where unknown."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

LONGEST = 600
"""Frames of a clip that a curve shows; of more it shows every other, every third, and so on."""


def steps(count: int) -> int:
    """Return of how many frames a curve shows one.

    >>> steps(600), steps(601)
    (1, 2)
    """
    return max(1, math.ceil(count / LONGEST))


def rounded(values: Sequence[float] | np.ndarray, digits: int) -> list[float | None]:
    """Return numbers as JSON is to hold them; NaN becomes null, -0.0 becomes 0.

    >>> rounded([0.126, float("nan"), -0.001, 2.0], 2)
    [0.13, None, 0, 2]
    """
    return [_tidy(round(float(v), digits)) if math.isfinite(v) else None for v in values]


def _tidy(value: float) -> float:
    return int(value) if value == int(value) else value


def column(table: pa.Table, name: str) -> np.ndarray:
    """Return a column of numbers as float64, NaN for null."""
    values: np.ndarray = table[name].to_numpy(zero_copy_only=False).astype(np.float64)
    return values


def by_frame(table: pa.Table, name: str, count: int) -> np.ndarray:
    """Return a column of a table that lacks some frames, with NaN for these, shape (count,)."""
    values = np.full(count, np.nan)
    values[table["frame_index"].to_numpy()] = column(table, name)
    return values


def runs(flags: Sequence[bool] | np.ndarray) -> list[tuple[int, int]]:
    """Return first and last index of every run of true values.

    >>> runs([True, True, False, True])
    [(0, 1), (3, 3)]
    """
    found: list[tuple[int, int]] = []
    for index, flag in enumerate(flags):
        if flag and found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        elif flag:
            found.append((index, index))
    return found


def json_number(value: Any, digits: int = 3) -> float | None:
    """Return a number rounded, or None.

    >>> json_number(0.12345), json_number(None)
    (0.123, None)
    """
    return None if value is None else rounded([value], digits)[0]

"""Colours of nuclei by a measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import SettingsError

# Percentiles of the values that get the ends of the colours, so that one odd nucleus does not take all of them.
_ENDS = (2.0, 98.0)
# Columns that name a nucleus or its place in the stack.
_NAMES = ("index", "label", "time", "z")
_MISSING = (0.5, 0.5, 0.5, 1.0)
MOST_COLOURED = 200_000
"""More nuclei are not coloured one by one."""


class Coloured(NamedTuple):
    """Colours by label, and the values of the first and the last colour."""

    colours: dict[int | None, NDArray[np.float32]]
    least: float
    most: float


def measured_columns(table: Mapping[str, Any]) -> list[str]:
    """Return the names of the columns that nuclei can be coloured by."""
    return [name for name, values in table.items() if name not in _NAMES and np.asarray(values).dtype.kind in "iufb"]


def colours_by(
    labels: NDArray[Any], values: NDArray[Any], colours_of: Callable[[NDArray[np.float64]], NDArray[Any]]
) -> Coloured:
    """Return a colour for each nucleus. Nuclei without a value are grey; what has no row is transparent.

    Parameters
    ----------
    labels, values
        Label and value of each nucleus.
    colours_of
        Returns red, green, blue and alpha, 0 to 1, for numbers from 0 to 1.

    Raises
    ------
    SettingsError
        If there are more than `MOST_COLOURED` nuclei.

    Examples
    --------
    >>> grey = lambda shares: np.stack([shares, shares, shares, np.ones_like(shares)], axis=1)
    >>> coloured = colours_by(np.array([3, 5]), np.array([10.0, 20.0]), grey)
    >>> coloured.colours[3].tolist(), coloured.colours[5].tolist(), round(coloured.least, 1)
    ([0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 1.0], 10.2)
    """
    if len(labels) > MOST_COLOURED:
        raise SettingsError(f"colour: expected at most {MOST_COLOURED} nuclei, got {len(labels)}")
    numbers = np.asarray(values, np.float64)
    known = np.isfinite(numbers)
    least, most = np.percentile(numbers[known], _ENDS) if known.any() else (0.0, 1.0)
    shares = np.clip((numbers - least) / (most - least), 0, 1) if most > least else np.full(len(numbers), 0.5)
    rgba = np.asarray(colours_of(np.where(known, shares, 0.0)), np.float32)
    rgba[~known] = _MISSING
    colours: dict[int | None, NDArray[np.float32]] = dict(zip(np.asarray(labels).tolist(), rgba, strict=True))
    transparent = np.zeros(4, np.float32)
    return Coloured({**colours, None: transparent, 0: transparent}, float(least), float(most))

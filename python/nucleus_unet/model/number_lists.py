"""Lists of numbers in the JSON of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nucleus_unet.errors import BundleError

_LARGEST = 1e9


def read_number_lists(values: Any, lengths: Mapping[str, int], where: str) -> dict[str, tuple[float, ...]]:
    """Return lists of finite numbers by name.

    Parameters
    ----------
    values
        JSON object with the lists.
    lengths
        Length of each list by name.
    where
        Name of the object in messages.

    Raises
    ------
    BundleError
        If a list is missing, has another length or contains something else than finite numbers.
    """
    lists = {}
    for name, length in lengths.items():
        numbers = values.get(name) if isinstance(values, Mapping) else None
        if not isinstance(numbers, list) or len(numbers) != length or not all(map(_is_number, numbers)):
            raise BundleError(f"{where}.{name}: expected a list of {length} numbers")
        lists[name] = tuple(float(number) for number in numbers)
    return lists


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _LARGEST

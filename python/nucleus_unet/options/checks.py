"""Checks of the values of options. Each returns a plain value, or raises `SettingsError`."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

from nucleus_unet.errors import SettingsError
from nucleus_unet.measures.lengths import parse_length

Check = Callable[[str, Any], Any]
"""Takes the name of an option and a value."""

LARGEST = 2**31 - 1
"""The largest whole number that an option can have."""

MOST_WORKERS = 1024
"""The largest number of threads, and of images at once: more than any machine can use."""


def real_number(least: float = -math.inf, most: float = math.inf, what: str = "number") -> Check:
    """Return a check of finite numbers within bounds."""

    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise SettingsError(f"{name}: expected a {what}, got {value!r}")
        try:
            converted = float(value)
        except OverflowError:
            converted = math.inf
        if not math.isfinite(converted) or not least <= converted <= most:
            expected = f"a finite {what}" if math.isinf(least) else f"a {what} of {least:g} to {most:g}"
            raise SettingsError(f"{name}: expected {expected}, got {converted:g}")
        return converted

    return check


def whole_number(least: int, most: int = LARGEST) -> Check:
    """Return a check of whole numbers within bounds."""

    def check(name: str, value: Any) -> int:
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or not least <= int(value) <= most:
            bounds = f"of {least} to {most}" if most < LARGEST or (whole and value > most) else f"of at least {least}"
            raise SettingsError(f"{name}: expected a whole number {bounds}, got {value!r}")
        return int(value)

    return check


def area(name: str, value: Any) -> int | float:
    """Accept a number of pixels, or a share between 0 and 1."""
    number = float(real_number()(name, value))
    if 0 < number < 1:
        return number
    if number < 0 or number != int(number) or number > LARGEST:
        raise SettingsError(
            f"{name}: expected a whole number of pixels, 0 or more, or a share of the median area between 0 and 1, "
            f"got {value!r}"
        )
    return int(number)


def truth_value(name: str, value: Any) -> bool:
    """Accept True or False, also of numpy."""
    if not isinstance(value, bool) and not (str(getattr(value, "dtype", "")) == "bool" and value.shape == ()):
        raise SettingsError(f"{name}: expected True or False, got {value!r}")
    return bool(value)


def one_of(*words: str) -> Check:
    """Return a check of known words."""

    def check(name: str, value: Any) -> str:
        if value not in words:
            raise SettingsError(f"{name}: expected {' or '.join(map(repr, words))}, got {value!r}")
        return str(value)

    return check


def text(name: str, value: Any) -> str:
    """Accept text."""
    if not isinstance(value, str):
        raise SettingsError(f"{name}: expected text, got {value!r}")
    return value


def length(name: str, value: Any) -> float | str:
    """Accept a length in pixels or micrometres, which is resolved when the pixel size is known."""
    parse_length(name, value)
    return value if isinstance(value, str) else float(value)


def show(name: str, value: Any) -> Any:
    """Accept a truth value, or a function that shows progress."""
    if not isinstance(value, bool) and (not callable(value) or isinstance(value, type)):
        raise SettingsError(f"{name}: expected True, False or a function of (step, done, total), got {value!r}")
    return value


def event(name: str, value: Any) -> Any:
    """Accept an event such as that of `threading`."""
    if isinstance(value, type) or not callable(getattr(value, "is_set", None)):
        raise SettingsError(f"{name}: expected an event such as threading.Event(), got {value!r}")
    return value


def anything(_name: str, value: Any) -> Any:
    """Accept what the reader of the value checks."""
    return value

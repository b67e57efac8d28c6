"""Check what people give for a path."""

from __future__ import annotations

import os
from pathlib import Path

from nucleus_unet.errors import SettingsError


def check_path(value: object, name: str) -> Path:
    """Return a path.

    Parameters
    ----------
    value
        A string or a path.
    name
        Of the argument, for the message.

    Raises
    ------
    SettingsError
        If it is something else, is empty, or holds a NUL character, which no file system takes.

    Examples
    --------
    >>> check_path("a.tif", "path").suffix
    '.tif'
    """
    text = os.fspath(value) if isinstance(value, str | os.PathLike) else None
    if not isinstance(text, str):
        raise SettingsError(f"{name}: expected a path, got {value!r}")
    if not text:
        raise SettingsError(f"{name}: expected a path, got an empty one")
    if "\0" in text:
        raise SettingsError(f"{name}: expected a path, got one with a NUL character: {text!r}")
    return Path(text)

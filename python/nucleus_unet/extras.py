"""Packages that not everybody needs: imported where they are used, or named with the command that installs them."""

from __future__ import annotations

from typing import Any

from nucleus_unet.errors import MissingExtraError


def require(module: str, why: str, *, extra: str) -> Any:
    """Import a module, and return its top-level package as the ``import`` statement does.

    Parameters
    ----------
    module
        Its full name.
    why
        What needs it, as the beginning of a sentence.
    extra
        Of this package; what installs it.

    Raises
    ------
    MissingExtraError
        If it is not installed; the message names the command.

    Examples
    --------
    >>> require("os.path", "paths need it", extra="plot").path.basename("a/b")
    'b'
    """
    try:
        return __import__(module)
    except ImportError as error:
        raise MissingExtraError(f"{why}: pip install 'nucleus-unet[{extra}]'") from error

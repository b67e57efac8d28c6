"""Unpack bytes of gzip that may come from strangers."""

from __future__ import annotations

import gzip
import io

MOST_BYTES = 2**30
"""A small file may unpack to more than memory holds: beyond this it is refused."""


def unpacked(content: bytes) -> bytes:
    r"""Return bytes as they are, or unpacked if they begin as gzip does.

    Raises
    ------
    ValueError
        If there are more than `MOST_BYTES`.
    OSError, EOFError, zlib.error
        If they are damaged.

    Examples
    --------
    >>> unpacked(gzip.compress(b"{}")), unpacked(b"{}")
    (b'{}', b'{}')
    """
    if not content.startswith(b"\x1f\x8b"):
        return content
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        found = file.read(MOST_BYTES + 1)
    if len(found) > MOST_BYTES:
        raise ValueError(f"it unpacks to more than {MOST_BYTES >> 20} MB")
    return found

"""Read JSON that may be compressed by gzip and may come from strangers."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from typing import Any

# A small file may unpack to more than memory holds. Beyond this it is refused.
_MAX_BYTES = 2**30


def read_packed_json(content: bytes) -> Any:
    r"""Return the values of JSON text, which is unpacked first if it begins as gzip does.

    Raises
    ------
    ValueError
        If the text is damaged, is nested too deeply, or unpacks to more than a gigabyte.

    Examples
    --------
    >>> read_packed_json(gzip.compress(b"[1, 2]")), read_packed_json(b"{}")
    ([1, 2], {})
    """
    try:
        return json.loads(_unpack(content) if content.startswith(b"\x1f\x8b") else content)
    except (EOFError, RecursionError, OSError, zlib.error) as error:
        raise ValueError(str(error)) from error


def _unpack(content: bytes) -> bytes:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        unpacked = file.read(_MAX_BYTES + 1)
    if len(unpacked) > _MAX_BYTES:
        raise ValueError(f"it unpacks to more than {_MAX_BYTES >> 20} MB")
    return unpacked

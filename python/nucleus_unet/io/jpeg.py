"""The structure of JPEG files: where they end, and what their markers say."""

from __future__ import annotations

import re
from collections.abc import Iterator

# In the data of a scan, FF is followed by 0 or by a restart marker, or by further FF.
_NEXT_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])")
_START_OF_SCAN, _END = 0xDA, 0xD9
# Markers that stand alone: TEM, and the start of the image.
_ALONE = (0x01, 0xD8)


def segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield each marker of a JPEG stream and the data of its segment, up to the end of the image."""
    position = 2
    while match := _NEXT_MARKER.search(content, position):
        marker, position = match.group(1)[0], match.end()
        if marker in _ALONE:
            continue
        if marker == _END:
            yield marker, b""
            return
        length = int.from_bytes(content[position : position + 2], "big")
        yield marker, content[position + 2 : position + length]
        position += max(length, 2)


def end_of_jpeg(content: bytes) -> int | None:
    """Return the number of bytes of a JPEG stream, which others may follow. None if its end is missing.

    Examples
    --------
    >>> end_of_jpeg(b"\\xff\\xd8\\xff\\xda\\0\\2data\\xff\\xd9 and more"), end_of_jpeg(b"\\xff\\xd8\\xff\\xda\\0\\2da")
    (12, None)
    """
    position = 2
    while match := _NEXT_MARKER.search(content, position):
        marker, position = match.group(1)[0], match.end()
        if marker == _END:
            return position
        if marker not in _ALONE:
            position += max(int.from_bytes(content[position : position + 2], "big"), 2)
    return None

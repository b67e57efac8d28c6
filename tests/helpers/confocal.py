"""Files of confocal microscopes, laid out as their makers' formats are."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

_SCAN_TYPE_STACK = 0


def write_lsm(path: Path, stack: NDArray[Any], *, micrometres: float, compression: str | None = None) -> Path:
    """Write planes with channels, (Z, C, Y, X), as a Zeiss LSM file: channels are planar samples."""
    depth, channels, height, width = stack.shape
    info = struct.pack("<Iiiiiiiiii", 67127628, 500, width, height, depth, channels, 1, 1, 8, 8)
    info += struct.pack("<ddd", micrometres * 1e-6, micrometres * 1e-6, 1e-6) + bytes(24)
    info += struct.pack("<HH", _SCAN_TYPE_STACK, 0) + bytes(408)
    tag = (34412, 1, len(info), info, True)
    kind = "rgb" if channels == 3 else "minisblack"
    separate = "separate" if channels > 1 else None
    with tifffile.TiffWriter(path, byteorder="<") as file:
        for number, plane in enumerate(stack):
            file.write(
                plane if channels > 1 else plane[0],
                photometric=kind,
                planarconfig=separate,
                compression=compression,
                metadata=None,
                extratags=[tag] if number == 0 else [],
            )
            thumbnail = np.ascontiguousarray(plane[:, :8, :8])
            file.write(
                thumbnail if channels > 1 else thumbnail[0],
                photometric=kind,
                planarconfig=separate,
                subfiletype=1,
                metadata=None,
            )
    return path


def write_stk(path: Path, stack: NDArray[np.uint8]) -> Path:
    """Write planes, (Z, Y, X), as a MetaMorph stack: one page whose tags speak of several planes behind each other."""
    planes, height, width = stack.shape
    data = stack.tobytes()
    distances = np.zeros((planes, 6), "<u4")
    distances[:, :2] = 1
    at = 8 + len(data)
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, height * width)]
    tags += [(33628, 4, 1, at), (33629, 5, planes, at)]
    page = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *each) for each in tags) + bytes(4)
    start = struct.pack("<I", at + distances.nbytes)
    path.write_bytes(b"II*\0" + start + data + distances.tobytes() + page)
    return path

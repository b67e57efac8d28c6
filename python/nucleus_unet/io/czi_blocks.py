"""The blocks of CZI files (Zeiss): where each lies in the image, and its pixels.

A CZI file is a list of segments. Its directory lists the blocks: the pixels of a rectangle of one plane each. Packages
that read the format are no choice here: for Python 3.11 there is only a version of czifile from 2019, which lacks the
compression that ZEN uses now (Zstandard) and whose successor has other functions, and those on libCZI are LGPL.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from nucleus_unet.errors import ImageError
from nucleus_unet.io.segments import LARGEST_SEGMENT

_SEGMENT = struct.Struct("<16sqq")  # identifier, bytes allocated, bytes used
_HEADER = struct.Struct("<4i32siqqiq")  # version, two GUIDs, part, directory, metadata, pending, attachments
_ENTRY = struct.Struct("<2siqii6si")  # schema, pixel type, position, part, compression, pyramid, dimensions
_DIMENSION = struct.Struct("<4siifi")  # letter, start, size, coordinate, stored size
_BLOCK = struct.Struct("<iiq")  # bytes of metadata, of attachments and of pixels
_SHORTEST_BLOCK_HEADER = 256
_RESERVED = 124  # bytes between the number of entries and the first

# By number of the type: dtype, and the number of samples, which are stored from blue to red.
_PIXELS = {
    0: ("<u1", 1),
    1: ("<u2", 1),
    2: ("<f4", 1),
    3: ("<u1", 3),
    4: ("<u2", 3),
    8: ("<f4", 3),
    9: ("<u1", 4),
    12: ("<i4", 1),
}
_STORED, _JPEG, _LZW, _JPEG_XR, _ZSTD, _ZSTD_PACKED = 0, 1, 2, 4, 5, 6
_COMPRESSIONS = (_STORED, _JPEG, _LZW, _JPEG_XR, _ZSTD, _ZSTD_PACKED)


@dataclass(frozen=True)
class Block:
    """An entry of the directory.

    Attributes
    ----------
    index
        Number along each axis but X, Y and M (the order in which blocks of a mosaic lie upon each other).
    top, left, height, width
        Place in the image, in pixels of the full resolution.
    stored
        Height and width of the pixels in the file. They differ for levels of a pyramid.
    order
        Blocks of a higher order lie on those of a lower one.
    dtype, samples
        Data type of a value, and number of samples of a pixel.
    compression
        Number of the compression.
    position
        Byte offset of the block's segment in the file.
    """

    index: Mapping[str, int]
    top: int
    left: int
    height: int
    width: int
    stored: tuple[int, int]
    order: int
    dtype: np.dtype[Any]
    samples: int
    compression: int
    position: int


class CziBlocks:
    """The directory of a CZI file, its metadata, and the pixels of its blocks. Several threads may read at once.

    Parameters
    ----------
    path
        Of the file.

    Attributes
    ----------
    blocks
        In the order of the directory.
    metadata
        XML, possibly empty.

    Raises
    ------
    ImageError
        If the file is damaged, incomplete, or of a kind that is not read.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            *_, part, directory, metadata, _, _ = self._unpack(_HEADER, self._segment(0, b"ZISRAWFILE"))
            if part:
                raise ImageError("expected a whole CZI file, got one part of several; save it as one file first")
            self.blocks = tuple(self._directory(directory))
            self.metadata = self._metadata(metadata) if metadata else b""
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._data.close()

    def _unpack(self, layout: struct.Struct, position: int) -> tuple[Any, ...]:
        if not 0 <= position <= len(self._data) - layout.size:
            raise ImageError(f"it is damaged: expected data at byte {position}, the file has {len(self._data)} bytes")
        return layout.unpack_from(self._data, position)

    def _segment(self, position: int, name: bytes) -> int:
        """Return where the data of a segment begin."""
        found = self._unpack(_SEGMENT, position)[0].rstrip(b"\0")
        if found != name:
            raise ImageError(f"it is damaged: expected the segment {name.decode()} at byte {position}, got {found!r}")
        return position + _SEGMENT.size

    def _directory(self, position: int) -> Iterator[Block]:
        start = self._segment(position, b"ZISRAWDIRECTORY")
        (count,) = struct.unpack_from("<i", self._data, start)
        place = start + 4 + _RESERVED
        for _ in range(count):
            block, size = self._entry(place)
            yield block
            place += size

    def _entry(self, place: int) -> tuple[Block, int]:
        schema, kind, position, part, compression, _, count = self._unpack(_ENTRY, place)
        if schema != b"DV":
            raise ImageError(f"it is damaged: expected an entry of its directory at byte {place}, got {schema!r}")
        if part:
            raise ImageError("expected a whole CZI file, got one part of several; save it as one file first")
        if kind not in _PIXELS:
            raise ImageError(f"its pixels are of type {kind}, which is not read (complex numbers, for example)")
        starts, sizes, stored = {}, {}, {}
        for number in range(count):
            letters, first, size, _, kept = self._unpack(_DIMENSION, place + _ENTRY.size + number * _DIMENSION.size)
            letter = letters.rstrip(b"\0 ").decode("ascii", "replace")
            starts[letter], sizes[letter], stored[letter] = first, size, kept or size
        if min(sizes.get("X", 0), sizes.get("Y", 0), stored.get("X", 0), stored.get("Y", 0)) <= 0:
            raise ImageError("it is damaged: a block of its directory has no width or height")
        dtype, samples = _PIXELS[kind]
        block = Block(
            index={letter: first for letter, first in starts.items() if letter not in "XYM"},
            top=starts["Y"],
            left=starts["X"],
            height=sizes["Y"],
            width=sizes["X"],
            stored=(stored["Y"], stored["X"]),
            order=starts.get("M", 0),
            dtype=np.dtype(dtype),
            samples=samples,
            compression=compression,
            position=position,
        )
        return block, _ENTRY.size + count * _DIMENSION.size

    def _metadata(self, position: int) -> bytes:
        start = self._segment(position, b"ZISRAWMETADATA")
        size, _ = struct.unpack_from("<ii", self._data, start)
        content = self._data[start + _SHORTEST_BLOCK_HEADER : start + _SHORTEST_BLOCK_HEADER + max(size, 0)]
        return content.rstrip(b"\0")

    def pixels(self, block: Block) -> NDArray[Any]:
        """Return the pixels of a block, (h, w) or, in the order of red, green and blue, (h, w, samples).

        Raises
        ------
        ImageError
            If they are damaged.
        """
        shape = (*block.stored, block.samples) if block.samples > 1 else block.stored
        size = int(np.prod(shape, dtype=np.float64)) * block.dtype.itemsize
        start = self._segment(block.position, b"ZISRAWSUBBLOCK")
        before, _, length = self._unpack(_BLOCK, start)
        count = self._unpack(_ENTRY, start + _BLOCK.size)[-1]
        header = max(_SHORTEST_BLOCK_HEADER, _BLOCK.size + _ENTRY.size + count * _DIMENSION.size)
        first = start + header + max(before, 0)
        if count < 0 or not 0 <= length <= len(self._data) - first:
            raise ImageError(f"it is damaged: a block at byte {first} ends after the file")
        if block.compression == _STORED:
            if length < size:
                raise ImageError(f"it is damaged: expected {size} bytes of pixels, got {length}")
            pixels = np.ndarray(shape, block.dtype, self._data, first)
        else:
            if size > LARGEST_SEGMENT:
                raise ImageError(
                    f"its blocks are too large to be read in parts ({block.stored[0]} x {block.stored[1]})"
                )
            pixels = _decode(self._data[first : first + length], block, shape, size)
        if block.samples == 1 or block.compression in (_JPEG, _JPEG_XR):
            return pixels
        return pixels[..., [2, 1, 0, 3][: block.samples]]


def _decode(data: bytes, block: Block, shape: tuple[int, ...], size: int) -> NDArray[Any]:
    if block.compression not in _COMPRESSIONS:
        raise ImageError(f"its compression, number {block.compression}, is not read; save it with another first")
    decode: Callable[..., Any]
    try:
        if block.compression in (_JPEG, _JPEG_XR):
            decode = imagecodecs.jpeg8_decode if block.compression == _JPEG else imagecodecs.jpegxr_decode
            pixels = np.asarray(decode(data))
        elif block.compression == _ZSTD_PACKED:
            pixels = np.frombuffer(_unpack_zstd(data, size, block.dtype.itemsize), block.dtype)
        else:
            decode = imagecodecs.lzw_decode if block.compression == _LZW else imagecodecs.zstd_decode
            pixels = np.frombuffer(decode(data, out=size), block.dtype)
    except Exception as error:  # codecs raise exceptions of their own classes for damaged data
        raise ImageError(f"a block is damaged ({type(error).__name__}: {error})") from error
    if pixels.size != int(np.prod(shape)) or pixels.dtype != block.dtype:
        raise ImageError(f"a block is damaged: expected pixels of shape {shape}, got {pixels.shape}")
    return pixels.reshape(shape)


def _unpack_zstd(data: bytes, size: int, itemsize: int) -> bytes:
    """Decode Zstandard with a header of its own: the low bytes of all numbers may come before all high ones."""
    header = data[0]
    packed = header >= 3 and data[1] == 1 and bool(data[2] & 1)
    content = bytes(imagecodecs.zstd_decode(data[header:], out=size))
    if not packed or itemsize != 2:
        return content
    halves = np.frombuffer(content, np.uint8).reshape(2, -1)
    return np.ascontiguousarray(halves.T).tobytes()

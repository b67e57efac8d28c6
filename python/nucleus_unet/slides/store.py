"""Files of arrays for intermediate results: compressed, written atomically, and checked by a checksum when read."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from nucleus_unet.errors import DataError
from nucleus_unet.io.atomic import write_atomically

logger = logging.getLogger(__name__)

_CHECKSUM_BYTES = hashlib.sha256().digest_size
# Part of the checksum. Records with another layout count as damaged and are made again.
_LAYOUT = b"arrays packed one by one, lz4"
# Maps take a quarter more bytes than by zstd at its fastest level, and half the time.
_LZ4_ACCELERATION = 8


def write_record(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write named arrays to a file atomically."""
    # Arrays are compressed in place. Concatenating them first would copy many megabytes.
    content = save({_key(name, array): _compress(array) for name, array in arrays.items()})
    write_atomically(path, _checksum(content) + content)


def read_record(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays that `write_record` wrote. They are read-only.

    Raises
    ------
    DataError
        If the file is damaged.
    FileNotFoundError
        If the file does not exist.
    """
    content = _content(path)
    if content is None:
        raise DataError(f"{path} is damaged or of another version; run again to replace it")
    return dict(_decompress(key, packed) for key, packed in load(content).items())


def is_intact(path: Path) -> bool:
    """Whether a record exists and is intact. A damaged record is deleted."""
    if not path.exists():
        return False
    if _content(path) is not None:
        return True
    logger.warning("%s is damaged or of another version, and is made again", path)
    path.unlink()
    return False


def _content(path: Path) -> bytes | None:
    """Return the data after the checksum, or None if the checksum does not match."""
    data = path.read_bytes()
    checksum, content = data[:_CHECKSUM_BYTES], data[_CHECKSUM_BYTES:]
    return content if _checksum(content) == checksum else None


def _checksum(content: bytes) -> bytes:
    checksum = hashlib.sha256(_LAYOUT)
    checksum.update(content)
    return checksum.digest()


def _key(name: str, array: NDArray[Any]) -> str:
    """Return a key with the name, dtype and shape of an array, which compression removes."""
    return json.dumps([name, array.dtype.str, array.shape])


def _compress(array: NDArray[Any]) -> NDArray[np.uint8]:
    # imagecodecs copies arrays of more than one dimension.
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    packed = imagecodecs.lz4_encode(flat, level=_LZ4_ACCELERATION, header=True)  # type: ignore[arg-type]
    return np.frombuffer(packed, np.uint8)


def _decompress(key: str, packed: NDArray[np.uint8]) -> tuple[str, NDArray[Any]]:
    name, dtype, shape = json.loads(key)
    data = imagecodecs.lz4_decode(packed, header=True)  # type: ignore[arg-type]
    return name, np.frombuffer(data, dtype).reshape(shape)

"""Files of arrays between the steps of a run: compressed, whole or absent, and never believed if damaged."""

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

_DIGEST = hashlib.sha256().digest_size
# Counts in the digest, so that a record of another layout is as good as a damaged one: made anew.
_LAYOUT = b"arrays packed one by one"
# Maps compress to a tenth at the quickest level, and little more at slower ones.
_EFFORT = 1


def write_record(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write named arrays to a file that is there whole or not at all."""
    # Each where it lies: to put them together first would copy maps of many megabytes.
    content = save({_key(name, array): _packed(array) for name, array in arrays.items()})
    write_atomically(path, _digest(content) + content)


def read_record(path: Path) -> dict[str, NDArray[Any]]:
    """Read what `write_record` wrote; the arrays are not to be written to.

    Raises
    ------
    DataError
        If the file is not as it was written.
    FileNotFoundError
        If it is absent.
    """
    content = _content(path)
    if content is None:
        raise DataError(f"{path} is damaged or of another version; run again, and it will be made anew")
    return dict(_unpacked(key, packed) for key, packed in load(content).items())


def is_whole(path: Path) -> bool:
    """Whether a record is there as it was written; a damaged one is removed."""
    if not path.exists():
        return False
    if _content(path) is not None:
        return True
    logger.warning("%s is damaged or of another version, and will be made anew", path)
    path.unlink()
    return False


def _content(path: Path) -> bytes | None:
    """Return what is behind the digest; None if that is not what the digest says."""
    data = path.read_bytes()
    digest, content = data[:_DIGEST], data[_DIGEST:]
    return content if _digest(content) == digest else None


def _digest(content: bytes) -> bytes:
    digest = hashlib.sha256(_LAYOUT)
    digest.update(content)
    return digest.digest()


def _key(name: str, array: NDArray[Any]) -> str:
    """Return a name that also tells what is lost when an array is packed."""
    return json.dumps([name, array.dtype.str, array.shape])


def _packed(array: NDArray[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(imagecodecs.zstd_encode(array.data, _EFFORT), np.uint8)  # type: ignore[arg-type]


def _unpacked(key: str, packed: NDArray[np.uint8]) -> tuple[str, NDArray[Any]]:
    name, dtype, shape = json.loads(key)
    data = imagecodecs.zstd_decode(packed.data)  # type: ignore[arg-type]
    return name, np.frombuffer(data, dtype).reshape(shape)

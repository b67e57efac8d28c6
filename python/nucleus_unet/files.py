"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

_UMASK = os.umask(0)
os.umask(_UMASK)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write beside the target, flush to disk, then rename onto it.

    Parameters
    ----------
    path
        Its folder is made if missing; an existing file is replaced whole or not at all.
    content
        Text is written as UTF-8; a file name's bytes that are none are written as they were.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode(errors="surrogateescape") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=".nucleus-unet-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; the result gets what the user's umask gives every other file.
        Path(temporary).chmod(0o666 & ~_UMASK)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise

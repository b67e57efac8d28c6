"""Locks for folders that one process at a time may write to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nucleus_unet.errors import SettingsError

LOCK = "lock"


@contextmanager
def locked(folder: Path, *, patience: float, busy: str, name: str = LOCK) -> Iterator[None]:
    """Lock an existing folder. The operating system releases the lock if the process is killed.

    Parameters
    ----------
    folder
        Folder for the lock file, which is not deleted.
    patience
        Seconds to wait if another process holds the lock.
    busy
        Error message if the other process does not release the lock.
    name
        Name of the lock file.

    Raises
    ------
    SettingsError
        If another process holds the lock. The message is ``busy``.
    """
    lock = FileLock(folder / name, timeout=patience)
    try:
        lock.acquire()
    except Timeout:
        raise SettingsError(busy) from None
    try:
        yield
    finally:
        lock.release()

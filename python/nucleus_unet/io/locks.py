"""One process at a time in a folder that long work fills."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from nucleus_unet.errors import SettingsError

LOCK = "lock"


@contextmanager
def locked(folder: Path, *, patience: float, busy: str, name: str = LOCK) -> Iterator[None]:
    """Hold a folder, which must exist. The system lets go of it when the process is killed.

    Parameters
    ----------
    folder
        Gets the lock's file, which stays.
    patience
        Seconds to wait for another process.
    busy
        What to say if that one does not let go.
    name
        Of the lock, where a folder has several.

    Raises
    ------
    SettingsError
        With ``busy`` as its message.
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

"""Writing files so that nobody ever sees half of one, and reading those that somebody may have damaged."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from nucleus_unet.errors import SettingsError

_UMASK = os.umask(0)
os.umask(_UMASK)

TEMPORARY = ".nucleus-unet-"


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write beside the target, flush to disk, then rename onto it.

    Parameters
    ----------
    path
        Its folder is made if missing; an existing file is replaced whole or not at all.
    content
        Text is written as UTF-8; a file name's bytes that are none are written as they were.
    """
    with written_atomically(path) as file:
        file.write(content.encode(errors="surrogateescape") if isinstance(content, str) else content)


def read_json(path: Path) -> Any:
    """Read a JSON file; raise `ValueError` if it is damaged in whatever way."""
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def check_writable(folder: Path) -> None:
    """Find out before long work whether a folder, which may be missing, takes files.

    Raises
    ------
    OSError
        It does not.
    """
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    if not existing.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(existing))


def check_output_folder(folder: Path, what: str) -> None:
    """Find out before long work whether files can go to a folder.

    Raises
    ------
    SettingsError
        It is a file; ``what`` says for what it was wanted.
    OSError
        It takes no files.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder}: expected a folder for {what}, found a file")
    check_writable(folder)


def check_new_folder(folder: Path, what: str) -> None:
    """Find out before long work whether a folder can be made whole.

    Raises
    ------
    SettingsError
        There is something already; ``what`` says for what it was wanted.
    OSError
        The folder around it takes no files.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise SettingsError(f"{folder}: expected a new or empty folder for {what}, found something already there")
    check_writable(folder.absolute().parent)


@contextmanager
def folder_written_atomically(folder: Path) -> Iterator[Path]:
    """Fill a folder that appears at ``folder`` at the end, in place of an earlier one, unless there was an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder.parent) as temporary:
        filled = Path(temporary) / "filled"
        filled.mkdir()
        yield filled
        if folder.exists():
            folder.replace(Path(temporary) / "replaced")
        filled.replace(folder)


@contextmanager
def written_atomically(path: Path) -> Iterator[BinaryIO]:
    """Open a file to be written piece by piece; it appears at ``path`` at the end, unless there was an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    temporary = Path(name)
    try:
        os.close(handle)
        with temporary.open("w+b") as file:  # unlike one opened by its handle, this one knows its name
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; the result gets what the user's umask gives every other file.
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)  # a full disk's says no place
        raise

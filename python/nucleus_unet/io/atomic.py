"""Write files atomically, and read files that may be damaged."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from nucleus_unet.errors import SettingsError

_UMASK = os.umask(0)
os.umask(_UMASK)

TEMPORARY = ".nucleus-unet-"
# Bytes; a disk with less is full.
_LEAST_FREE = 2**20


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file atomically: to a temporary file in the same folder, which is flushed to disk and then renamed.

    Parameters
    ----------
    path
        Path of the file. Its folder is created if it is missing. An existing file is replaced.
    content
        Text is encoded as UTF-8. Surrogate escapes, which stand for undecodable bytes of file names, become these
        bytes.
    """
    with written_atomically(path) as file:
        file.write(content.encode(errors="surrogateescape") if isinstance(content, str) else content)


def read_json(path: Path) -> Any:
    """Read a JSON file. Raise `ValueError` if it is damaged."""
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def check_writable(folder: Path) -> None:
    """Check before long work that files can be written to a folder, which may not exist yet.

    Raises
    ------
    OSError
        If the folder is not writable, or the disk is full.
    """
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
    # Network drives and read-only file systems do not tell what they refuse: only trying does.
    try:
        handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=existing)
        try:
            os.write(handle, b"\0")
            os.fsync(handle)
        finally:
            os.close(handle)
            Path(name).unlink()
        if shutil.disk_usage(existing).free < _LEAST_FREE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise type(error)(error.errno, f"no files can be written there ({error.strerror})", str(folder)) from error


def check_output_folder(folder: Path, what: str) -> None:
    """Check before long work that a path can be a folder for output. ``what`` names the output in the message.

    Raises
    ------
    SettingsError
        If the path is a file, or a link that leads nowhere.
    OSError
        If the folder is not writable.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder}: expected a folder for {what}, got a file")
    if folder.is_symlink() and not folder.exists():
        raise SettingsError(f"{folder}: expected a folder for {what}, got a link that leads nowhere")
    check_writable(folder)


def check_new_folder(folder: Path, what: str) -> None:
    """Check before long work that a new folder can be created. ``what`` names its content in the message.

    Raises
    ------
    SettingsError
        If the path exists and is not an empty folder.
    OSError
        If the parent folder is not writable.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise SettingsError(f"{folder}: expected a new or empty folder for {what}, got one that is not empty")
    check_writable(folder.absolute().parent)


@contextmanager
def folder_written_atomically(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder, which replaces ``folder`` at the end unless there was an error."""
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
    """Open a temporary file for writing, which replaces ``path`` at the end unless there was an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, dir=path.parent)
    temporary = Path(name)
    try:
        os.close(handle)
        with temporary.open("w+b") as file:  # a file opened by its handle would not know its name
            yield file
            file.flush()
            os.fsync(file.fileno())
        # mkstemp restricts the permissions. The result gets those that the user's umask gives to new files.
        temporary.chmod(0o666 & ~_UMASK)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(path)  # the error of a full disk names no file
        raise

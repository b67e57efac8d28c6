"""The journal of a study in a folder: every step of every trial, kept through being killed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

JOURNAL = "journal.log"


def open_journal(folder: Path) -> JournalStorage:
    """Open the journal of a folder, or make it. Several processes may have it open."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

    journal = folder / JOURNAL

    class Lock(JournalFileOpenLock):
        """A lock that the system releases when a process is killed; Optuna's own would be waited for."""

        _system_lock = FileLock(folder / "journal.lock")

        def acquire(self) -> bool:
            self._system_lock.acquire()
            _cut_half_a_line(journal)
            return True

        def release(self) -> None:
            self._system_lock.release()

    return JournalStorage(JournalFileBackend(str(journal), lock_obj=Lock(str(journal))))


def _cut_half_a_line(journal: Path) -> None:
    """Remove what a process left that was killed in the middle of a line: the journal could not be read past it."""
    with journal.open("a+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size and file.read(1) != b"\n":
            file.truncate(journal.read_bytes().rfind(b"\n") + 1)

"""The journal of a study in a folder: every step of every trial, kept through being killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.storages import JournalStorage

JOURNAL = "journal.log"
_LOCK_OF_OPTUNA = JOURNAL + ".lock"


def open_journal(folder: Path) -> JournalStorage:
    """Open the journal of a folder, or make it.

    No other process may have it open: what a killed one left behind is tidied away.
    """
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    _cut_half_a_line(folder / JOURNAL)
    # Of a process that was killed while it wrote: Optuna would wait half a minute for it.
    (folder / _LOCK_OF_OPTUNA).unlink(missing_ok=True)
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))


def _cut_half_a_line(journal: Path) -> None:
    """Take away what a process that was killed in the middle of a line left: the journal could not be read past it."""
    if not journal.exists():
        return
    content = journal.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole < len(content):
        with journal.open("r+b") as file:
            file.truncate(whole)

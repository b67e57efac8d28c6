"""A run of the slide command that is watched: which phase it is in, how much memory it takes; killed when asked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import psutil
from _machine import peak_memory

PHASES = ("planning", "tiles", "blocks", "numbering", "export")
"""In order: until a process's first tile; its first block; until all blocks are there; until a result is; the rest."""

SUMMARY = "summary.json"
"""What a run writes last."""

_TEMPORARY = ".nucleus-unet-"
_BESIDES = {"lock", "plan.json", "survey.json", "work", SUMMARY}
# Results, and the maps and nuclei from which they are made.
_WATCHED = ("*", "work/*/*")
# Looking must not take the time of what is looked at.
_PATIENCE = 0.05


class Watched:
    """A started process and the folder it writes to.

    Parameters
    ----------
    command
        With its arguments.
    out
        The run's folder; what lies there already is not taken for this process's work.
    log
        Gets what the process says.
    all_blocks
        How many blocks there are in the end, as an undisturbed run has told; None for that run, in which "numbering" is
        not told from "blocks".

    Attributes
    ----------
    blocks : int
        How many were seen at once.
    blocks_there : float
        After how many seconds of the processor so many were seen.
    peak_memory : int
        Of the process once it has ended, in bytes, as the system counted it.
    """

    def __init__(self, command: Sequence[str], out: Path, log: Path, all_blocks: int | None = None) -> None:
        self._all_blocks, self.blocks, self.blocks_there = all_blocks, 0, 0.0
        self._out, self._before, self._furthest = out, _files(out, *_WATCHED), 0
        self.begun = time.monotonic()
        with log.open("ab") as file:
            self._child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        self._process = psutil.Process(self._child.pid)
        self.peak_memory = 0
        self._seconds = 0.0

    def phase(self) -> str:
        """Tell from the files that this process made how far it has come; it never goes back."""
        self._furthest = max(self._furthest, PHASES.index(self._phase_now()))
        return PHASES[self._furthest]

    def _phase_now(self) -> str:
        if not (self._out / "plan.json").exists():
            return "planning"
        made = _files(self._out, *_WATCHED) - self._before
        whole = {path for path, _ in made if not path.name.startswith(_TEMPORARY)}
        if any(path.parent == self._out for path in whole):
            return "export"
        blocks = len({path for path, _ in _files(self._out, "work/nuclei-*/[0-9]*")})
        if blocks > self.blocks:
            self.blocks, self.blocks_there = blocks, self.seconds()
        if blocks == self._all_blocks:
            return "numbering"
        if any(path.parent.name.startswith("nuclei-") for path in whole):
            return "blocks"
        return "tiles" if made else "planning"

    def finish(self, seen: Callable[[str], object] = lambda _phase: None) -> int:
        """Wait for the end and return the exit status; tell every phase that is seen."""
        while (status := self._status()) is None:
            seen(self.phase())
            time.sleep(_PATIENCE)
        return status

    def kill(self, target: str, delay: float) -> str | None:
        """Kill the process when it has been in a phase for a while, or is further; return the phase it died in.

        Parameters
        ----------
        target
            The phase.
        delay
            How much time of the processor it may spend there.

        Returns
        -------
        str or None
            None if it had finished before.
        """
        try:
            return self._kill(target, delay)
        finally:
            if self._child.returncode is None:  # whatever went wrong, nobody is left stopped
                self._end()

    def _kill(self, target: str, delay: float) -> str | None:
        reached: float | None = None
        while self._status() is None:
            phase = self.phase()
            if reached is None and PHASES.index(phase) >= PHASES.index(target):
                reached = self.seconds()
            if reached is not None and self.seconds() >= reached + delay:
                self._child.send_signal(signal.SIGSTOP)  # or it might leave the phase before it dies
                phase = self.phase()
                self._end()
                return phase
            time.sleep(_PATIENCE)
        return None

    def seconds(self) -> float:
        """Tell how much time of the processor it has had so far: unlike hours, the same on a busy machine."""
        if self._child.returncode is None:
            times = self._process.cpu_times()
            self._seconds = times.user + times.system
        return self._seconds

    def _end(self) -> None:
        self._child.kill()
        self._status(wait=True)

    def _status(self, *, wait: bool = False) -> int | None:
        """Return the exit status, None while the process runs; note what it needed when it has ended."""
        if self._child.returncode is None:
            ended, status, usage = os.wait4(self._child.pid, 0 if wait else os.WNOHANG)
            if ended:
                self._child.returncode = os.waitstatus_to_exitcode(status)
                self.peak_memory, self._seconds = peak_memory(usage), usage.ru_utime + usage.ru_stime
        return self._child.returncode


def _files(out: Path, *patterns: str) -> set[tuple[Path, int]]:
    """List files of a run's folder, and tell one file from another of the same name."""
    found = set()
    for path in chain.from_iterable(out.glob(pattern) for pattern in patterns):
        with suppress(FileNotFoundError):  # renamed or deleted since
            if path.name not in _BESIDES:
                found.add((path, path.stat().st_ino))
    return found

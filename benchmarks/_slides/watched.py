"""A run of the slide command that is watched: which phase it is in, how much memory it takes; killed when asked."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

PHASES = ("planning", "tiles", "blocks", "numbering", "export")
"""In order: until the plan is there; until the first block; until results are begun; until one of them is there."""

SUMMARY = "summary.json"
"""What a run writes last."""

_TEMPORARY = ".nucleus-unet-"
_BESIDES = {"lock", "plan.json", "survey.json", SUMMARY}
_PATIENCE = 0.02
# The export is over in an instant: the process is let go on by steps as short as this, in seconds, to meet it.
_STEP = 0.0005


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
    """

    def __init__(self, command: Sequence[str], out: Path, log: Path) -> None:
        self._out, self._before = out, set(_results(out))
        self.begun = time.monotonic()
        with log.open("ab") as file:
            self._child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        self._process = psutil.Process(self._child.pid)
        self.peak_memory = 0

    def phase(self) -> str:
        """Tell from the files how far the run is."""
        if not (self._out / "plan.json").exists():
            return "planning"
        new = [name for name, inode in _results(self._out) if (name, inode) not in self._before]
        if any(not name.startswith(_TEMPORARY) for name in new):
            return "export"
        if new:
            return "numbering"
        blocks = (self._out / "work").glob("nuclei-*/*")
        return "blocks" if any(not path.name.startswith(_TEMPORARY) for path in blocks) else "tiles"

    def finish(self, seen: Callable[[str], object] = lambda _phase: None) -> int:
        """Wait for the end and return the exit status; tell every phase that is seen."""
        while self._child.poll() is None:
            seen(self._look())
            time.sleep(_PATIENCE)
        return self._child.returncode

    def kill(self, target: str, delay: float) -> str | None:
        """Kill the process when it has been in a phase for a while, or is further; return the phase it died in.

        Returns
        -------
        str or None
            None if it had finished before.
        """
        try:
            return self._kill(target, delay)
        finally:
            self._child.kill()  # whatever went wrong, nobody is left stopped

    def _kill(self, target: str, delay: float) -> str | None:
        reached: float | None = None
        while self._child.poll() is None:
            phase = self._look()
            if reached is None and PHASES.index(phase) >= PHASES.index(target):
                reached = time.monotonic()
            if reached is not None and time.monotonic() >= reached + delay:
                self._child.send_signal(signal.SIGSTOP)  # or it might leave the phase before it dies
                phase = self.phase()
                self._child.kill()
                self._child.wait()
                return phase
            if target == "export" and phase == "numbering":
                self._step()
            else:
                time.sleep(_PATIENCE)
        return None

    def _step(self) -> None:
        self._child.send_signal(signal.SIGCONT)
        time.sleep(_STEP)
        self._child.send_signal(signal.SIGSTOP)

    def _look(self) -> str:
        """Note the memory of the process and its children, and tell the phase."""
        with suppress(psutil.NoSuchProcess):
            family = [self._process, *self._process.children(recursive=True)]
            self.peak_memory = max(self.peak_memory, sum(each.memory_info().rss for each in family))
        return self.phase()


def _results(out: Path) -> list[tuple[str, int]]:
    """Name the files that are, or will become, results, and tell one from another of the same name."""
    found = []
    for path in out.iterdir() if out.exists() else ():
        with suppress(FileNotFoundError):  # renamed or deleted since
            if path.name not in _BESIDES and path.name != "work":
                found.append((path.name, path.stat().st_ino))
    return found

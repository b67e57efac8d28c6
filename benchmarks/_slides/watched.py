"""A run of the slide command that is watched: which phase it is in, how much memory it takes; killed when asked."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

import psutil

PHASES = ("planning", "tiles", "blocks", "numbering", "export")
"""In order: until a process's first tile; its first block; until it begins with results; until one of them is there."""

SUMMARY = "summary.json"
"""What a run writes last."""

_TEMPORARY = ".nucleus-unet-"
_BESIDES = {"lock", "plan.json", "survey.json", "work", SUMMARY}
# Results, and the maps and nuclei from which they are made.
_WATCHED = ("*", "work/*/*")
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
        self._out, self._before, self._furthest = out, _files(out, *_WATCHED), 0
        self.begun = time.monotonic()
        with log.open("ab") as file:
            self._child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
        self._process = psutil.Process(self._child.pid)
        self.peak_memory = 0

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
        if any(path.parent == self._out for path, _ in made):
            return "numbering"
        if any(path.parent.name.startswith("nuclei-") for path in whole):
            return "blocks"
        return "tiles" if made else "planning"

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
                self._step_to_export()
            else:
                time.sleep(_PATIENCE)
        return None

    def _step_to_export(self) -> None:
        while self._child.poll() is None:
            self._child.send_signal(signal.SIGCONT)
            time.sleep(_STEP)
            self._child.send_signal(signal.SIGSTOP)
            made = _files(self._out, "*") - self._before  # results alone: looking must not take longer than a step
            if any(not path.name.startswith(_TEMPORARY) for path, _ in made):
                return

    def _look(self) -> str:
        """Note the memory of the process and its children, and tell the phase."""
        with suppress(psutil.NoSuchProcess):
            family = [self._process, *self._process.children(recursive=True)]
            self.peak_memory = max(self.peak_memory, sum(each.memory_info().rss for each in family))
        return self.phase()


def _files(out: Path, *patterns: str) -> set[tuple[Path, int]]:
    """List files of a run's folder, and tell one file from another of the same name."""
    found = set()
    for path in chain.from_iterable(out.glob(pattern) for pattern in patterns):
        with suppress(FileNotFoundError):  # renamed or deleted since
            if path.name not in _BESIDES:
                found.add((path, path.stat().st_ino))
    return found

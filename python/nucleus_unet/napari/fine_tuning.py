"""Fine-tune a model in a process of its own, which reports its steps, can be cancelled, and ends with this process.

Training takes all cores and much memory. In another process it does not slow the viewer down, and what it holds is
free when it ends.
"""

from __future__ import annotations

import importlib.util
import json
import queue
import subprocess
import sys
import threading
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from nucleus_unet.errors import CancelledError, MissingExtraError, NucleusError
from nucleus_unet.napari.jobs import Progress

PROCESS = "nucleus_unet.napari.training_process"
# Seconds: how often to look whether the run was cancelled, and how long a cancelled process gets to end.
_INTERVAL, _PATIENCE = 0.2, 10
# Lines of an unexpected error that are shown.
_LINES = 4


@dataclass(frozen=True)
class FineTuning:
    """A run of fine-tuning. The same run, started again, resumes.

    Attributes
    ----------
    data
        Labelled set.
    out
        Folder of the new model.
    origin
        Bundle of the model to begin with. None: the embedded one.
    samples
        Number of training samples. None: as many as `nucleus_unet.training.fine_tuning` recommends.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    """

    data: Path
    out: Path
    origin: Path | None = None
    samples: int | None = None
    device: str = "auto"

    def to_json(self) -> str:
        """Return the run as one line of text."""
        return json.dumps({name: str(each) if isinstance(each, Path) else each for name, each in asdict(self).items()})

    @classmethod
    def from_json(cls, text: str) -> FineTuning:
        """Inverse of `to_json`."""
        values = json.loads(text)
        paths = {name: Path(values.pop(name)) for name in ("data", "out", "origin") if values.get(name) is not None}
        return cls(**{**values, **paths})


def check_extra() -> None:
    """Raise `MissingExtraError` if a package is missing that training needs. None of them is imported."""
    for module in ("torch", "matplotlib", "jinja2"):
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f"training needs {module}: pip install 'nucleus-unet[train]'")


def fine_tune(run: FineTuning, progress: Progress) -> dict[str, Any]:
    """Fine-tune a model, and return its metrics.

    Parameters
    ----------
    run
        What to do.
    progress
        Gets reports, and cancels.

    Returns
    -------
    dict
        As `nucleus_unet.training.pipeline.train_bundle` returns it.

    Raises
    ------
    MissingExtraError
        If the extra ``train`` is not installed.
    CancelledError
        If the run was cancelled. The same run resumes from its last checkpoint.
    NucleusError
        If it failed; the message is that of the library.
    """
    check_extra()
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # no console opens on Windows
    process = subprocess.Popen(
        [sys.executable, "-m", PROCESS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        errors="replace",
        creationflags=hidden,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    complaints: deque[str] = deque(maxlen=50)
    readers = [
        threading.Thread(target=_forward, args=(process.stdout, lines), daemon=True),
        threading.Thread(target=complaints.extend, args=(process.stderr,), daemon=True),
    ]
    try:
        for reader in readers:
            reader.start()
        # The pipe stays open: the process ends when it closes, so that none outlives the viewer.
        process.stdin.write(run.to_json() + "\n")
        process.stdin.flush()
        outcome = _follow(lines, progress)
        process.wait()
        readers[1].join()
    except BrokenPipeError:
        outcome = {}
        process.wait()
        readers[1].join()
    finally:
        _end(process)
    if "error" in outcome:
        raise NucleusError(outcome["error"])
    if "metrics" not in outcome:
        last = "".join(list(complaints)[-_LINES:]).strip() or f"exit code {process.returncode}"
        raise NucleusError(f"training ended before it was done: {last}")
    metrics: dict[str, Any] = outcome["metrics"]
    return metrics


def _forward(file: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    for line in file:
        lines.put(line)
    lines.put(None)


def _follow(lines: queue.SimpleQueue[str | None], progress: Progress) -> dict[str, Any]:
    """Report the steps of the process until it ends, and return its last message."""
    outcome: dict[str, Any] = {}
    while True:
        if progress.cancel.is_set():
            raise CancelledError("fine-tuning was cancelled; the same again resumes it")
        try:
            line = lines.get(timeout=_INTERVAL)
        except queue.Empty:
            continue
        if line is None:
            return outcome
        message = _parse(line)
        if "step" in message:
            progress.report(message["step"], message["done"], message["total"])
        elif message:
            outcome = message


def _parse(line: str) -> dict[str, Any]:
    """Return a message of the process; nothing for a line that a library printed."""
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _end(process: subprocess.Popen[str]) -> None:
    """End a process if it still runs, and close its pipes."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            try:
                pipe.close()
            except BrokenPipeError:
                continue

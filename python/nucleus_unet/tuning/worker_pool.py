"""Who runs the trials: this very process, or several that it starts, feeds and replaces when they die.

Only the process that holds the study writes to its storage; the others train, and tell it over a pipe. So a worker may
be killed at any moment without harm to the study, and a worker whose parent is gone has nothing to go on for.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

import torch

from nucleus_unet.errors import NucleusError, SettingsError
from nucleus_unet.inference.devices import choose_device
from nucleus_unet.tuning.training_job import Ended, Job

_SPAWN = get_context("spawn")  # a fork would take torch's threads and CUDA's state along
_NO_START = (
    "a worker process died before its first trial: see above; a script that asks for several processes must do so "
    "under if __name__ == '__main__':"
)


class Listener(Protocol):
    """Whom a crew tells what becomes of trials, by their numbers."""

    def report(self, number: int, position: int, figure: float) -> bool:
        """Take a figure after so many samples; tell whether to stop."""

    def ended(self, number: int, end: Ended) -> None:
        """Take the end of a trial."""

    def lost(self, number: int, why: str) -> None:
        """Take the death of the process that ran a trial."""


class Crew(Protocol):
    """Runs trials."""

    @property
    def free(self) -> bool:
        """Whether another trial can be begun."""

    @property
    def busy(self) -> bool:
        """Whether trials are running."""

    def begin(self, number: int, settings: Mapping[str, Any], folder: Path) -> None:
        """Run a trial."""

    def attend(self, seconds: float) -> None:
        """Wait so long for what running trials have to tell."""


class Alone:
    """Runs each trial at once, in this process."""

    free, busy = True, False

    def __init__(self, job: Job, listener: Listener) -> None:
        self._job, self._listener = job, listener

    def begin(self, number: int, settings: Mapping[str, Any], folder: Path) -> None:
        """Run a trial to its end."""
        self._listener.ended(number, self._job.run(settings, folder, partial(self._listener.report, number)))

    def attend(self, seconds: float) -> None:
        """Wait; there is nothing to be told."""
        time.sleep(seconds)


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    device: str
    ready: bool = False
    trial: int | None = None


class Workers:
    """Processes that run a trial each, in the context of a ``with``.

    Parameters
    ----------
    job, listener
        What is run, and who is told.
    count
        How many processes. They share the threads of torch, and the GPUs where there are several.
    """

    def __init__(self, job: Job, listener: Listener, count: int) -> None:
        self._job, self._listener = job, listener
        self._threads = max(1, torch.get_num_threads() // count)
        self._devices = share_devices(job.device, count)
        self._workers: list[_Worker] = []

    def __enter__(self) -> Workers:
        try:
            for device in self._devices:
                self._start(device)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.join()

    @property
    def free(self) -> bool:
        """Whether another trial can be begun."""
        return any(worker.ready and worker.trial is None for worker in self._workers)

    @property
    def busy(self) -> bool:
        """Whether trials are running."""
        return any(worker.trial is not None for worker in self._workers)

    def begin(self, number: int, settings: Mapping[str, Any], folder: Path) -> None:
        """Hand a trial to a worker that has none."""
        worker = next(worker for worker in self._workers if worker.ready and worker.trial is None)
        worker.trial = number
        _send(worker.pipe, (settings, folder))

    def attend(self, seconds: float) -> None:
        """Wait so long for what workers have to tell, and replace those that died."""
        wait([worker.pipe for worker in self._workers], timeout=seconds)
        for worker in tuple(self._workers):
            # Looked at first: what it said before it died is read all the same.
            dead = not worker.process.is_alive()
            for message in _messages(worker.pipe):
                self._hear(worker, message)
            if dead:
                self._replace(worker)

    def _hear(self, worker: _Worker, message: object) -> None:
        match message:
            case "ready":
                worker.ready = True
            case (int(position), float(figure)) if worker.trial is not None:
                _send(worker.pipe, self._listener.report(worker.trial, position, figure))
            case Ended() as end if worker.trial is not None:
                number, worker.trial = worker.trial, None
                self._listener.ended(number, end)
            case NucleusError() | OSError() as error:
                raise error

    def _replace(self, worker: _Worker) -> None:
        if not worker.ready:
            raise SettingsError(_NO_START)
        self._workers.remove(worker)
        if worker.trial is not None:
            self._listener.lost(worker.trial, f"its process died (exit code {worker.process.exitcode})")
        self._start(worker.device)

    def _start(self, device: str) -> None:
        pipe, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_work, args=(theirs, self._job, device, self._threads))
        try:
            process.start()
        except BrokenPipeError as error:
            raise SettingsError(_NO_START) from error
        self._workers.append(_Worker(process, pipe, device))
        theirs.close()


def share_devices(device: str, count: int) -> list[str]:
    """Name a device for each of so many processes: GPUs are dealt out, unless one is asked for by number.

    Examples
    --------
    >>> share_devices("cpu", 2)
    ['cpu', 'cpu']
    """
    chosen = choose_device(device)
    if chosen != "cuda":
        return [chosen] * count
    return [f"cuda:{number % torch.cuda.device_count()}" for number in range(count)]


def _messages(pipe: Connection) -> Iterator[object]:
    with suppress(EOFError, OSError):  # of one that died
        while pipe.poll():
            yield pipe.recv()


def _send(pipe: Connection, message: object) -> None:
    with suppress(OSError):  # it died; `Workers.attend` finds out
        pipe.send(message)


def _work(pipe: Connection, job: Job, device: str, threads: int) -> None:
    """Run the trials that come, as long as the parent lives."""
    # Ctrl-C reaches all processes of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)

    def report(position: int, figure: float) -> bool:
        pipe.send((position, figure))
        return bool(pipe.recv())

    with suppress(EOFError):  # the parent is gone
        pipe.send("ready")
        while True:
            settings, folder = pipe.recv()
            try:
                pipe.send(job.run(settings, folder, report, device=device))
            except (NucleusError, OSError) as error:  # no trial would fare better; anything else ends this process
                pipe.send(error)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    for drawer in active_children():  # of samples; by themselves they would notice within five seconds
        drawer.kill()
    os._exit(1)

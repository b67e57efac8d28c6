"""Several processes of one machine that run the trials of a study, and are replaced when they die."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from threading import Thread
from typing import TYPE_CHECKING
from uuid import uuid4

import torch

from nucleus_unet.errors import NucleusError, SettingsError
from nucleus_unet.inference.devices import choose_device
from nucleus_unet.tuning.database import errors_for_people
from nucleus_unet.tuning.study_runner import StudyRunner
from nucleus_unet.tuning.trials import MAX_RETRIES, cut_off_running

if TYPE_CHECKING:
    from optuna import Study

_SPAWN = get_context("spawn")  # a fork would take torch's threads and CUDA's state along
_LOOK_EVERY = 1.0
_NO_START = (
    "a worker process died before its first trial: see above; a script that asks for several processes must do so "
    "under if __name__ == '__main__':"
)


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    name: str
    device: str
    ready: bool = False


def run_in_processes(
    runner: StudyRunner,
    study: Study,
    open_again: Callable[[], Study],
    ended: Callable[[int], object],
    *,
    count: int,
    say: Callable[[str], object],
) -> None:
    """Run trials in several processes, each in an `optuna.Study.optimize` of its own.

    Parameters
    ----------
    runner
        Runs the trials of a process.
    study
        Open in this process.
    open_again
        Opens the study in each of the others.
    ended
        Gets the number of each trial that has ended.
    count
        How many processes. They share the threads of torch, and the GPUs where there are several.
    say
        Gets a line for each process that died.

    Raises
    ------
    SettingsError
        A process could not be started.
    NucleusError, OSError
        A trial ended with an error that no other settings would mend.
    """
    workers: list[_Worker] = []

    def start(device: str) -> None:
        pipe, theirs = _SPAWN.Pipe(duplex=False)
        name, threads = uuid4().hex, max(1, torch.get_num_threads() // count)
        process = _SPAWN.Process(target=_work, args=(theirs, runner, open_again, name, device, threads))
        try:
            process.start()
        except BrokenPipeError as error:
            raise SettingsError(_NO_START) from error
        workers.append(_Worker(process, pipe, name, device))
        theirs.close()

    def end(worker: _Worker) -> None:
        workers.remove(worker)
        if not worker.process.exitcode:
            return
        if not worker.ready:
            raise SettingsError(_NO_START)
        cut_off_running(study, workers=[worker.name], max_retry=MAX_RETRIES)
        say(f"a process died (exit code {worker.process.exitcode}); its trial is run again")
        start(worker.device)

    try:
        for device in share_devices(runner.job.device, count):
            start(device)
        while workers:
            wait([worker.pipe for worker in workers], timeout=_LOOK_EVERY)
            for worker in tuple(workers):
                alive = worker.process.is_alive()  # checked first, so that what it sent before it died is read
                for message in _messages(worker.pipe):
                    worker.ready = True
                    if isinstance(message, Exception):
                        raise message
                    if isinstance(message, int):
                        ended(message)
                if not alive:
                    end(worker)
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.join()
        cut_off_running(study, workers=[worker.name for worker in workers])


def share_devices(device: str, count: int) -> list[str]:
    """Name a device for each of so many processes: GPUs are shared, unless the device has a number.

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
    with suppress(EOFError, OSError):  # of a process that died
        while pipe.poll():
            yield pipe.recv()


def _work(
    pipe: Connection, runner: StudyRunner, open_again: Callable[[], Study], name: str, device: str, threads: int
) -> None:
    # Ctrl-C reaches all processes of a terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    try:
        with errors_for_people():
            study = open_again()
            pipe.send("ready")
            runner.run(study, pipe.send, worker=name, device=device)
    except (NucleusError, OSError) as error:  # no trial would fare better; anything else ends this process
        pipe.send(error)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    for drawer in active_children():  # of samples; by themselves they would notice within five seconds
        drawer.kill()
    os._exit(1)

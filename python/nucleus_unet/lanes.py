"""Several network calls side by side, each on a tile of its own.

Threads that share a call on a CPU wait for each other after every layer, and if one is kept from its processor, by
those who read, group and write, all wait. Threads with calls of their own do not. On a GPU a second call fills the gaps
in which the first is copied there and back.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import torch

from nucleus_unet.devices import Precision
from nucleus_unet.flow import by_onednn

# Each holds a tile and what becomes of it, some hundred megabytes; beyond so many, lanes get more threads each.
_MOST = 8
# Of the thread that asks: its pool, and its number there.
_here = threading.local()
# Held while a lane's number of threads is, for a moment, everybody's.
_changing = threading.Lock()
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Lanes:
    """How many calls there are at once, and what they share.

    Attributes
    ----------
    device
        Where the network is; on a GPU each call has a stream.
    count
        How many calls.
    threads
        Of the processor, shared by as many calls as there are at the moment; None to leave them as they are.
    """

    device: torch.device
    count: int
    threads: int | None = None

    def pool(self) -> LanePool:
        """Start threads to make the calls."""
        return LanePool(self)


class LanePool(ThreadPoolExecutor):
    """The threads of some lanes."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes, self._stop = lanes, threading.Event()
        self._numbers, self._busy, self._counting = itertools.count(), set[int](), threading.Lock()
        with _changing:
            self._total = torch.get_num_threads()
        super().__init__(lanes.count, initializer=self._enter)

    def submit(self, function: Callable[P, R], /, *arguments: P.args, **options: P.kwargs) -> Future[R]:
        """Make a call when a lane is free; see `ThreadPoolExecutor`."""
        return super().submit(self._call, function, *arguments, **options)

    def give_up(self) -> None:
        """End the calls that are being made, soon, and make no more."""
        self._stop.set()
        self.shutdown(wait=True, cancel_futures=True)

    def go_on(self) -> None:
        """Raise `GivenUpError` if nobody waits any more; else take the threads that calls have left."""
        if self._stop.is_set():
            raise GivenUpError
        if self._lanes.threads is None:
            return
        with self._counting:
            busy = sorted(self._busy)
        most, left = divmod(self._lanes.threads, len(busy))
        threads = max(1, most + (busy.index(_here.number) < left))
        with _changing:
            if threads == torch.get_num_threads():  # a thread's first call of this takes the number that is everybody's
                return
            torch.set_num_threads(threads)
            # That was for this thread, but also for all that are yet to begin, whoever begins them: give theirs back.
            other = threading.Thread(target=torch.set_num_threads, args=(self._total,))
            other.start()
            other.join()

    def _enter(self) -> None:
        _here.pool, _here.number = self, next(self._numbers)
        if self._lanes.device.type == "cuda":
            torch.cuda.set_stream(torch.cuda.Stream(self._lanes.device))  # type: ignore[no-untyped-call]

    def _call(self, function: Callable[..., R], /, *arguments: Any, **options: Any) -> R:
        with self._counting:
            self._busy.add(_here.number)
        try:
            self.go_on()
            return function(*arguments, **options)
        finally:
            with self._counting:
                self._busy.remove(_here.number)


class GivenUpError(Exception):
    """Nobody waits for this call's answer any more."""


def go_on() -> None:
    """See `LanePool.go_on`, which long calls ask now and then; anywhere else it does nothing."""
    pool: LanePool | None = getattr(_here, "pool", None)
    if pool is not None:
        pool.go_on()


def lanes_on(device: torch.device, precision: Precision) -> Lanes:
    """Return the lanes that suit a device and change nothing of what the network says."""
    if device.type == "cuda":
        return Lanes(device, 2)
    if not same_however_run(device, precision):
        return Lanes(device, 1)
    threads = torch.get_num_threads()
    return Lanes(device, min(threads, _MOST), threads)


def same_however_run(device: torch.device, precision: Precision) -> bool:
    """Whether the network says the same, to the last bit, in any tile, on any number of threads; see `flow`."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return device.type == "cpu" and by_onednn(dtype)

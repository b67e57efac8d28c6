"""Several network calls side by side, each on a tile of its own.

Threads that share a call on a CPU wait for each other after every layer, and if one is kept from its processor, by
those who read, group and write, all wait. Threads with calls of their own do not. On a GPU a second call fills the gaps
in which the first is copied there and back.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import torch

from nucleus_unet.devices import Precision
from nucleus_unet.flow import by_onednn

# Each holds a tile and what becomes of it, some hundred megabytes; beyond so many, lanes get more threads each.
_MOST = 8
# Of the thread that asks: whether its pool was given up.
_here = threading.local()
# Held while a lane's number of threads is, for a moment, everybody's.
_changing = threading.Lock()


class Lanes:
    """How many calls there are at once, and what each has for itself.

    Parameters
    ----------
    device
        Where the network is; on a GPU each call has a stream.
    threads
        For each call, how many threads of the processor it has; None to leave them as they are.

    Attributes
    ----------
    count
        How many calls.
    device, threads
        As given.
    """

    def __init__(self, device: torch.device, threads: Sequence[int | None]) -> None:
        self.device, self.threads, self.count = device, list(threads), len(threads)

    def pool(self) -> LanePool:
        """Start threads to make the calls."""
        return LanePool(self)


class LanePool(ThreadPoolExecutor):
    """The threads of some lanes."""

    def __init__(self, lanes: Lanes) -> None:
        self._device, self._stop = lanes.device, threading.Event()
        self._threads_left = SimpleQueue[int | None]()
        for threads in lanes.threads:
            self._threads_left.put(threads)
        with _changing:
            self._total = torch.get_num_threads()
        super().__init__(lanes.count, initializer=self._enter)

    def give_up(self) -> None:
        """End the calls that are being made, soon, and make no more."""
        self._stop.set()
        self.shutdown(wait=True, cancel_futures=True)

    def _enter(self) -> None:
        _here.stop = self._stop
        if self._device.type == "cuda":
            torch.cuda.set_stream(torch.cuda.Stream(self._device))  # type: ignore[no-untyped-call]
        threads = self._threads_left.get()
        if threads is None:
            return
        with _changing:
            torch.get_num_threads()  # or the first call would take the number that all others have
            torch.set_num_threads(threads)
            # That was for this thread, but also for all that are yet to begin, whoever begins them: give theirs back.
            other = threading.Thread(target=torch.set_num_threads, args=(self._total,))
            other.start()
            other.join()


class GivenUpError(Exception):
    """Nobody waits for this call's answer any more."""


def go_on() -> None:
    """Raise `GivenUpError` in a lane that was given up; long calls ask now and then."""
    stop: threading.Event | None = getattr(_here, "stop", None)
    if stop is not None and stop.is_set():
        raise GivenUpError


def lanes_on(device: torch.device, precision: Precision) -> Lanes:
    """Return the lanes that suit a device and change nothing of what the network says."""
    if device.type == "cuda":
        return Lanes(device, [None, None])
    if not same_however_run(device, precision):
        return Lanes(device, [None])
    total = torch.get_num_threads()
    count = min(total, _MOST)
    return Lanes(device, [total // count + (lane < total % count) for lane in range(count)])


def same_however_run(device: torch.device, precision: Precision) -> bool:
    """Whether the network says the same, to the last bit, in any tile, on any number of threads; see `flow`."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return device.type == "cpu" and by_onednn(dtype)

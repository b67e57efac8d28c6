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
    threads
        As given.
    """

    def __init__(self, device: torch.device, threads: Sequence[int | None]) -> None:
        self.threads, self.count = list(threads), len(threads)
        self._device = device

    def pool(self) -> ThreadPoolExecutor:
        """Start threads to make the calls."""
        left = SimpleQueue[int | None]()
        for threads in self.threads:
            left.put(threads)
        return ThreadPoolExecutor(self.count, initializer=self._enter, initargs=(left, torch.get_num_threads()))

    def _enter(self, left: SimpleQueue[int | None], total: int) -> None:
        if self._device.type == "cuda":
            torch.cuda.set_stream(torch.cuda.Stream(self._device))  # type: ignore[no-untyped-call]
        threads = left.get()
        if threads is not None:
            torch.get_num_threads()  # or the first call would take the number that all others have
            torch.set_num_threads(threads)
            # That was for this thread, but also for all that are yet to begin, whoever begins them: give theirs back.
            other = threading.Thread(target=torch.set_num_threads, args=(total,))
            other.start()
            other.join()


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

"""Several network calls side by side, each on a tile of its own.

Threads that share a call on a CPU wait for each other after every layer, and if one is kept from its processor, by
those who read, group and write, all wait. Threads with calls of their own do not. On a GPU a second call fills the gaps
in which the first is copied there and back.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch

from nucleus_unet.devices import Precision
from nucleus_unet.flow import by_onednn

# Each holds a tile and what becomes of it: some hundred megabytes. Beyond, they share the processors' threads.
_MOST = 8


@dataclass(frozen=True)
class Lanes:
    """How many calls there are at once, and what each has for itself.

    Attributes
    ----------
    device
        Where the network is; on a GPU each call has a stream.
    count
        How many.
    threads
        Of each call on a CPU; None to leave them alone.
    """

    device: torch.device
    count: int = 1
    threads: int | None = None

    def pool(self) -> ThreadPoolExecutor:
        """Start threads to make the calls."""
        return ThreadPoolExecutor(self.count, initializer=self._enter, initargs=(torch.get_num_threads(),))

    def _enter(self, total: int) -> None:
        if self.device.type == "cuda":
            torch.cuda.set_stream(torch.cuda.Stream(self.device))  # type: ignore[no-untyped-call]
        if self.threads is not None:
            torch.get_num_threads()  # or the first call would take the number that all others have
            torch.set_num_threads(self.threads)
            # That was for this thread, but also for all that are yet to begin, whoever begins them.
            other = threading.Thread(target=torch.set_num_threads, args=(total,))
            other.start()
            other.join()


def lanes_on(device: torch.device, precision: Precision) -> Lanes:
    """Return the lanes that suit a device and change nothing of what the network says."""
    if device.type == "cuda":
        return Lanes(device, 2)
    if not threads_change_nothing(device, precision):
        return Lanes(device)
    total = torch.get_num_threads()
    count = min(total, _MOST)
    return Lanes(device, count, total // count)


def threads_change_nothing(device: torch.device, precision: Precision) -> bool:
    """Whether the network says the same to the last bit, however many threads a call has (see `flow`)."""
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    return device.type == "cpu" and by_onednn(dtype)

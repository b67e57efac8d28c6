"""Arrays that were made last, as neighbours ask for the same ones soon after each other."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from numpy.typing import NDArray


class ArrayCache:
    """Keeps arrays as long as there is room, those that were asked for last; may be asked by several threads.

    Parameters
    ----------
    most_bytes
        Of all arrays together; the last one stays even if it is larger.

    Examples
    --------
    >>> import numpy as np
    >>> recent = ArrayCache(10)
    >>> recent.keep("a", np.zeros(6, np.uint8))
    >>> recent.keep("b", np.zeros(6, np.uint8))
    >>> recent.get("a"), recent.get("b").nbytes
    (None, 6)
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._arrays: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, key: Hashable, array: NDArray[Any]) -> None:
        """Keep an array, and of the others no more than there is room for."""
        self.forget(key)
        with self._lock:
            self._arrays[key] = array
            self._bytes += array.nbytes
            while self._bytes > self._most_bytes and len(self._arrays) > 1:
                self._bytes -= self._arrays.popitem(last=False)[1].nbytes

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """Return an array, which is not to be changed; None if it is not there any more."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def forget(self, key: Hashable) -> None:
        """Drop an array."""
        with self._lock:
            if key in self._arrays:
                self._bytes -= self._arrays.pop(key).nbytes

"""A cache of the most recently used arrays."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from numpy.typing import NDArray


class ArrayCache:
    """Thread-safe cache of arrays that removes the least recently used ones.

    Parameters
    ----------
    max_bytes
        Largest total size in bytes. The last array stays even if it is larger.

    Examples
    --------
    >>> import numpy as np
    >>> cache = ArrayCache(10)
    >>> cache.put("a", np.zeros(6, np.uint8))
    >>> cache.put("b", np.zeros(6, np.uint8))
    >>> cache.get("a"), cache.get("b").nbytes
    (None, 6)
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._arrays: OrderedDict[Hashable, NDArray[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, key: Hashable, array: NDArray[Any]) -> None:
        """Store an array, and remove the least recently used ones if the cache is too large."""
        self.discard(key)
        with self._lock:
            self._arrays[key] = array
            self._bytes += array.nbytes
            while self._bytes > self._max_bytes and len(self._arrays) > 1:
                self._bytes -= self._arrays.popitem(last=False)[1].nbytes

    def get(self, key: Hashable) -> NDArray[Any] | None:
        """Return an array, which must not be modified. None if it is not in the cache."""
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def discard(self, key: Hashable) -> None:
        """Remove an array if it is in the cache."""
        with self._lock:
            if key in self._arrays:
                self._bytes -= self._arrays.pop(key).nbytes

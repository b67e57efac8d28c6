"""Maps of the last few tiles: a block asks for those of its tile and the one before as soon as they are made."""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

# Some six tiles of the default size; of larger ones, fewer.
_MOST_BYTES = 2**27


class RecentMaps:
    """Keeps maps by the numbers of their tiles, the last ones that were given; may be asked by several threads.

    Examples
    --------
    >>> recent = RecentMaps()
    >>> recent.keep(7, np.zeros((2, 3, 4), np.uint8))
    >>> recent.get(7).shape, recent.get(8)
    ((2, 3, 4), None)
    """

    def __init__(self) -> None:
        self._maps: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._bytes, self._lock = 0, threading.Lock()

    def keep(self, tile: int, maps: NDArray[np.uint8]) -> None:
        """Keep the maps of a tile, and of the oldest ones no more than there is room for."""
        self.forget(tile)
        with self._lock:
            self._maps[tile] = maps
            self._bytes += maps.nbytes
            while self._bytes > _MOST_BYTES:
                self._bytes -= self._maps.popitem(last=False)[1].nbytes

    def get(self, tile: int) -> NDArray[np.uint8] | None:
        """Return the maps of a tile, which are not to be changed; None if they are no longer there."""
        with self._lock:
            return self._maps.get(tile)

    def forget(self, tile: int) -> None:
        """Drop the maps of a tile."""
        with self._lock:
            if tile in self._maps:
                self._bytes -= self._maps.pop(tile).nbytes

"""Order of the tasks of a slide: which block can be grouped, which maps can be deleted, which blocks are finished."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping


class DependencyTracker:
    """Tracks which blocks can be grouped and which maps can be deleted.

    A block can be grouped when all tiles that it needs are finished. The maps of a tile can be deleted when all blocks
    that need the tile are finished. The object is not thread-safe: callers that share it must hold a lock.

    Parameters
    ----------
    needs
        For each unfinished block, the numbers of the tiles that it needs (at least one).

    Attributes
    ----------
    tiles : list of int
        Numbers of all tiles that any block needs, ascending.

    Examples
    --------
    >>> dependencies = DependencyTracker({0: [0, 1], 1: [1]})
    >>> dependencies.tile_finished(1), dependencies.tile_finished(0)
    ([1], [0])
    >>> dependencies.block_finished(1), dependencies.block_finished(0)
    ([], [0, 1])
    """

    def __init__(self, needs: Mapping[int, Iterable[int]]) -> None:
        self._needed = {block: list(tiles) for block, tiles in needs.items()}
        self._missing = {block: set(tiles) for block, tiles in self._needed.items()}
        self._users = Counter(tile for tiles in self._needed.values() for tile in tiles)
        self._waiting: dict[int, list[int]] = {}
        for block, tiles in self._needed.items():
            for tile in tiles:
                self._waiting.setdefault(tile, []).append(block)
        self.tiles = sorted(self._users)

    def __contains__(self, block: int) -> bool:
        """Whether the block was unfinished at the start."""
        return block in self._needed

    def tile_finished(self, tile: int) -> list[int]:
        """Record that a tile is finished. Return the blocks for which it was the last missing tile."""
        ready = []
        for block in self._waiting[tile]:
            self._missing[block].remove(tile)
            if not self._missing[block]:
                ready.append(block)
        return ready

    def block_finished(self, block: int) -> list[int]:
        """Record that a block is finished. Return the tiles whose maps no unfinished block needs."""
        unused = []
        for tile in self._needed[block]:
            self._users[tile] -= 1
            if self._users[tile] == 0:
                unused.append(tile)
        return unused


class Cancelled(Exception):  # noqa: N818 - it reports no error
    """Raised in a thread that waits for a block after the run was cancelled."""


class BlockEvents:
    """Lets one thread wait for blocks that other threads finish in any order.

    Examples
    --------
    >>> events = BlockEvents()
    >>> events.mark_finished(3)
    >>> events.wait_for(3)
    """

    def __init__(self) -> None:
        self._finished: set[int] = set()
        self._cancelled = False
        self._changed = threading.Condition()

    def mark_finished(self, block: int) -> None:
        """Record that a block is finished."""
        with self._changed:
            self._finished.add(block)
            self._changed.notify_all()

    def cancel(self) -> None:
        """Make all current and future waits raise `Cancelled`."""
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def wait_for(self, block: int) -> None:
        """Wait until a block is finished. Raise `Cancelled` if the run was cancelled."""
        with self._changed:
            self._changed.wait_for(lambda: self._cancelled or block in self._finished)
        self.check_cancelled()

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the run was cancelled."""
        if self._cancelled:
            raise Cancelled

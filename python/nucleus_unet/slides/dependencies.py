"""Who waits for what: which blocks can be grouped once a tile is there, which maps no block waits for any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping


class DependencyTracker:
    """The books of a run; who shares them sees to it that one writes at a time.

    Parameters
    ----------
    needs
        For each block that is not there yet, the tiles it needs; at least one.

    Attributes
    ----------
    tiles : list of int
        All that any of the blocks needs, ascending.

    Examples
    --------
    >>> ledger = DependencyTracker({0: [0, 1], 1: [1]})
    >>> ledger.tile_is_there(1), ledger.tile_is_there(0)
    ([1], [0])
    >>> ledger.block_is_there(1), ledger.block_is_there(0)
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
        """Whether a block is among those that have to be made."""
        return block in self._needed

    def tile_is_there(self, tile: int) -> list[int]:
        """Note a tile whose maps are there; return the blocks that waited for it alone."""
        ready = []
        for block in self._waiting[tile]:
            self._missing[block].remove(tile)
            if not self._missing[block]:
                ready.append(block)
        return ready

    def block_is_there(self, block: int) -> list[int]:
        """Note a block whose nuclei are there; return the tiles whose maps nobody needs any more."""
        done = []
        for tile in self._needed[block]:
            self._users[tile] -= 1
            if self._users[tile] == 0:
                done.append(tile)
        return done

"""A run over a slide: network, reading, grouping and writing overlap; what is finished is never done twice."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

from nucleus_unet.slides.plan import ahead
from nucleus_unet.slides.work import Work

# Tiles that are read ahead of the network, and files that may be waiting to be written.
_AHEAD = 2


def run_work(work: Work, *, workers: int, track: Callable[[list[int]], Iterable[int]] = iter) -> None:
    """Predict the tiles and group the blocks that are not there yet.

    Blocks are grouped as soon as their tiles are there, and maps are deleted as soon as no block needs them: neither
    memory nor disk holds more than a few rows of tiles. May be killed at any time and called again.

    Parameters
    ----------
    work
        What is to be done, and where its files are.
    workers
        Threads that read, group and write, beside the one that runs the network.
    track
        Wraps the list of tiles, to show progress.
    """
    needs = {block: set(work.tiles_for(block)) for block in range(len(work.blocks)) if not work.has_block(block)}
    with ThreadPoolExecutor(workers) as pool:
        try:
            _Run(work, needs, pool, workers).go(track)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


class _Run:
    """Who waits for what. All of it happens in the thread that runs the network, so there are no locks."""

    def __init__(self, work: Work, needs: dict[int, set[int]], pool: ThreadPoolExecutor, workers: int) -> None:
        self._work, self._pool, self._workers = work, pool, workers
        self._missing = needs
        self._needed = {block: sorted(tiles) for block, tiles in needs.items()}
        self._users = Counter(tile for tiles in needs.values() for tile in tiles)
        self._waiting: dict[int, list[int]] = {}
        for block, tiles in needs.items():
            for tile in tiles:
                self._waiting.setdefault(tile, []).append(block)
        self._writing: deque[tuple[int, Future[None]]] = deque()
        self._grouping: deque[tuple[int, Future[None]]] = deque()

    def go(self, track: Callable[[list[int]], Iterable[int]]) -> None:
        work = self._work
        tiles = sorted(self._users)
        there = {tile for tile in tiles if work.has_tile(tile)}
        for tile in sorted(there):
            self._is_there(tile)
        missing = [tile for tile in tiles if tile not in there]
        pixels = ahead(self._pool, work.read_tile, missing, depth=_AHEAD)
        for tile, image in zip(track(missing), pixels, strict=True):
            maps = work.ask_network(image)
            self._writing.append((tile, self._pool.submit(work.keep_maps, tile, maps)))
            self._settle(_AHEAD)
        self._settle(0)

    def _settle(self, unfinished: int) -> None:
        """Wait until so many files are unfinished: memory holds no more than what is in flight."""
        while len(self._writing) > unfinished:
            tile, future = self._writing.popleft()
            future.result()
            self._is_there(tile)
        while len(self._grouping) > (self._workers if unfinished else 0):
            self._retire(*self._grouping.popleft())

    def _is_there(self, tile: int) -> None:
        for block in self._waiting[tile]:
            self._missing[block].remove(tile)
            if not self._missing[block]:
                self._grouping.append((block, self._pool.submit(self._work.group_block, block)))

    def _retire(self, block: int, future: Future[None]) -> None:
        future.result()
        for tile in self._needed[block]:
            self._users[tile] -= 1
            if self._users[tile] == 0:
                self._work.forget_maps(tile)

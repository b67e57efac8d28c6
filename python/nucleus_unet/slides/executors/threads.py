"""A run over a slide: network, reading, grouping and writing overlap; what is finished is never done twice."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.slides.dependencies import DependencyTracker
from nucleus_unet.slides.tasks import SlideTasks

# Tiles that are read ahead of the network, and files that may be waiting to be written.
_AHEAD = 2


def run_on_threads(
    work: SlideTasks,
    *,
    workers: int,
    calls: int,
    blocks: Iterable[int] | None = None,
    track: Callable[[Sequence[int]], Iterable[int]] = iter,
    finished: Callable[[int], object] = lambda _block: None,
) -> None:
    """Predict the tiles and group the blocks that are not there yet.

    Blocks are grouped as soon as their tiles are there, and maps are deleted as soon as no block needs them: neither
    memory nor disk holds more than a few rows of tiles. May be killed at any time and called again.

    Parameters
    ----------
    work
        What is to be done, and where its files are.
    workers
        Threads that read, group and write, beside those that run the network.
    calls
        How many tiles the network is given at once.
    blocks
        Those to be there at the end; by default all.
    track
        Wraps the list of tiles, to show progress.
    finished
        Is called with each block, those of earlier runs first, by any thread; what it raises ends the run.
    """
    wanted = list(work.numbers if blocks is None else blocks)
    ledger = unfinished(work, wanted)
    for block in wanted:
        if block not in ledger:
            finished(block)
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(calls) as network:
        try:
            _Run(work, ledger, pool, workers, finished).go(network, calls, track)
        except BaseException:
            network.shutdown(wait=True, cancel_futures=True)
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def unfinished(work: SlideTasks, blocks: Iterable[int]) -> DependencyTracker:
    """Open the books on those blocks that are not there yet."""
    return DependencyTracker({block: work.tiles_for(block) for block in blocks if not work.has_block(block)})


class _Run:
    """One thread hands out tiles; a pool of others runs the network, another reads, groups, writes, keeps the books."""

    def __init__(
        self,
        work: SlideTasks,
        ledger: DependencyTracker,
        pool: ThreadPoolExecutor,
        workers: int,
        finished: Callable[[int], object],
    ) -> None:
        self._work, self._ledger, self._pool, self._workers = work, ledger, pool, workers
        self._finished = finished
        self._books = threading.Lock()
        self._writing: deque[Future[None]] = deque()
        self._grouping: deque[Future[None]] = deque()

    def go(self, network: ThreadPoolExecutor, calls: int, track: Callable[[Sequence[int]], Iterable[int]]) -> None:
        work = self._work
        there = [tile for tile in self._ledger.tiles if work.has_tile(tile)]
        for tile in there:
            self._group_after(tile)
        missing = sorted(set(self._ledger.tiles) - set(there))
        pixels = prefetch_map(self._pool, work.read_tile, missing, depth=_AHEAD)
        # One more than are computed at once: no thread of the network waits for this one.
        predicted = prefetch_map(network, work.predict, zip(missing, pixels, strict=True), depth=calls + 1)
        for tile, maps in zip(track(missing), predicted, strict=True):
            self._writing.append(self._pool.submit(self._keep, tile, maps))
            _settle(self._writing, _AHEAD)
            _settle(self._grouping, self._workers)
        _settle(self._writing, 0)
        _settle(self._grouping, 0)

    def _keep(self, tile: int, maps: NDArray[np.uint8]) -> None:
        self._work.keep_maps(tile, maps)
        self._group_after(tile)

    def _group_after(self, tile: int) -> None:
        with self._books:
            for block in self._ledger.tile_is_there(tile):
                self._grouping.append(self._pool.submit(self._group, block))

    def _group(self, block: int) -> None:
        self._work.group_block(block)
        self._finished(block)
        with self._books:
            for tile in self._ledger.block_is_there(block):
                self._work.forget_maps(tile)


def _settle(begun: deque[Future[None]], most: int) -> None:
    """Wait until no more files are being made than that: memory and disk hold no more than what is in flight."""
    while begun and (begun[0].done() or len(begun) > most):
        begun.popleft().result()

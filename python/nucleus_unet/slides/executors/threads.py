"""Run the tasks of a slide on threads: network, reading, grouping and writing overlap."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from nucleus_unet.inference.prefetch import prefetch_map
from nucleus_unet.slides.scheduler import DependencyTracker
from nucleus_unet.slides.tasks import SlideTasks

# Number of tiles that are read before the network needs them, and of files that may wait to be written.
_QUEUE_LENGTH = 2


def run_on_threads(
    tasks: SlideTasks,
    *,
    workers: int,
    calls: int,
    blocks: Iterable[int] | None = None,
    track: Callable[[Sequence[int]], Iterable[int]] = iter,
    on_block_finished: Callable[[int], object] = lambda _block: None,
) -> None:
    """Predict the missing tiles and group the unfinished blocks.

    A block is grouped as soon as its tiles are finished. Maps are deleted as soon as no block needs them, so memory and
    disk hold only a few rows of tiles. The process may be killed at any time; the next call resumes.

    Parameters
    ----------
    tasks
        The tasks of the slide.
    workers
        Number of threads that read, group and write. The threads that run the network are not included.
    calls
        Number of simultaneous network calls.
    blocks
        Numbers of the blocks to finish. Default: all blocks that may contain a nucleus.
    track
        Wraps the list of tiles to show progress.
    on_block_finished
        Called with the number of each block, from any thread, first for the blocks of earlier runs. An exception that
        it raises ends the run.
    """
    wanted = list(tasks.block_numbers if blocks is None else blocks)
    dependencies = tasks.unfinished(wanted)
    for block in wanted:
        if block not in dependencies:
            on_block_finished(block)
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(calls) as network:
        try:
            _ThreadRun(tasks, dependencies, pool, workers, on_block_finished).run(network, calls, track)
        except BaseException:
            network.shutdown(wait=True, cancel_futures=True)
            pool.shutdown(wait=True, cancel_futures=True)
            raise


class _ThreadRun:
    """The calling thread distributes tiles, one pool runs the network, and another pool reads, groups and writes."""

    def __init__(
        self,
        tasks: SlideTasks,
        dependencies: DependencyTracker,
        pool: ThreadPoolExecutor,
        workers: int,
        on_block_finished: Callable[[int], object],
    ) -> None:
        self._tasks, self._dependencies, self._pool, self._workers = tasks, dependencies, pool, workers
        self._on_block_finished = on_block_finished
        self._lock = threading.Lock()
        self._writing: deque[Future[None]] = deque()
        self._grouping: deque[Future[None]] = deque()

    def run(self, network: ThreadPoolExecutor, calls: int, track: Callable[[Sequence[int]], Iterable[int]]) -> None:
        tasks = self._tasks
        finished, missing = tasks.split_tiles(self._dependencies.tiles)
        for tile in finished:
            self._group_after(tile)
        pixels = prefetch_map(self._pool, tasks.read_tile, missing, depth=_QUEUE_LENGTH)
        # One call more than there are network threads: a network thread never waits for this thread.
        predicted = prefetch_map(network, tasks.predict, zip(missing, pixels, strict=True), depth=calls + 1)
        for tile, maps in zip(track(missing), predicted, strict=True):
            self._writing.append(self._pool.submit(self._save, tile, maps))
            _limit_pending(self._writing, _QUEUE_LENGTH)
            _limit_pending(self._grouping, self._workers)
        _limit_pending(self._writing, 0)
        _limit_pending(self._grouping, 0)

    def _save(self, tile: int, maps: NDArray[np.uint8]) -> None:
        self._tasks.save_maps(tile, maps)
        self._group_after(tile)

    def _group_after(self, tile: int) -> None:
        with self._lock:
            for block in self._dependencies.tile_finished(tile):
                self._grouping.append(self._pool.submit(self._group, block))

    def _group(self, block: int) -> None:
        self._tasks.group_block(block)
        self._on_block_finished(block)
        with self._lock:
            for tile in self._dependencies.block_finished(block):
                self._tasks.delete_maps(tile)


def _limit_pending(pending: deque[Future[None]], limit: int) -> None:
    """Wait until at most ``limit`` futures are unfinished. This bounds memory and disk use."""
    while pending and (pending[0].done() or len(pending) > limit):
        pending.popleft().result()

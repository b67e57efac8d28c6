"""Work on threads that stays a bounded number of steps ahead of who takes the results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def prefetch_map(
    pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T], *, depth: int
) -> Iterator[R]:
    """Yield ``function`` of the items in order, at most ``depth`` of them begun before they are asked for."""
    remaining = iter(items)
    begun: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(remaining, depth))
    try:
        while begun:
            result = begun.popleft().result()
            begun.extend(pool.submit(function, item) for item in islice(remaining, 1))
            yield result
    finally:
        for future in begun:
            future.cancel()

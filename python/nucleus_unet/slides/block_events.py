"""Blocks that somebody waits for while others make them."""

from __future__ import annotations

import threading


class Cancelled(Exception):  # noqa: N818 - nobody's fault
    """The work that was waited for has ended before its time."""


class BlockEvents:
    """Tells one thread which blocks are there, as others finish them in any order.

    Examples
    --------
    >>> arrivals = BlockEvents()
    >>> arrivals.arrive(3)
    >>> arrivals.wait_for(3)
    """

    def __init__(self) -> None:
        self._there: set[int] = set()
        self._over = False
        self._changed = threading.Condition()

    def arrive(self, block: int) -> None:
        """Say that a block is there."""
        with self._changed:
            self._there.add(block)
            self._changed.notify_all()

    def abandon(self) -> None:
        """Say that nobody is to go on."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def wait_for(self, block: int) -> None:
        """Return once a block is there; raise `Cancelled` if nobody is to go on."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or block in self._there)
        self.check()

    def check(self) -> None:
        """Raise `Cancelled` if nobody is to go on."""
        if self._over:
            raise Cancelled

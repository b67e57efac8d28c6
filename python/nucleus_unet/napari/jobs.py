"""A long call in a thread of its own, which reports its steps and can be cancelled."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")

# Seconds between two reports. A call reports much more often than anybody can read.
_INTERVAL = 0.1


class Step(NamedTuple):
    """How far a call is: the name of the step, the parts that are done, and all parts; 0 if their number is unknown."""

    name: str
    done: int
    total: int


class Progress:
    """What a call gets: a function to report to, and an event that ends it.

    Attributes
    ----------
    cancel
        Set if the call is to end.
    latest
        What was reported last.
    """

    def __init__(self, name: str) -> None:
        self.cancel = threading.Event()
        self.latest = Step(name, 0, 0)

    def report(self, name: str, done: int, total: int) -> None:
        """Take a report; the function that ``progress=`` takes."""
        self.latest = Step(name, done, total)


class Job(Generic[T]):
    """A call that is yet to be made.

    Parameters
    ----------
    call
        Gets the progress that it reports to.
    name
        Of the first step, shown until the call reports.

    Examples
    --------
    >>> def count(progress):
    ...     progress.report("counting", 3, 3)
    ...     return 3
    >>> [step for step in Job(count, name="starting").steps()][-1]
    Step(name='counting', done=3, total=3)
    """

    def __init__(self, call: Callable[[Progress], T], *, name: str) -> None:
        self._call = call
        self.progress = Progress(name)

    def cancel(self) -> None:
        """End the call before its next part."""
        self.progress.cancel.set()

    def steps(self) -> Generator[Step, None, T]:
        """Make the call, yield its progress several times a second, and return its result.

        A generator that is closed before its end cancels the call and waits for it.

        Raises
        ------
        Exception
            What the call raised.
        """
        results: list[T] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(self._call(self.progress))
            except BaseException as error:  # it is raised again where the steps are read
                errors.append(error)

        thread = threading.Thread(target=work, name="nucleus-unet", daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                yield self.progress.latest
                thread.join(_INTERVAL)
        finally:
            if thread.is_alive():
                self.cancel()
                thread.join()
        yield self.progress.latest
        if errors:
            raise errors[0]
        return results[0]

"""Show how far a long step is and let it be cancelled; silent where there is no terminal."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.progress import ProgressColumn as Column
from rich.progress import Task as BarTask
from rich.text import Text

from nucleus_unet.errors import CancelledError

T = TypeVar("T")
Show = bool | Callable[[str, int, int], object]
"""Show a bar or not; or a function that is called with the name of the step, the parts done and all parts."""


class Progress(NamedTuple):
    """How a long call reports and how it is cancelled.

    Attributes
    ----------
    show
        See `Show`.
    cancel
        The call ends with a `CancelledError` before its next part once this event is set; None if it cannot be.
    """

    show: Show = False
    cancel: threading.Event | None = None

    def check(self) -> None:
        """Raise `CancelledError` if the call is to end."""
        if self.cancel is not None and self.cancel.is_set():
            raise CancelledError("the call was cancelled")

    def checked(self, items: Iterable[T]) -> Iterator[T]:
        """Iterate over items, and raise `CancelledError` before the next one if the call is to end."""
        for item in items:
            self.check()
            yield item


class _Rate(Column):
    def render(self, task: BarTask) -> Text:
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


def tracker(step: str, *, show: Show | Progress) -> Callable[[Sequence[T]], Iterable[T]]:
    """Return a function that iterates over a list and reports after each of its items.

    Parameters
    ----------
    step
        Name of the step.
    show
        What to show; a `Progress` can also cancel.
    """
    progress = show if isinstance(show, Progress) else Progress(show)

    def track(items: Sequence[T]) -> Iterator[T]:
        if callable(progress.show):
            yield from _reported(step, items, progress, progress.show)
            return
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        hidden = not (progress.show and console.is_terminal)
        with Bars(*columns, console=console, transient=True, disable=hidden) as bars:
            for item in bars.track(items, description=step):
                progress.check()
                yield item

    return track


def _reported(
    step: str, items: Sequence[T], progress: Progress, report: Callable[[str, int, int], object]
) -> Iterator[T]:
    report(step, 0, len(items))
    for done, item in enumerate(items, start=1):
        progress.check()
        yield item
        report(step, done, len(items))

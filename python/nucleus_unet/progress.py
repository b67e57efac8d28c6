"""How far a long step is, how fast it goes, and when it will be done; silent where there is no terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.progress import ProgressColumn as Column
from rich.text import Text

T = TypeVar("T")


class _Rate(Column):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.2f}/s" if task.speed else "")


def tracker(what: str, *, show: bool) -> Callable[[Sequence[T]], Iterable[T]]:
    """Return what shows a bar while a list is gone through."""

    def track(items: Sequence[T]) -> Iterator[T]:
        console = Console(stderr=True)
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        hidden = not (show and console.is_terminal)
        with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
            yield from progress.track(items, description=what)

    return track

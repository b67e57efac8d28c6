"""Walk through folders of people's files: past what systems leave there, and through links, but never in circles."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

HIDDEN = "hidden"
BY_SYSTEM = "written by the operating system"
NO_FOLDER = "folders that cannot be opened"
NO_FILE = "pipes or devices"
NOWHERE = "links that lead nowhere"
CIRCLE = "links to a folder above, or to one that is searched already"
TWICE = "links to a file that is there already"

# Files and folders without a dot in front that file managers, backup programs and office programs leave in folders.
_BY_SYSTEM = ("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "$recycle.bin", "lost+found", "@eadir")
_APPLE_DOUBLE = (b"\0\5\x16\7", b"\0\5\x16\0")


class PassedOver(NamedTuple):
    """A file or folder that is not used, and why.

    Attributes
    ----------
    path
        The file or folder.
    reason
        What it is, as it goes after a number: "3 hidden".
    """

    path: Path
    reason: str


class Walk(NamedTuple):
    """What a folder holds.

    Attributes
    ----------
    paths
        Files, and folders that count as one file, in order.
    passed_over
        What is not among them.
    """

    paths: list[Path]
    passed_over: list[PassedOver]


def clutter(name: str) -> str | None:
    """Return why a file or folder of this name is no one's data; None if it may be.

    Examples
    --------
    >>> clutter("._a.tif"), clutter("Thumbs.db"), clutter("a.tif")
    ('hidden', 'written by the operating system', None)
    """
    if name.lower() in _BY_SYSTEM or name.startswith("~$"):
        return BY_SYSTEM
    return HIDDEN if name.startswith(".") else None


def is_apple_double(path: Path) -> bool:
    """Whether a file holds what macOS keeps beside another file: its name begins with ``._``, and it is no image."""
    if not path.name.startswith("._") or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) in _APPLE_DOUBLE
    except OSError:
        return False


def walk(
    folder: Path,
    *,
    whole: Callable[[Path], bool] = lambda _folder: False,
    depth: int | None = None,
    again: bool = False,
) -> Walk:
    """List the files in a folder and below it.

    Links are followed, but not to a folder above them. Without ``again``, no folder is searched twice and no file is
    listed twice: what lies in the folder itself comes before what only a link leads to, so that its name does not
    depend on links.

    Parameters
    ----------
    folder
        The folder, which may itself be hidden.
    whole
        Tells which folders are listed like a file, and are not searched.
    depth
        Largest number of folders between ``folder`` and a file. None: no limit.
    again
        List a file under each name that links give it. Give a depth too, or links that cross each other take long.

    Raises
    ------
    OSError
        If ``folder`` itself cannot be opened.
    """
    os.scandir(folder).close()
    walker = _Walker(folder, whole, depth, again)
    walker.search(folder, 0)
    while walker.links:
        links, walker.links = sorted(walker.links), []
        for link, level in links:
            walker.follow(link, level)
    return Walk(sorted(walker.paths), sorted(walker.passed_over))


class _Walker:
    """The state of one walk."""

    def __init__(self, root: Path, whole: Callable[[Path], bool], depth: int | None, again: bool) -> None:
        self._again = again
        self._root, self._whole, self._depth = os.path.realpath(root), whole, depth
        self._seen: set[str] = set()  # real paths of folders and files
        self.paths: list[Path] = []
        self.passed_over: list[PassedOver] = []
        self.links: list[tuple[Path, int]] = []

    def search(self, folder: Path, level: int) -> None:
        """List a folder, and keep its links for later."""
        waiting = [(folder, level)]
        while waiting:
            folder, level = waiting.pop()
            self._seen.add(os.path.realpath(folder))
            try:
                entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            except OSError:
                self._pass(folder, NO_FOLDER)
                continue
            for entry in entries:
                path = folder / entry.name
                if (reason := clutter(entry.name)) is not None:
                    self._pass(path, reason)
                elif entry.is_symlink() or getattr(entry, "is_junction", lambda: False)():
                    self.links.append((path, level))
                elif not entry.is_dir() or self._whole(path):
                    self._add(path)
                elif self._may_enter(level) and not self._was_seen(os.path.realpath(path)):
                    waiting.append((path, level + 1))  # unless a link led into the middle of a tree before

    def follow(self, link: Path, level: int) -> None:
        """List what a link leads to."""
        real = os.path.realpath(link)
        if not os.path.exists(real):  # noqa: PTH110
            self._pass(link, NOWHERE)
        elif not os.path.isdir(real) or self._whole(link):  # noqa: PTH112
            if self._was_seen(real):
                self._pass(link, TWICE)
            else:
                self._add(link)
        elif self._was_seen(real) or any(Path(above).is_relative_to(real) for above in (self._root, _parent(link))):
            self._pass(link, CIRCLE)
        elif self._may_enter(level):
            self.search(link, level + 1)

    def _may_enter(self, level: int) -> bool:
        return self._depth is None or level < self._depth

    def _add(self, path: Path) -> None:
        if not path.is_file() and not path.is_dir():
            self._pass(path, NO_FILE)
            return
        real = os.path.realpath(path)
        if not self._was_seen(real):
            self._seen.add(real)
            self.paths.append(path)

    def _was_seen(self, real: str) -> bool:
        return not self._again and real in self._seen

    def _pass(self, path: Path, reason: str) -> None:
        self.passed_over.append(PassedOver(path, reason))


def _parent(link: Path) -> str:
    return os.path.realpath(link.parent)

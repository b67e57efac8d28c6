"""Find the images that paths, folders and patterns name, and tell what is passed over."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nucleus_unet.batch.not_images import EMPTY, OF_A_SET
from nucleus_unet.batch.own_results import OWN, OwnResults
from nucleus_unet.batch.record import RUN_FOLDER
from nucleus_unet.errors import SettingsError
from nucleus_unet.io.folders import HIDDEN, PassedOver, is_apple_double, walk
from nucleus_unet.io.paths import check_path
from nucleus_unet.io.tiff_sets import first_of_set

WhyNot = Callable[[Path], str | None]
"""Returns why a file or folder that was found in a folder is no image; None if it is one."""


@dataclass
class FoundImages:
    """The images that were named.

    Attributes
    ----------
    images
        Path of each image, and its name in an output folder, with the image's suffix.
    passed_over
        What lies in the same folders and is not segmented.
    """

    images: list[tuple[Path, Path]] = field(default_factory=list)
    passed_over: list[PassedOver] = field(default_factory=list)


def find_images(named: Iterable[str | Path], why_not: WhyNot, *, is_whole: Callable[[Path], bool]) -> FoundImages:
    """Find the images that are named.

    Parameters
    ----------
    named
        Paths of images, folders to be searched, and glob patterns.
    why_not
        Says why a file of a folder or of a pattern is not an image. A file that the user names is always an image, so
        that a mistake raises an error. Results of this library are never images.
    is_whole
        Tells which folders are images and are not searched.

    Raises
    ------
    SettingsError
        If a path is empty, or nothing matches a pattern.
    FileNotFoundError
        If a folder vanishes.
    """
    found = FoundImages()
    seen: set[str] = set()
    sort = _Sorter(why_not)

    def add(path: Path, relative: Path, reason: str | None) -> None:
        if (real := os.path.realpath(path)) in seen:
            return
        seen.add(real)
        if reason is None:
            found.images.append((path, relative))
        else:
            found.passed_over.append(PassedOver(path, reason))

    for each in named:
        for path, searched in _expand(each, is_whole):
            if not path.is_dir() or is_whole(path):
                add(path, Path(_name(path)), sort.of_pattern(path) if searched else sort.named(path))
                continue
            inside = walk(path, whole=lambda folder: folder.name == RUN_FOLDER or is_whole(folder))
            for file in inside.paths:
                add(file, file.relative_to(path), sort.found(file))
            found.passed_over += inside.passed_over
    return found


class _Sorter:
    """Tells images from other files."""

    def __init__(self, why_not: WhyNot) -> None:
        self._why_not, self._own = why_not, OwnResults()

    def named(self, path: Path) -> str | None:
        if path in self._own:
            return OWN
        return HIDDEN if is_apple_double(path) else None

    def found(self, path: Path) -> str | None:
        if path in self._own:
            return OWN
        reason = self._why_not(path)
        if reason is None and first_of_set(path) != path:
            return OF_A_SET
        return EMPTY if reason is None and path.is_file() and not path.stat().st_size else reason

    def of_pattern(self, path: Path) -> str | None:
        """Sort what a pattern matched; a pattern may ask for hidden files."""
        return HIDDEN if is_apple_double(path) else self.found(path)


def _expand(named: str | Path, is_whole: Callable[[Path], bool]) -> Iterator[tuple[Path, bool]]:
    """Yield the paths that an argument names, and whether a pattern found them."""
    path, text = check_path(named, "images"), os.fspath(named)
    if path.exists() or not glob.has_magic(text):
        yield path, False
        return
    # Path.glob has no absolute form.
    matches = [Path(match) for match in sorted(glob.glob(text, recursive=True))]  # noqa: PTH207
    deep = "**" in text  # then a folder's files match, too
    matches = [match for match in matches if not (deep and match.is_dir() and not is_whole(match))]
    if not matches:
        raise SettingsError(f"no file matches {text}")
    yield from ((match, True) for match in matches)


def _name(path: Path) -> str:
    return path.resolve().name if path.name in ("", "..") else path.name


def check_named(named: object) -> list[str | Path]:
    """Return the paths of an argument that may be one path or several.

    Raises
    ------
    SettingsError
        If it is something else.
    """
    several = [named] if isinstance(named, str | os.PathLike) else named
    if not isinstance(several, Iterable):
        raise SettingsError(f"images: expected paths of images or folders, got {named!r}")
    paths = list(several)
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise SettingsError(f"images: expected paths of images or folders, got {type(path).__name__}")
    return [Path(path) if isinstance(path, os.PathLike) else path for path in paths]
